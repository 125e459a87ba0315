"""Fused layers: normalization, activation and rotation, each in one GPU kernel."""
