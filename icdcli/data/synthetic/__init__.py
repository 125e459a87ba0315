"""Synthetic MIMIC-III tables for the demo and the tests."""
