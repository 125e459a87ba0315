"""The coding systems as data: codes, titles, terms and hierarchy, independent of any data set."""
