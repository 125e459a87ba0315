"""Packed documents: one after another in one sequence, without padding."""
