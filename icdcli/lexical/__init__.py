"""Scores from words alone, without gradients: one matrix of (documents, labels) from each part."""
