"""Evaluation of models: scoring a split, tuning, metrics with intervals, comparison, ablation."""
