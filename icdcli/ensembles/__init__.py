"""Ensembles: trained runs are checked, weighed and stored as one run."""
