"""Mentions: stretches of a note that annotators would mark, and the codes they would mark for."""
