"""Files in object stores and other file systems, named by URLs such as ``s3://bucket/notes``."""
