"""Copies of notes and codes from databases and object stores, which corpora are prepared from."""
