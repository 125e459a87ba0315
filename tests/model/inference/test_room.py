"""Scores of all documents and labels are in files, not in memory."""

import tracemalloc

import numpy as np
import pytest

from icdcli.data.encoded_documents import Windows
from icdcli.model.inference import room
from icdcli.model.inference.room import part_scores, zeros
from icdcli.model.inference.scored import highest_logits

DOCUMENTS, LABELS = 4_000, 3_000
MATRIX = DOCUMENTS * LABELS * 4
"""The bytes of a float32 matrix of documents and labels: 48 MB."""


class MadeUpModel:
    """Scores each text by its number."""

    def scores(self, texts):
        numbers = np.array([int(text) for text in texts], np.float32)[:, None]
        columns = np.linspace(0, 1, LABELS, dtype=np.float32)
        return {"ngrams": numbers * columns, "terms": numbers - columns}


@pytest.fixture
def in_files(monkeypatch):
    monkeypatch.setattr(room, "IN_MEMORY", 0)


def peak(compute):
    tracemalloc.start()
    try:
        found = compute()
        return found, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_lexical_scores_take_a_few_documents_of_memory(in_files):
    texts = (str(number) for number in range(DOCUMENTS))
    parts, most = peak(lambda: part_scores(MadeUpModel(), texts, DOCUMENTS))
    assert most < MATRIX / 2
    assert all(isinstance(part, np.memmap) for part in parts.values())
    whole = MadeUpModel().scores([str(number) for number in range(DOCUMENTS)])
    assert parts.keys() == whole.keys()
    assert all(np.array_equal(parts[name], whole[name]) for name in whole)


def test_lexical_scores_report_their_progress():
    seen = []
    texts = [str(number) for number in range(300)]
    part_scores(MadeUpModel(), texts, 300, lambda *report: seen.append(report))
    assert seen == [("scoring with the lexical model", done, 300) for done in (256, 300)]


def test_parts_without_documents_have_their_labels():
    parts = part_scores(MadeUpModel(), iter(()), 0)
    assert [part.shape for part in parts.values()] == [(0, LABELS)] * 2
    assert part_scores(type("Empty", (), {"scores": lambda self, texts: {}})(), ["1"], 1) == {}


def test_the_highest_logits_of_windows_are_in_a_file(in_files):
    windows = Windows.of([[(0, 5), (5, 9)]] * DOCUMENTS)
    logits = zeros(2 * DOCUMENTS, LABELS, np.float32)
    logits[1::2] = 1
    found, most = peak(lambda: highest_logits(logits, windows))
    assert most < MATRIX / 2
    assert isinstance(found, np.memmap)
    assert (found == 1).all()
