from types import SimpleNamespace

import numpy as np
import pytest

from icdcli.data.corpus.reader import Labels
from icdcli.data.notes.text import Note
from icdcli.explain.spans import EvidenceSpan
from icdcli.icd.rules.findings import Finding
from icdcli.model.coding_model import NoteScores
from icdcli.model.threshold import Threshold
from icdcli.predict import batches as coding
from icdcli.predict.batches import NotePredictor, Selection, note_blocks

CODES, TITLES = ("A00.0", "B00.1", "C00"), ("Cholera", None, "Lip")
PREDICTED = Selection()


def model(selection=PREDICTED, threshold=(0.5, 0.5, 0.5), seen=None, find=None, editions=None):
    """Return a predictor that scores a text by its length, which identifies the text."""

    def read(texts):
        if seen is not None:
            seen.append([len(text) for text in texts])
        scores_NL = np.array(
            [[len(text) / 100, 0.5, 1 - len(text) / 100] for text in texts], np.float32
        )
        windows, read = [1 + len(text) // 50 for text in texts], [1.0 for _ in texts]
        return NoteScores(scores_NL, windows, read, [None] * len(texts))

    kinds = ("diagnosis", "procedure", "diagnosis")
    labels = Labels(CODES, kinds, TITLES, (1,) * 3, (1,) * 3, editions)
    per_code = Threshold(how="auto_per_code", tuned_on="validation", per_code=threshold)
    scoring = SimpleNamespace(
        score_batches=lambda batches, ahead: map(read, batches), labels=labels, threshold=per_code
    )
    return NotePredictor(scoring, selection, find)


def of_lengths(*lengths):
    return [Note(str(place), "x" * length) for place, length in enumerate(lengths)]


def test_notes_are_read_longest_first_and_given_back_in_order(monkeypatch):
    monkeypatch.setattr(coding, "_CHARACTERS_AT_ONCE", 100)
    seen, reported = [], []
    notes = of_lengths(20, 70, 40, 0, 60)
    coded = model(seen=seen).predict(notes, reported.append)
    assert seen == [[70], [60, 40], [20]]
    assert reported == [2, 4, 5]
    assert [note.id for note in coded] == ["0", "1", "2", "3", "4"]
    assert [note.windows for note in coded] == [1, 2, 1, 0, 2]
    assert [[code.code for code in note.codes] for note in coded] == [
        ["C00", "B00.1"],
        ["A00.0", "B00.1"],
        ["C00", "B00.1"],
        [],
        ["A00.0", "B00.1"],
    ]


def test_a_code_has_title_score_threshold_and_decision():
    (note,) = model(threshold=(0.25, 0.5, 0.75)).predict(of_lengths(30))
    assert [code[:5] for code in note.codes] == [
        ("B00.1", None, 0.5, 0.5, True),
        ("A00.0", "Cholera", 0.3, 0.25, True),
    ]


def test_a_note_and_its_codes_have_the_editions_of_the_label_space():
    diagnosis, procedure = (
        {"name": name, "sha256": digit * 64} for name, digit in (("cm", "1"), ("pcs", "2"))
    )
    predictor = model(editions={"diagnosis": diagnosis, "procedure": procedure})
    note, empty = predictor.predict(of_lengths(80, 0))
    assert [code.edition for code in note.codes] == ["cm@111111111111", "pcs@222222222222"]
    assert note.editions == empty.editions == ("cm@111111111111", "pcs@222222222222")
    (unknown,) = model().predict(of_lengths(80))
    assert (unknown.editions, unknown.codes[0].edition) == ((), None)


@pytest.mark.parametrize(
    ("selection", "codes"),
    [
        (Selection(), "A B"),
        (Selection(top=1), "A"),
        (Selection(top=3), "A B C"),
        (Selection(top=9), "A B C"),
        (Selection(min_score=0.5), "A B"),
        (Selection(min_score=0.501), "A"),
        (Selection(min_score=0.9), ""),
        (Selection(min_score=0.0, top=2), "A B"),
        (Selection(top=1, also_predicted=True), "A B"),
        (Selection(top=3, also_predicted=True), "A B C"),
        (Selection(min_score=0.9, also_predicted=True), "A B"),
        (Selection(also_predicted=True), "A B"),
    ],
)
def test_which_codes_are_reported(selection, codes):
    (note,) = model(selection).predict(of_lengths(80))
    assert " ".join(code.code[0] for code in note.codes) == codes
    assert all(code.predicted == (code.score >= 0.5) for code in note.codes)


def test_of_equal_scores_the_first_label_comes_first():
    (note,) = model(Selection(top=3)).predict(of_lengths(50))
    assert [code.code for code in note.codes] == list(CODES)


def test_notes_without_text_are_not_read():
    seen = []
    assert [note.codes for note in model(seen=seen).predict([Note("1", " \n"), Note("2", "")])] == [
        (),
        (),
    ]
    assert seen == []


def test_blocks_end_by_number_and_by_length(monkeypatch):
    monkeypatch.setattr(coding, "BLOCK_CHARACTERS", 100)
    notes = of_lengths(10, 10, 10, 90, 200, 60, 40, 1)
    assert [[note.id for note in block] for block in note_blocks(iter(notes), 3)] == [
        ["0", "1", "2"],
        ["3"],
        ["4"],
        ["5", "6"],
        ["7"],
    ]
    assert list(note_blocks([])) == []


def test_evidence_is_found_for_the_reported_codes_only():
    asked = []

    def find(text, labels, windows=None, notes=()):
        asked.append((len(text), labels))
        return [(EvidenceSpan(label, label + 1, 1.0),) for label in labels]

    reported = []
    marking = model(Selection(top=2), find=find)
    notes = marking.predict(of_lengths(80, 0, 30), reported.append)
    assert asked == [(80, [0, 1]), (30, [2, 1])]
    assert reported == [2, 3]
    assert [[code.evidence for code in note.codes] for note in notes] == [
        [((0, 1, 1.0, None, None),), ((1, 2, 1.0, None, None),)],
        [],
        [((2, 3, 1.0, None, None),), ((1, 2, 1.0, None, None),)],
    ]
    assert all(
        code.evidence is None for note in model().predict(of_lengths(80)) for code in note.codes
    )


def test_only_predicted_codes_that_break_no_hard_rule_are_accepted():
    finding = Finding("not assignable", "hard", ("B00.1",), "…", "…")
    soft = Finding("unspecified", "soft", ("A00.0",), "…", "…")

    def check(note, day):
        return note._replace(findings=(finding, soft))

    selection = Selection(top=3, accept_score=0.5)
    (note,) = model(selection, (0.5, 0.5, 0.75)).predict(of_lengths(60))
    assert [(code.code, code.action) for code in note.codes] == [
        ("A00.0", "accept"),
        ("B00.1", "accept"),  # its score is the lowest that is accepted
        ("C00", "review"),
    ]
    predictor = model(selection, (0.5, 0.5, 0.1))
    predictor.check = check
    (note,) = predictor.predict(of_lengths(60))
    assert [code.action for code in note.codes] == ["accept", "review", "review"]
    (note,) = model().predict(of_lengths(60))
    assert [code.action for code in note.codes] == [None, None]
