"""The prepared corpus: written once, read by everything that follows."""

from icdcli import moved

__getattr__ = moved.old_names(__name__)
