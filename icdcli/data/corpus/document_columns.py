"""The columns of documents.parquet."""

import pyarrow as pa

DOCUMENTS_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("subject_id", pa.string()),
        ("split", pa.string()),
        ("text", pa.string()),
        ("codes", pa.list_(pa.string())),
    ]
)
DAY = pa.field("day", pa.date32())
"""The column of the days of discharge, if the source has them."""
ORDER = {
    "principal": pa.field("principal", pa.string()),
    "codes_in_order": pa.field("codes_in_order", pa.list_(pa.string())),
    "poa": pa.field("poa", pa.list_(pa.string())),
}
"""The columns of the principal diagnosis, of the codes in their order, and of their POA."""
