"""Notes that aren't plain text, as hospitals store and exchange them, converted to plain text.

Each conversion is pure: bytes in, text out, without a network and without other files. Positions of
evidence refer to the converted text.
"""
