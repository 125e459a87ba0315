"""The gold codes that predictions are scored against: of a corpus, CodiEsp's folder or a table."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from icdcli.data.benchmarks.protocols import OFFICIAL
from icdcli.data.corpus.reader import CARD, open_corpus
from icdcli.data.sources.codiesp import CodiespSource
from icdcli.errors import ConfigError, DataError
from icdcli.evaluation.predictions.listed import CodeListing, Spans
from icdcli.evaluation.predictions.reading import read_listed
from icdcli.evaluation.predictions.spelling import guess_system, kind_in
from icdcli.evaluation.predictions.tables import ColumnNames
from icdcli.icd.code_columns import decide_column
from icdcli.icd.code_system import CodeSystem, open_code_system
from icdcli.io.remote.paths import is_remote

CodiespCodes = Literal["diagnoses", "procedures", "all"]
Annotated = dict[str, dict[str, list[Spans]]]
"""Id to code to its annotations, each with its fragments."""


@dataclass(frozen=True)
class GoldCodes:
    """The gold codes of the documents to score.

    Attributes:
        codes: Id to the document's codes, spelled as their system spells them.
        kinds: Code to ``diagnosis`` or ``procedure``.
        system: The coding system; None: unknown.
        split: The split, if the gold codes belong to one.
        annotations: The annotated evidence; empty if there is none.
        texts: Id to text of the documents whose text is available.
        train_counts: Code to the number of training documents that have it; None: unknown.
        about: What is reported about the gold codes.
        remarks: How they were read, one sentence each.
    """

    codes: Mapping[str, frozenset[str]]
    kinds: Mapping[str, str]
    system: CodeSystem | None
    split: str | None = None
    annotations: Annotated = field(default_factory=dict, repr=False)
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    train_counts: Mapping[str, int] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def read_gold(
    path: Path,
    split: str | None = None,
    *,
    codes: CodiespCodes = "diagnoses",
    code_system: str | None = None,
    names: ColumnNames | None = None,
    on_warning: Callable[[str], object] | None = None,
) -> GoldCodes:
    """Read gold codes.

    Args:
        path: A prepared corpus, CodiEsp's folder, a table, or MDACE's files.
        split: The split of a corpus or of CodiEsp; None: test, or validation if there is no test.
        codes: The kind of CodiEsp's codes.
        code_system: The coding system of a table; None: found out from its codes.
        names: The columns of a table.
        on_warning: Called with a message if the validation split is used.

    Raises:
        ConfigError: If there is no such split, or an option doesn't fit.
        DataError: If they can't be read.
    """
    if is_remote(path):
        if path.is_dir():
            raise DataError(
                f"{path}: is a folder. A corpus or CodiEsp's folder must be on this machine: copy "
                "it, or give the URL of a table."
            )
    elif (path / CARD).is_file():
        return _of_corpus(path, split, on_warning)
    elif (path / "train").is_dir() and any(path.glob("train/text_files*")):
        return _of_codiesp(path, split, codes, on_warning)
    if split is not None and path.exists():
        raise ConfigError(
            f"--split: {path} is a table of gold codes without splits. Leave out --split."
        )
    return _of_file(path, code_system, names)


def _default(splits: list[str], on_warning: Callable[[str], object] | None) -> str:
    if "test" not in splits and on_warning is not None:
        on_warning("The gold codes have no test split. Scoring the validation split.")
    return "test" if "test" in splits else "validation"


def _of_corpus(
    path: Path, split: str | None, on_warning: Callable[[str], object] | None
) -> GoldCodes:
    corpus = open_corpus(path)
    split = split or _default(corpus.splits, on_warning)
    documents, labels = corpus.documents(split), corpus.labels
    evidence = corpus.evidence(split)
    annotations: Annotated = {}
    for place, name in enumerate(documents.ids if len(evidence) else ()):
        grouped: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for one in evidence.of(place):
            grouped.setdefault((one.group, one.label), []).append((one.begin, one.end))
        for (_, label), fragments in grouped.items():
            of_code = annotations.setdefault(name, {}).setdefault(labels.codes[label], [])
            of_code.append(tuple(fragments))
    texts = dict(zip(documents.ids, corpus.texts(split), strict=True)) if annotations else {}
    return GoldCodes(
        {
            name: frozenset(labels.codes[label] for label in targets)
            for name, targets in zip(documents.ids, documents.targets, strict=True)
        },
        dict(zip(labels.codes, labels.kinds, strict=True)),
        corpus.code_system,
        split,
        annotations,
        texts,
        dict(zip(labels.codes, labels.train_counts, strict=True)),
        {
            "dataset": corpus.card["dataset"],
            "protocol": corpus.card["protocol"],
            "corpus": corpus.folder.name,
        },
    )


def _of_codiesp(
    path: Path,
    split: str | None,
    codes: CodiespCodes,
    on_warning: Callable[[str], object] | None,
) -> GoldCodes:
    # The annotated positions are those of the Spanish texts; the codes are the same in English.
    language = "es" if (path / "train" / "text_files").is_dir() else "en"
    source = CodiespSource(path, language, codes)
    cases = list(source.admissions(OFFICIAL, path))
    there = list(dict.fromkeys(str(case.split) for case in cases))
    split = split or _default(there, on_warning)
    if split not in there:
        raise ConfigError(f"--split {split}: {path} has {', '.join(there)}.")
    annotations: Annotated = {}
    counts: Counter[str] = Counter()
    for case in cases:
        if case.split == "train":
            counts.update(code.code for code in case.codes)
        if case.split == split:
            grouped: dict[tuple[int, str], list[tuple[int, int]]] = {}
            for span in case.evidence:
                grouped.setdefault((span.group, span.code), []).append((span.begin, span.end))
            for (_, code), fragments in grouped.items():
                annotations.setdefault(case.id, {}).setdefault(code, []).append(tuple(fragments))
    own = [case for case in cases if case.split == split]
    return GoldCodes(
        {case.id: frozenset(code.code for code in case.codes) for case in own},
        {code.code: code.kind for case in cases for code in case.codes},
        open_code_system("icd10"),
        split,
        annotations,
        {case.id: case.text for case in own} if annotations else {},
        counts,
        {"dataset": "codiesp", "protocol": OFFICIAL.name, "codes": codes},
    )


def _of_file(path: Path, code_system: str | None, names: ColumnNames | None) -> GoldCodes:
    listed = read_listed(path, names)
    if any(code.score is not None for code in listed.all_codes()):
        raise DataError(
            f"{path}: has scores, so it has predictions rather than gold codes. Pass the gold "
            "codes with --gold, and the predictions as the argument."
        )
    written = Counter(code.code for code in listed.all_codes())
    remarks = list(listed.remarks)
    if code_system is None:
        guessed = guess_system(written)
        remarks.append(
            "The coding system of the gold codes isn't clear, so there are no groups of codes and "
            "no hierarchical measures. Pass --code-system."
            if guessed is None
            else f"The gold codes are read as {guessed}, since most of them belong to it "
            "(--code-system)."
        )
        code_system = guessed
    system = None if code_system is None else open_code_system(code_system)
    spelled = _spelled(path, written, system)
    return GoldCodes(
        {
            name: frozenset(spelled[code.code] for code in document.codes)
            for name, document in listed.documents.items()
        },
        {code: _kind(code, system) for code in spelled.values()},
        system,
        None,
        _annotations(listed, spelled),
        {name: one.text for name, one in listed.documents.items() if one.text is not None},
        about={"gold": path.name},
        remarks=tuple(remarks),
    )


def _kind(code: str, system: CodeSystem | None) -> str:
    if system is None or system.shape is None:
        return "diagnosis"
    return kind_in(code, system.shape)


def _spelled(path: Path, written: Mapping[str, int], system: CodeSystem | None) -> dict[str, str]:
    """Return the spelling of each code, decided for all of them together."""
    plain = {raw: raw.strip().upper().rstrip(".") for raw in written}
    if system is None or system.shape is None:
        return plain
    counts: Counter[str] = Counter()
    for raw, count in written.items():
        counts[plain[raw]] += count
    try:
        column = decide_column(counts, system.shape, keep_impossible=True)
    except ValueError as error:
        raise DataError(f"{path}: the column of codes {error}.") from error
    return {raw: column.spelled(code)[0] for raw, code in plain.items()}


def _annotations(listed: CodeListing, spelled: Mapping[str, str]) -> Annotated:
    found: Annotated = {}
    for name, document in listed.documents.items():
        for code in document.codes:
            for span in code.spans or ():
                found.setdefault(name, {}).setdefault(spelled[code.code], []).append((span,))
    return found
