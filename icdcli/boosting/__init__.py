"""Boosted trees: fitted by scikit-learn, stored and applied as plain arrays."""
