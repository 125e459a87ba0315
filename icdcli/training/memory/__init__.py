"""The memory of a training step: which layers are recomputed, and how large micro-batches are."""
