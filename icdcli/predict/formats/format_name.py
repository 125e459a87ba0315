"""The names of the formats of predicted codes. Imports nothing heavy."""

from typing import Literal

FormatName = Literal[
    "jsonl",
    "csv",
    "parquet",
    "fhir",
    "omop",
    "omop-conditions",
    "omop-procedures",
    "dg1",
    "labelstudio",
    "codiesp",
]
"""The formats of ``--format``."""

TABLES = ("jsonl", "csv", "parquet")
"""The formats that the ending of a file's name chooses, too."""
