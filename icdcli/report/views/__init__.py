"""Views of data, runs and results on the terminal."""
