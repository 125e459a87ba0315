"""Scores of notes by models that haven't seen them, fold by fold."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from icdcli.audit.documents import AuditDocument, audit_documents
from icdcli.audit.scores import FOLDS, LexicalCrossFitting
from icdcli.config.schema import Config
from icdcli.data.corpus.reader import Corpus
from icdcli.lexical.descriptions import descriptions_of
from icdcli.lexical.reading import UNCHANGED

PARTS = "[descriptions, evidence]"
Fit = Callable[[list[AuditDocument]], LexicalCrossFitting]


@pytest.fixture
def notes_and_fit(
    audited: Callable[..., tuple[Corpus, Config]],
) -> tuple[list[AuditDocument], Fit]:
    corpus, config = audited(notes=30, lexical=PARTS)
    descriptions = descriptions_of(corpus.labels, corpus.code_system)

    def fit(documents: list[AuditDocument]) -> LexicalCrossFitting:
        return LexicalCrossFitting(documents, corpus, config.model, UNCHANGED, descriptions)

    return audit_documents(corpus), fit


def test_no_note_argues_for_its_own_labels(
    notes_and_fit: tuple[list[AuditDocument], Fit], tmp_path: Path
) -> None:
    documents, fit = notes_and_fit
    changed = list(documents)
    changed[3] = replace(documents[3], labels=frozenset({0, 1, 2}), annotations=())
    fitting = fit(documents)
    fold = fitting.fold_N[3]
    before, after = fitting._score(fold), fit(changed)._score(fold)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[part], after[part]) for part in before)
    other = (fold + 1) % FOLDS
    before, after = fitting._score(other), fit(changed)._score(other)
    assert not all(np.array_equal(before[part], after[part]) for part in before)


def test_a_stopped_call_is_continued(
    notes_and_fit: tuple[list[AuditDocument], Fit],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    documents, fit = notes_and_fit
    whole = fit(documents).logits(tmp_path)
    (tmp_path / "fold-4.npz").unlink()
    fitted: list[int] = []
    score = LexicalCrossFitting._score

    def counted(self: LexicalCrossFitting, fold: int) -> object:
        fitted.append(fold + 1)
        return score(self, fold)

    monkeypatch.setattr(LexicalCrossFitting, "_score", counted)
    assert np.array_equal(fit(documents).logits(tmp_path), whole)
    assert fitted == [4]


def test_scores_of_other_labels_are_not_used(
    notes_and_fit: tuple[list[AuditDocument], Fit], tmp_path: Path
) -> None:
    documents, fit = notes_and_fit
    fit(documents).logits(tmp_path)
    changed = [replace(documents[0], labels=frozenset({0})), *documents[1:]]
    again = fit(changed).logits(tmp_path)
    assert np.array_equal(again, fit(changed).logits(tmp_path / "new"))
    assert len(list(tmp_path.glob("fold-*.npz"))) == FOLDS
