"""New notes to predict codes for: text files, folders and tables."""
