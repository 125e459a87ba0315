"""From raw tables to batches: sources, protocols, the prepared corpus, tokens and batches."""
