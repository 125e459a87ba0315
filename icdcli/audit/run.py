"""Audit a corpus: ``icdcode audit`` without the printing.

Shapes: N documents, L labels.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.audit.clues import CorpusClues
from icdcli.audit.documents import AuditDocument, audit_documents
from icdcli.audit.files import check_audit_path, write_findings, write_notes
from icdcli.audit.findings import AuditFinding, worded_findings
from icdcli.audit.mentions import PhraseTable
from icdcli.audit.ranking import ERROR_RATE, KINDS, rank_suspicions
from icdcli.audit.run_scores import run_logits
from icdcli.audit.scores import LexicalCrossFitting
from icdcli.config.schema import Config
from icdcli.cross_fitting.out_of_fold import OutOfFold
from icdcli.data.corpus.reader import Corpus, Labels
from icdcli.io.files import writing
from icdcli.io.progress import Progress
from icdcli.lexical.descriptions import Descriptions, descriptions_of
from icdcli.lexical.reading import NoteReading
from icdcli.lexical.views import Views
from icdcli.model.new_model import views_of

Warn = Callable[[str], object]


@dataclass(frozen=True)
class AuditSettings:
    """How to audit.

    Attributes:
        error_rate: The share of the gold codes in which errors are planted, to learn from.
        top: The most findings.
        with_text: Whether findings contain words of the notes.
        seed: The seed of the errors that are planted.
    """

    error_rate: float = ERROR_RATE
    top: int = 500
    with_text: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Attributes:
        corpus: The name of the corpus.
        documents: The documents that were audited.
        settings: How they were.
        findings: The findings, the likeliest error first.
    """

    corpus: str
    documents: Sequence[AuditDocument]
    settings: AuditSettings
    findings: Sequence[AuditFinding]

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of findings of each kind."""
        counts = Counter(finding.kind for finding in self.findings)
        return {kind: counts[kind] for kind in KINDS}

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, without texts unless they were requested."""
        return {
            "corpus": self.corpus,
            "documents": len(self.documents),
            "codes": sum(len(document.labels) for document in self.documents),
            "error_rate": self.settings.error_rate,
            "seed": self.settings.seed,
            "counts": self.counts,
            "findings": [finding.to_json() for finding in self.findings],
        }


def audit_corpus(
    corpus: Corpus,
    config: Config,
    folder: Path,
    settings: AuditSettings | None = None,
    found: OutOfFold | None = None,
    *,
    on_progress: Progress | None = None,
    on_warning: Warn = lambda _message: None,
) -> Audit:
    """Find errors in the labels of the training and validation documents of a corpus.

    Args:
        corpus: The corpus.
        config: Its language, and the lexical parts that score documents.
        folder: A folder for the scores of each fold. A call that was stopped is continued by the
            same call.
        settings: How to audit.
        found: The out-of-fold scores of a run; None: fit the lexical parts alone, fold by fold.
        on_progress: Receives the progress.
        on_warning: Called with a message for each warning.

    Raises:
        ConfigError: If there are too few patients for the folds.
        DataError: If the corpus is too small or can't be read, or the run has another corpus.
        OSError: If the folder can't be written.
    """
    documents = audit_documents(corpus, on_warning)
    if found is None:
        logits_NL = word_logits(documents, corpus, config, folder, on_progress, on_warning)
    else:
        logits_NL = run_logits(documents, corpus, found)
    return audit_scores(documents, logits_NL, corpus, config, settings, on_progress)


def word_logits(
    documents: Sequence[AuditDocument],
    corpus: Corpus,
    config: Config,
    folder: Path,
    on_progress: Progress | None = None,
    on_warning: Warn = lambda _message: None,
) -> NDArray[np.float32]:
    """Return the log-odds of each code (N, L) from lexical models that haven't seen the document.

    The arguments are those of `audit_corpus`, and its documents.
    """
    views = views_of(config.model, config.data.language, on_warning)
    reading = NoteReading(views)
    if config.model.lexicon:
        texts = [document.text for document in documents]
        reading = NoteReading.fit(views, texts, corpus.labels, corpus.code_system)
    descriptions = _descriptions(corpus, config)
    fitting = LexicalCrossFitting(documents, corpus, config.model, reading, descriptions)
    return fitting.logits(folder, on_progress)


def audit_scores(
    documents: Sequence[AuditDocument],
    logits_NL: NDArray[np.float32],
    corpus: Corpus,
    config: Config,
    settings: AuditSettings | None = None,
    on_progress: Progress | None = None,
) -> Audit:
    """Find errors in the labels of documents with scores of models that haven't seen them.

    Args:
        documents: The documents.
        logits_NL: The log-odds of each code.
        corpus: The corpus that they are of.
        config: Its language.
        settings: How to audit.
        on_progress: Receives the progress.
    """
    settings = settings or AuditSettings()
    clues = CorpusClues(
        documents,
        logits_NL,
        PhraseTable(documents, _descriptions(corpus, config)),
        categories_of(corpus.labels),
        Views.of("learned", config.data.language, config.model.assertion_cues).reader,
    )
    ranked = rank_suspicions(clues, settings.error_rate, settings.seed, on_progress)
    kept = ranked[: settings.top]
    findings = worded_findings(kept, clues, corpus.labels, settings.with_text)
    return Audit(corpus.name, documents, settings, findings)


def _descriptions(corpus: Corpus, config: Config) -> Descriptions:
    language = config.data.language if config.model.lexicon else None
    return descriptions_of(corpus.labels, corpus.code_system, language)


def audit_to_file(
    corpus: Corpus,
    config: Config,
    output: Path,
    settings: AuditSettings | None = None,
    found: OutOfFold | None = None,
    notes: Path | None = None,
    on_progress: Progress | None = None,
    on_warning: Warn = lambda _message: None,
) -> Audit:
    """Audit a corpus, and write the findings.

    Args:
        corpus: The corpus.
        config: See `audit_corpus`.
        output: The table of findings: CSV, JSONL or Parquet. Until it is complete, a folder beside
            it has the scores of each fold.
        settings: How to audit.
        found: See `audit_corpus`.
        notes: A file for the notes that have findings, with their texts; None: don't write it.
        on_progress: Receives the progress.
        on_warning: Called with a message for each warning.

    Raises:
        ConfigError: If the ending of the output is unknown, or there are too few patients.
        DataError: If the corpus is too small or can't be read, or a file can't be written.
    """
    check_audit_path(output)
    settings = settings or AuditSettings()
    folder = output.with_name(f"{output.name}.parts")
    with writing(folder):
        audit = audit_corpus(
            corpus, config, folder, settings, found, on_progress=on_progress, on_warning=on_warning
        )
    write_findings(output, audit.findings, settings.with_text)
    if notes is not None:
        write_notes(notes, audit.documents, audit.findings, config.data.language)
    shutil.rmtree(folder, ignore_errors=True)
    return audit


def categories_of(labels: Labels) -> list[str]:
    """Return the category of each code, with its kind: ``diagnosis J18`` of J18.9."""
    return [
        f"{kind} {code.partition('.')[0] if '.' in code else code[:3]}"
        for code, kind in zip(labels.codes, labels.kinds, strict=True)
    ]
