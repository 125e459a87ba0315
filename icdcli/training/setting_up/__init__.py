"""Parts of setting up a run: its optimizer, and what a final fit starts from."""
