"""The coding systems themselves: how codes are written, what they are called; no data set in sight."""
