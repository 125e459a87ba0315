"""Predict on a Ray cluster: Ray starts workers, replaces lost ones, and gives them blocks."""
