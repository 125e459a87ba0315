"""Texts and their translations: words that mean each other, and evidence carried over."""
