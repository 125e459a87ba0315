"""Linear support vector machines, one per label: one at a time if there are few, else in blocks."""
