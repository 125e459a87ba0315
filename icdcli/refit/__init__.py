"""Final fits: a run is fitted again on everything, with what was found without looking at it."""
