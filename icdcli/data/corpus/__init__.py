"""The prepared corpus: written once, read by everything that follows."""
