"""Tables of records in several formats, each read a few rows at a time."""
