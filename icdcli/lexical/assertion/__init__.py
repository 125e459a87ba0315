"""What a note says of each of its mentions: affirmed, denied, of a relative, possible, past."""
