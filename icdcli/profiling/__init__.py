"""Checks and estimates before a run: the machine, the configuration, memory and time."""
