"""A summary of the documents of a training, with which incoming notes can be compared later."""
