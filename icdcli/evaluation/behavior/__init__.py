"""Behavioral tests of a model: short notes that must, or must not, get a code."""
