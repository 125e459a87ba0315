"""Models that assign codes: networks and TF-IDF, their parts and their checkpoints."""
