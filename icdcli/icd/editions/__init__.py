"""The editions of coding systems: dated tables of codes, how they are read, stored and found."""
