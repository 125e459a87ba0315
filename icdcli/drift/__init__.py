"""Drift: whether incoming notes are like those that a model was trained and validated on."""
