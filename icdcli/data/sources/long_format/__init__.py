"""Codes in long format: a table with one row per encounter and code."""
