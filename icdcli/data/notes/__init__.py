"""New notes to be coded: text files, folders and tables."""
