"""The parts of a table of notes: its columns, rows, cells, codes, evidence and splits."""
