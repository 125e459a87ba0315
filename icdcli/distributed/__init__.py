"""Processes, devices and weights across GPUs."""
