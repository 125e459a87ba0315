"""The principal diagnosis: one code per document, as an output of its own."""
