"""Plots as PNG files and on the terminal."""
