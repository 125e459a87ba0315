"""What changes in a text before a model reads it: expanded abbreviations, corrected spelling."""
