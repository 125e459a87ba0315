"""Codes for new notes, in batches, written to resumable files."""
