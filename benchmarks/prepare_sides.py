"""One job with several tools: from MIMIC-III's raw tables to a Parquet file; timed by `prepare.py`.

A document is an admission with a discharge note and a code: its id, its notes joined in file order,
its codes as dotted strings, and a split. Every side reads codes and HADM_ID as text, so that no
leading zero is lost, drops notes without an admission and rows without a code, and writes Parquet
with zstd at level 1. Each follows the advice of its tool's documentation, for the columns that it
needs; its import is part of the job. Only icdcode also hashes every source file, reads the titles
of codes, writes the label space, counts words and codes, splits by patient and survives a power
cut.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

DISCHARGE = "Discharge summary"
# The dot of ICD-9-CM: a diagnosis has three characters before it, an E-code four, a procedure two.
DIAGNOSIS, PROCEDURE = r"^(E...|[^E]..)(.+)$", r"^(..)(.+)$"
# Every value as it is written ("NA" in a note, leading zeros), as all the other sides do.
AS_TEXT = {"dtype": "str", "keep_default_na": False, "low_memory": False}
# The fastest for pandas: types are guessed, except of the one column that must be text.
GUESSED = {"dtype": {"HADM_ID": "str"}, "low_memory": False}

Side = Callable[[Path, Path], Path]
"""Takes the tables' folder and an empty one, makes the documents and returns their file."""


def icdcode(tables: Path, work: Path) -> Path:
    """Run `icdcode prepare-data DIR protocol=patient label_pruning=True`."""
    from icdcli.data.corpus.prepare import prepare
    from icdcli.data.section import DataConfig

    config = DataConfig(data_path=tables, protocol="patient", label_pruning=True, cache_dir=work)
    return prepare(config).folder / "documents.parquet"


def pandas_whole(tables: Path, work: Path, options: Mapping[str, Any] = AS_TEXT) -> Path:
    """Read the complete table into memory, then filter, as the first version of a script does."""
    import pandas

    notes = pandas.read_csv(_table(tables, "NOTEEVENTS"), **options)
    notes = notes[notes["CATEGORY"] == DISCHARGE]
    return _with_pandas(notes, tables, work)


def pandas_chunks(tables: Path, work: Path, options: Mapping[str, Any] = AS_TEXT) -> Path:
    """Read the needed columns in chunks, filtering each: the advice of pandas for large tables."""
    import pandas

    columns = ["HADM_ID", "CATEGORY", "TEXT"]
    chunks = pandas.read_csv(
        _table(tables, "NOTEEVENTS"), usecols=columns, chunksize=100_000, **options
    )
    notes = pandas.concat([chunk[chunk["CATEGORY"] == DISCHARGE] for chunk in chunks])
    return _with_pandas(notes, tables, work)


def _with_pandas(notes: "DataFrame", tables: Path, work: Path) -> Path:
    import pandas

    notes = notes[notes["HADM_ID"].notna() & (notes["HADM_ID"] != "")]
    texts = notes.groupby("HADM_ID", sort=False)["TEXT"].agg("\n".join)
    parts = []
    for name, pattern in (("DIAGNOSES_ICD", DIAGNOSIS), ("PROCEDURES_ICD", PROCEDURE)):
        part = pandas.read_csv(
            _table(tables, name), usecols=["HADM_ID", "ICD9_CODE"], dtype="str"
        ).dropna()
        parts.append(
            part.assign(codes=part["ICD9_CODE"].str.replace(pattern, r"\1.\2", regex=True))
        )
    codes = pandas.concat(parts).groupby("HADM_ID", sort=False)["codes"].agg(list)
    documents = (
        pandas.concat([texts.rename("text"), codes], axis=1, join="inner")
        .rename_axis("id")
        .reset_index()
    )
    documents["split"] = (
        documents["id"].str[-1].map({"8": "validation", "9": "test"}).fillna("train")
    )
    file = work / "documents.parquet"
    documents.to_parquet(file, compression="zstd", compression_level=1, index=False)
    return file


def polars(tables: Path, work: Path) -> Path:
    """Scan lazily with the streaming engine, directly into the Parquet file."""
    import polars as pl

    def codes_of(name: str, pattern: str) -> pl.LazyFrame:
        rows = pl.scan_csv(
            _table(tables, name), schema_overrides={"HADM_ID": pl.String, "ICD9_CODE": pl.String}
        )
        dotted = pl.col("ICD9_CODE").str.replace(pattern, "${1}.${2}")
        return rows.drop_nulls(["HADM_ID", "ICD9_CODE"]).select(id="HADM_ID", codes=dotted)

    notes = pl.scan_csv(_table(tables, "NOTEEVENTS"), schema_overrides={"HADM_ID": pl.String})
    texts = (
        notes.filter(pl.col("CATEGORY") == DISCHARGE, pl.col("HADM_ID").is_not_null())
        .group_by(id="HADM_ID")
        .agg(text=pl.col("TEXT").str.join("\n"))  # within a group, rows keep their order
    )
    codes = pl.concat([codes_of("DIAGNOSES_ICD", DIAGNOSIS), codes_of("PROCEDURES_ICD", PROCEDURE)])
    digit = pl.col("id").str.slice(-1)
    split = (
        pl.when(digit == "8")
        .then(pl.lit("validation"))
        .when(digit == "9")
        .then(pl.lit("test"))
        .otherwise(pl.lit("train"))
    )
    file = work / "documents.parquet"
    documents = texts.join(codes.group_by("id").agg("codes"), on="id").with_columns(split=split)
    documents.sink_parquet(
        file, compression="zstd", compression_level=1, maintain_order=False, engine="streaming"
    )
    return file


def duckdb(tables: Path, work: Path) -> Path:
    """Run one SQL statement, directly into the Parquet file."""
    import duckdb as db

    def codes_of(name: str, pattern: str) -> str:
        types = "{'HADM_ID': 'VARCHAR', 'ICD9_CODE': 'VARCHAR'}"
        return (
            f"SELECT HADM_ID AS id, regexp_replace(ICD9_CODE, '{pattern}', '\\1.\\2') AS code "
            f"FROM read_csv('{_table(tables, name)}', types = {types}) WHERE ICD9_CODE IS NOT NULL"
        )

    file = work / "documents.parquet"
    connection = db.connect()
    connection.execute("SET enable_progress_bar = false")
    connection.execute(f"""
        COPY (
            WITH texts AS (
                SELECT HADM_ID AS id, string_agg("TEXT", chr(10) ORDER BY ROW_ID) AS text
                FROM read_csv('{_table(tables, "NOTEEVENTS")}', types = {{'HADM_ID': 'VARCHAR'}})
                WHERE CATEGORY = '{DISCHARGE}' AND HADM_ID IS NOT NULL
                GROUP BY HADM_ID
            ), codes AS (
                SELECT id, list(code) AS codes
                FROM (
                    {codes_of("DIAGNOSES_ICD", DIAGNOSIS)}
                    UNION ALL {codes_of("PROCEDURES_ICD", PROCEDURE)}
                )
                GROUP BY id
            )
            SELECT id, text, codes,
                CASE right(id, 1) WHEN '8' THEN 'validation' WHEN '9' THEN 'test' ELSE 'train' END
                AS split
            FROM texts JOIN codes USING (id)
        ) TO '{file}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)
    """)
    return file


def _table(tables: Path, name: str) -> Path:
    return next(tables.glob(f"{name}.csv*"))


OURS = "icdcode"
SIDES: dict[str, Side] = {
    OURS: icdcode,
    "pandas, whole table": pandas_whole,
    "pandas, whole, guessing": partial(pandas_whole, options=GUESSED),
    "pandas, in chunks": pandas_chunks,
    "pandas, chunks, guessing": partial(pandas_chunks, options=GUESSED),
    "polars": polars,
    "duckdb": duckdb,
}
