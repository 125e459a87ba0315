"""Computing with a network: the scores of documents, and what is computed only once."""
