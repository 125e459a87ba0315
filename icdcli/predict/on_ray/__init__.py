"""Predict on a Ray cluster: Ray starts and replaces workers, which each code blocks of notes."""
