"""Annotated evidence: the words of a document in which an annotator saw a code.

    evidence.parquet    id · code · begin · end (characters of the document's text, half-open) ·
    group

A row is a fragment. The fragments of one annotation share a group, which is numbered within the
document. Corpora whose source has such annotations have the file, with its rows in the order of the
documents.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from icdcli.data.sources.admission import SPLITS, Admission, check_span
from icdcli.errors import DataError
from icdcli.io.tables.row_writer import ParquetRowWriter

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


class AnnotatedFragment(NamedTuple):
    """A fragment of evidence with the label of its code; see `AnnotatedSpan` of a source."""

    label: int
    begin: int
    end: int
    group: int


@dataclass(frozen=True)
class Annotations:
    """The evidence of a split; the fragments of document i are ``starts[i]`` to ``starts[i + 1]``.

    Attributes:
        starts: int64, one more than documents, in the order of `Corpus.documents`.
        labels: int32, the label of each fragment.
        begins: int64, the first character of each fragment in its document's text.
        ends: int64, the character after its last.
        groups: int32, the annotation of each fragment, numbered within its document.
    """

    starts: NDArray[np.int64]
    labels: NDArray[np.int32]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    groups: NDArray[np.int32]

    def __len__(self) -> int:
        """Return the number of fragments; 0 if the split has no evidence."""
        return len(self.labels)

    def of(self, document: int) -> list[AnnotatedFragment]:
        """Return the fragments of one document, in the order of its source."""
        part = slice(self.starts[document], self.starts[document + 1])
        columns = (self.labels, self.begins, self.ends, self.groups)
        return [
            AnnotatedFragment(*values)
            for values in zip(*(column[part].tolist() for column in columns), strict=True)
        ]

    def surfaces(self, document: int, text: str) -> list[tuple[int, str]]:
        """Return label and words of each annotation of a document, its fragments joined by blanks.

        Args:
            document: The document's index in the split.
            text: Its text in the corpus.
        """
        found: dict[tuple[int, int], list[str]] = {}
        for label, begin, end, group in self.of(document):
            found.setdefault((group, label), []).append(text[begin:end])
        return [(label, " ".join(fragments)) for (_, label), fragments in found.items()]


class AnnotationWriter:
    """Writes the evidence of documents as they stream by; without evidence, it makes no file."""

    def __init__(self, path: Path, dropped: Counter[str]) -> None:
        self._rows, self._dropped = ParquetRowWriter(path, SCHEMA), dropped
        self._counts: dict[str, Counter[str]] = {}

    def pass_on(
        self, documents: Iterable[tuple[Admission, str]]
    ) -> Iterator[tuple[Admission, str]]:
        """Yield the same documents with their splits, after writing their evidence.

        Raises:
            ValueError: If a fragment is outside its text, which the source must have checked.
            OSError: If the file can't be written.
        """
        with self._rows:
            for admission, split in documents:
                if admission.evidence:
                    self._add(admission, split)
                yield admission, split

    def card(self) -> dict[str, dict[str, int]] | None:
        """Return counts of documents, annotations and fragments per split; None if there's none."""
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
        self._rows.add((admission.id, *span) for span in kept)
        counts = self._counts.setdefault(split, Counter())
        counts.update({"documents": 1, "annotations": len(kept_groups), "fragments": len(kept)})


def read_annotations(
    path: Path, ids: Sequence[str], index: Mapping[str, int], others: bool = False
) -> Annotations:
    """Read the evidence of some documents.

    Args:
        path: The corpus's file; if it doesn't exist, no document has evidence.
        ids: The documents' ids, in the corpus' order.
        index: Code to label.
        others: Whether other codes may be there; they are left out.

    Raises:
        DataError: If it can't be read, or a code isn't in the label space.
    """
    table = _read(path) if path.exists() else SCHEMA.empty_table()
    documents = pc.index_in(table.column("id"), value_set=pa.array(ids, pa.string()))
    here = pc.is_valid(documents)
    if others:
        here = pc.and_(here, pc.is_in(table.column("code"), pa.array(list(index), pa.string())))
    documents, table = documents.filter(here), table.filter(here)
    labels = pc.index_in(table.column("code"), value_set=pa.array(list(index), pa.string()))
    if labels.null_count:
        stranger = table.column("code").filter(labels.is_null())[0].as_py()
        raise DataError(
            f"{path}: code {stranger!r} isn't in labels.parquet. Delete the folder and prepare the "
            "data again."
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
            f"{path}: can't be read ({error}). Delete the folder and prepare the data again."
        ) from error
