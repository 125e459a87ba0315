"""Heads: from hidden states to one logit per code; the description prior adds to the logits."""
