"""Encounters of several notes: their order, their joined text, and where each note is in it."""
