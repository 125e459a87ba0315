"""Which predicted codes can be accepted without review: how much of the work a score decides."""
