"""Predictions of any system, scored as a run is evaluated: ``icdcode score``."""
