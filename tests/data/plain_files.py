"""The tables of ``plain_tables.py`` as files, and split lists for them; without icdcli."""

import gzip
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def split_list(tables: Mapping[str, Any], seed: int) -> dict[str, str]:
    """Return HADM_ID to split: a sixth of the admissions are in no list, twenty ids in no table."""
    rng = random.Random(seed)
    notes = tables.get("NOTEEVENTS") or tables["note/discharge"]
    ids = sorted({row[2] for row in notes.rows if row[2]})
    listed = rng.sample(ids, len(ids) * 5 // 6) + [
        str(n) for n in rng.sample(range(900_000, 999_999), 20)
    ]
    return {
        admission: rng.choice(["train"] * 6 + ["validation"] * 2 + ["test"] * 2)
        for admission in listed
    }


def write(
    tables: Mapping[str, Any],
    folder: Path,
    suffix: str = ".csv",
    case: Callable[[str], str] = str,
    quote_all: bool = False,
    crlf: tuple[str, ...] = ("PROCEDURES_ICD",),
) -> Path:
    """Write the tables; `case` changes the names of files and headers, `crlf` the line ends."""

    def field(value: str) -> str:
        # Not csv.writer: before Python 3.13 it leaves a lone carriage return unquoted.
        return (
            '"' + value.replace('"', '""') + '"'
            if quote_all or set(value) & set(',"\r\n')
            else value
        )

    opened = gzip.open if suffix.endswith(".gz") else open
    for name, table in tables.items():
        path = folder / Path(name).parent / f"{case(Path(name).name)}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        end = "\r\n" if Path(name).name.upper() in crlf else "\n"
        with opened(path, "wt", encoding="utf-8", newline="") as file:
            for row in [[case(column) for column in table.columns], *table.rows]:
                file.write(",".join(map(field, row)) + end)
    return folder
