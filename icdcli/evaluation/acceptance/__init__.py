"""Which predicted codes can be accepted without review, and how much work that saves."""
