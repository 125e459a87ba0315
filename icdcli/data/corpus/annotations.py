"""Annotated evidence: which words of a document an annotator saw a code in.

    evidence.parquet    id · code · begin · end (characters of the document's text, half-open) · group

A row is a fragment; one annotation's fragments share a group, which is counted within a document. The file stands beside the
documents of a corpus whose source has such annotations, and holds their rows in the documents' order.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from icdcli.data.sources.admission import SPLITS, Admission, check_span
from icdcli.errors import DataError

ANNOTATIONS = "evidence.parquet"
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("code", pa.string()),
        ("begin", pa.int64()),
        ("end", pa.int64()),
        ("group", pa.int32()),
    ]
)
_GROUP_ROWS = 65_536


class AnnotatedFragment(NamedTuple):
    """A span as a corpus gives it back: `icdcli.data.sources.admission.AnnotatedSpan` with a label for its code."""

    label: int
    begin: int
    end: int
    group: int


@dataclass(frozen=True)
class Annotations:
    """The evidence of one split; all fragments in one line, those of document i from ``starts[i]`` to ``starts[i + 1]``.

    Attributes:
        starts: int64, one more than the split has documents, which it counts in the order of `Corpus.documents`.
        labels: int32, the label that a fragment is evidence of.
        begins: int64, a fragment's first character in the document's text.
        ends: int64, the character after its last.
        groups: int32, which annotation of the document a fragment belongs to.
    """

    starts: NDArray[np.int64]
    labels: NDArray[np.int32]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    groups: NDArray[np.int32]

    def __len__(self) -> int:
        """The number of fragments; 0 where a split has no evidence."""
        return len(self.labels)

    def of(self, document: int) -> list[AnnotatedFragment]:
        """One document's fragments, in the order that its source gives them."""
        part = slice(self.starts[document], self.starts[document + 1])
        columns = (self.labels, self.begins, self.ends, self.groups)
        return [
            AnnotatedFragment(*values)
            for values in zip(*(column[part].tolist() for column in columns), strict=True)
        ]

    def surfaces(self, document: int, text: str) -> list[tuple[int, str]]:
        """What one document's annotations say: label and words, the fragments of one annotation joined by a blank.

        Args:
            document: Its place in the split.
            text: Its text, as the corpus has it.
        """
        found: dict[tuple[int, int], list[str]] = {}
        for label, begin, end, group in self.of(document):
            found.setdefault((group, label), []).append(text[begin:end])
        return [(label, " ".join(fragments)) for (_, label), fragments in found.items()]


class AnnotationWriter:
    """Writes the evidence of documents as they stream by; without any, there is no file."""

    def __init__(self, path: Path, dropped: Counter[str]) -> None:
        self._path, self._dropped = path, dropped
        self._columns: list[list[Any]] = [[] for _ in SCHEMA]
        self._file: pq.ParquetWriter | None = None
        self._counts: dict[str, Counter[str]] = {}

    def pass_on(
        self, documents: Iterable[tuple[Admission, str]]
    ) -> Iterator[tuple[Admission, str]]:
        """The same documents with their splits, of each of which the evidence was written before.

        Raises:
            ValueError: When a fragment lies outside its text, which no source may let pass.
            OSError: When the file can't be written.
        """
        try:
            for admission, split in documents:
                if admission.evidence:
                    self._add(admission, split)
                yield admission, split
            self._write()
        finally:
            if self._file is not None:
                self._file.close()

    def card(self) -> dict[str, dict[str, int]] | None:
        """Split to its ``documents`` with evidence, and their ``annotations`` and ``fragments``; None where there are none."""
        return {
            split: dict(self._counts[split]) for split in SPLITS if split in self._counts
        } or None

    def _add(self, admission: Admission, split: str) -> None:
        codes = {code.code for code in admission.codes}
        kept = [span for span in admission.evidence if span.code in codes]
        groups = {(span.group, span.code) for span in admission.evidence}
        kept_groups = {(span.group, span.code) for span in kept}
        if len(groups) > len(kept_groups):
            self._dropped["annotations of a code that their document doesn't have"] += len(
                groups
            ) - len(kept_groups)
        if not kept:
            return
        for span in kept:
            check_span(span, len(admission.text))
            for column, value in zip(self._columns, (admission.id, *span), strict=True):
                column.append(value)
        counts = self._counts.setdefault(split, Counter())
        counts.update({"documents": 1, "annotations": len(kept_groups), "fragments": len(kept)})
        if len(self._columns[0]) >= _GROUP_ROWS:
            self._write()

    def _write(self) -> None:
        if not self._columns[0]:
            return
        if self._file is None:
            self._path.touch(mode=0o600)
            self._file = pq.ParquetWriter(
                self._path, SCHEMA, compression="snappy", write_page_checksum=True
            )
        arrays = [
            pa.array(column, kind) for column, kind in zip(self._columns, SCHEMA.types, strict=True)
        ]
        self._file.write_table(pa.table(arrays, schema=SCHEMA))
        self._columns = [[] for _ in SCHEMA]


def read_annotations(path: Path, ids: Sequence[str], index: Mapping[str, int]) -> Annotations:
    """Read the evidence of some documents.

    Args:
        path: The corpus' file; where there is none, no document has evidence.
        ids: The documents' ids, in the corpus' order.
        index: Code to label.

    Raises:
        DataError: When it can't be read, or a code isn't in the label space.
    """
    table = _read(path) if path.exists() else SCHEMA.empty_table()
    documents = pc.index_in(table.column("id"), value_set=pa.array(ids, pa.string()))
    here = pc.is_valid(documents)
    documents, table = documents.filter(here), table.filter(here)
    labels = pc.index_in(table.column("code"), value_set=pa.array(list(index), pa.string()))
    if labels.null_count:
        stranger = table.column("code").filter(labels.is_null())[0].as_py()
        raise DataError(
            f"{path}: code {stranger!r} isn't in labels.parquet; delete the folder and prepare the data again"
        )
    order = np.argsort(documents.to_numpy(), kind="stable")
    starts = np.zeros(len(ids) + 1, dtype=np.int64)
    np.cumsum(np.bincount(documents.to_numpy(), minlength=len(ids)), out=starts[1:])
    label_of_place = np.fromiter(index.values(), dtype=np.int32, count=len(index))
    begins, ends, groups = (
        table.column(name).to_numpy()[order] for name in ("begin", "end", "group")
    )
    return Annotations(starts, label_of_place[labels.to_numpy()[order]], begins, ends, groups)


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path, partitioning=None, page_checksum_verification=True).select(
            SCHEMA.names
        )
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DataError(
            f"{path}: can't be read ({error}); delete the folder and prepare the data again"
        ) from error
