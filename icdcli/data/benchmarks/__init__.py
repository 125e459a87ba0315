"""Published benchmarks: their protocols, split lists and counts."""
