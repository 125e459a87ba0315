"""What an edition says about sets of codes: notes with references to others, and checks of sets."""
