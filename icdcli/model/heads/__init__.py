"""Heads: from token states to one logit per code."""
