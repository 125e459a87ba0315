"""Several processes: launching, the process group, sharded weights, signals; devices and memory."""
