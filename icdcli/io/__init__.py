"""Files: published complete, hashed, and read as streams, CSV rows, records and arrays."""
