"""The prepared corpus: written once, and read by training, evaluation and the data card."""

from icdcli import moved

__getattr__ = moved.old_names(__name__)
