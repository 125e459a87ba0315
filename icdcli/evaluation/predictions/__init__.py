"""Score the predictions of any system like those of a run: ``icdcode score``."""
