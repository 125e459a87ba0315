"""Training: the run, the loop, the schedule, validation and checkpoints."""
