"""Predict the codes of new notes: as a stream, or into a resumable file."""
