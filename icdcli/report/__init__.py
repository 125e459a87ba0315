"""Output for people: the terminal, plots and the HTML page."""
