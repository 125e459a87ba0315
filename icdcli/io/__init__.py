"""Files: published whole or not at all, hashed, and read as streams, CSV rows and arrays."""
