"""Evidence: the words behind each predicted code."""
