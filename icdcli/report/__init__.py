"""Everything a person looks at: the console, terminal plots, PNG files."""
