"""Metrics from arrays alone: scores in, numbers and their intervals out."""
