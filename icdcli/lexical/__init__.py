"""The lexical model: scores from a document's words, without a network and without gradients."""
