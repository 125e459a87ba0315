"""What a run would take of this machine: memory, time, and whether it can run at all."""
