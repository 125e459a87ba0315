"""Fitting and measuring the choice of the principal diagnosis."""
