"""The notes of each document: where each begins and ends in the document's text.

    boundaries.parquet    id (of the document) · note_id · type · time · begin · end (characters of
    the document's text, half-open)

A row is a note. Corpora whose documents are encounters of several notes have the file, with its
rows in the order of the documents, and of the notes in their texts.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from icdcli.data.encounters.boundaries import NoteBoundary
from icdcli.data.sources.admission import SPLITS, Admission
from icdcli.errors import DataError
from icdcli.io.tables.row_writer import ParquetRowWriter

BOUNDARIES = "boundaries.parquet"
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("note_id", pa.string()),
        ("type", pa.string()),
        ("time", pa.timestamp("us")),
        ("begin", pa.int64()),
        ("end", pa.int64()),
    ]
)


class BoundaryWriter:
    """Writes the notes of documents as they stream by; without any, it makes no file."""

    def __init__(self, path: Path) -> None:
        self._rows = ParquetRowWriter(path, _SCHEMA)
        self._counts: dict[str, list[int]] = {}

    def pass_on(
        self, documents: Iterable[tuple[Admission, str]]
    ) -> Iterator[tuple[Admission, str]]:
        """Yield the same documents with their splits, after writing where their notes are.

        Raises:
            OSError: If the file can't be written.
        """
        with self._rows:
            for admission, split in documents:
                if number := len(admission.notes):
                    self._rows.add((admission.id, *note) for note in admission.notes)
                    counts = self._counts.setdefault(split, [0, 0, 0])
                    counts[0] += 1
                    counts[1] += number
                    counts[2] = max(counts[2], number)
                yield admission, split

    def card(self) -> dict[str, dict[str, int]] | None:
        """Return counts of documents and notes, and the most of one, per split; None: no notes."""
        return {
            split: dict(zip(("documents", "notes", "most"), self._counts[split], strict=True))
            for split in SPLITS
            if split in self._counts
        } or None


def read_boundaries(folder: Path, ids: Sequence[str]) -> list[tuple[NoteBoundary, ...]]:
    """Read where the notes of some documents are.

    Args:
        folder: The folder of the corpus.
        ids: The documents' ids.

    Returns:
        The notes of each document in the order of its text; none if they are unknown.

    Raises:
        DataError: If the file can't be read.
    """
    path = folder / BOUNDARIES
    if not path.exists():
        return [()] * len(ids)
    try:
        # Unlike `pq.read_table`, it doesn't import pandas.
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read(columns=_SCHEMA.names)
        documents = pc.index_in(table.column("id"), value_set=pa.array(ids, pa.string()))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DataError(
            f"{path}: can't be read ({error}). Delete the folder and prepare the data again."
        ) from error
    here = pc.is_valid(documents)
    found: list[list[NoteBoundary]] = [[] for _ in ids]
    rows = table.filter(here).drop_columns(["id"]).to_pydict()
    for document, *note in zip(documents.filter(here).to_pylist(), *rows.values(), strict=True):
        found[document].append(NoteBoundary(*note))
    return [tuple(notes) for notes in found]
