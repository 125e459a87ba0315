"""Checks of predictions: findings beside the codes, codes that hard rules remove, every format."""

import csv
import json
from datetime import UTC, date, datetime
from io import StringIO
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from icdcli.data.corpus.reader import Labels
from icdcli.data.notes.files import find_notes
from icdcli.data.notes.text import Note
from icdcli.errors import ConfigError
from icdcli.explain.spans import EvidenceSpan
from icdcli.icd.code_system import open_code_system
from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.rules.code_sets import read_code_sets
from icdcli.model.coding_model import NoteScores
from icdcli.model.threshold import Threshold
from icdcli.predict.batches import NotePredictor, Selection
from icdcli.predict.checking import Checking, note_checks
from icdcli.predict.formats.blocks import CodedBlock
from icdcli.predict.run import predict_notes
from icdcli.predict.writers import note_dict, table_format
from icdcli.report.views.predictions import coded_view

CODES = ("E10.9", "E11.9", "G35", "I50.22", "I50.9", "0SR90JA")
KINDS = ("diagnosis",) * 5 + ("procedure",)
SCORES = (0.6, 0.9, 0.7, 0.8, 0.75, 0.95)
EDITIONS = open_code_system("icd10cm-2026-04").to_json()


def labels(editions=EDITIONS):
    number = len(CODES)
    return Labels(CODES, KINDS, (None,) * number, (1,) * number, (1,) * number, editions)


@pytest.fixture
def scoring():
    def read(texts):
        scores_NL = np.array([SCORES for _ in texts], np.float32)
        return NoteScores(scores_NL, [1] * len(texts), [1.0] * len(texts), [None] * len(texts))

    return SimpleNamespace(
        score_batches=lambda batches, ahead: map(read, batches),
        labels=labels(),
        threshold=Threshold(0.5),
    )


def coded(scoring, checking, selection=None, find=None):
    check = None if checking is None else note_checks(scoring.labels, checking).apply
    predictor = NotePredictor(scoring, selection or Selection(), find, check)
    (note,) = predictor.predict([Note("n1", "a note")])
    return note


def test_checks_add_findings_and_change_nothing_else(scoring):
    plain, checked = coded(scoring, None), coded(scoring, Checking())
    assert plain.findings is None
    assert checked._replace(findings=None, checked_by=()) == plain
    assert {(one.kind, one.codes) for one in checked.findings} == {
        ("not assignable", ("G35",)),
        ("excludes", ("E11.9", "E10.9")),
        ("use additional", ("E11.9",)),
    }


def test_the_same_evidence_of_an_unspecified_and_a_specific_code_is_found(scoring):
    spans = (EvidenceSpan(0, 6, 1.0, "affirmed"),)
    note = coded(
        scoring, Checking(), find=lambda text, chosen, windows, notes: [spans] * len(chosen)
    )
    assert ("unspecified", ("I50.9", "I50.22")) in {(one.kind, one.codes) for one in note.findings}


def test_hard_rules_remove_codes_and_say_why(scoring):
    note = coded(scoring, Checking(resolve=True))
    (gone,) = (one for one in note.codes if not one.predicted)
    assert (gone.code, gone.score) == ("G35", pytest.approx(0.7))
    assert gone.dropped.startswith("not assignable: G35 (Multiple sclerosis) can't be assigned")
    assert [one.kind for one in note.findings if one.severity == "hard"] == []


def test_codes_below_the_threshold_are_not_checked(scoring):
    scoring.threshold = Threshold(0.78)
    note = coded(scoring, Checking(), Selection(top=6))
    assert len(note.codes) == 6
    assert [one.codes for one in note.findings] == [("E11.9",)]


def test_the_day_of_the_discharge_chooses_the_edition(scoring):
    note = coded(scoring, Checking(on=date(2024, 5, 1)))
    assert note.findings == ()  # G35 could be assigned, and that edition has no notes


def test_each_note_is_checked_by_the_edition_of_its_day(scoring, tmp_path):
    """G35 could be assigned until 2025."""
    path = tmp_path / "notes.csv"
    path.write_text("id,text,day\nn1,a,2024-05-01\nn2,a,2026-05-01\nn3,a,\n")
    notes = find_notes([str(path)], date_column="day")
    found = list(predict_notes(scoring, notes, checking=Checking()))
    hard = [any(one.severity == "hard" for one in note.findings) for note in found]
    assert hard == [False, True, True]
    names = [{one.partition("@")[0] for one in note.checked_by} for note in found]
    assert [("icd10cm-2024" in one, "icd10cm-2026-04" in one) for one in names] == [
        *[(True, False), (False, True), (False, True)],
    ]
    same = list(predict_notes(scoring, notes, checking=Checking(on=date(2024, 5, 1))))
    assert not any(one.severity == "hard" for note in same for one in note.findings)


def test_a_model_of_an_unknown_system_or_of_another_edition(scoring):
    with pytest.raises(ConfigError, match="the coding system of this model isn't known"):
        list(predict_notes(SimpleNamespace(labels=labels(None)), [], checking=Checking()))
    with pytest.raises(ConfigError, match="no edition 'kcd-9'"):
        note_checks(labels({"diagnosis": {"name": "kcd-9", "sha256": "0"}}), Checking())
    warnings = []
    changed = {"diagnosis": {"name": "icd10cm-2026-04", "sha256": "0" * 64}}
    note_checks(labels(changed), Checking(), warnings.append)
    assert "the model was made with icd10cm-2026-04@000000000000" in warnings[0]


def test_every_format_has_the_findings(scoring, tmp_path):
    note = coded(scoring, Checking(resolve=True))
    values = note_dict(note)
    assert [one["kind"] for one in values["findings"]] == ["excludes", "use additional"]
    assert {one["code"] for one in values["codes"] if "dropped" in one} == {"G35"}
    rows = {}
    for ending in ("jsonl", "csv", "parquet"):
        output, part = tmp_path / f"codes.{ending}", tmp_path / "part"
        written = table_format(output.suffix, False, check=True, resolve=True)
        written.write(part, CodedBlock([Note(note.id, "")], [note], datetime.now(UTC)))
        written.join(output, [part])
        rows[ending] = output
    assert json.loads(rows["jsonl"].read_text()) == values
    parquet = {row["code"]: row for row in pq.read_table(rows["parquet"]).to_pylist()}
    assert [one["kind"] for one in parquet["E11.9"]["findings"]] == ["excludes", "use additional"]
    assert parquet["E11.9"]["findings"][0] == values["findings"][0]
    assert parquet["E10.9"]["findings"] == []
    assert (parquet["G35"]["predicted"], parquet["E10.9"]["dropped"]) == (False, None)
    with rows["csv"].open(newline="") as file:
        table = {row["code"]: row for row in csv.DictReader(file, strict=True)}
    assert table["E11.9"]["findings"].startswith("excludes (soft): E11.9, Excludes1: type 1")
    assert " | use additional (soft): " in table["E11.9"]["findings"]
    assert table["G35"]["dropped"] == parquet["G35"]["dropped"]
    assert list(table["G35"])[-1] == "edition"


def test_predictions_with_findings_can_be_checked_again(scoring, tmp_path):
    """What is removed isn't predicted any more, for `icdcode check` either."""
    edition = find_edition("icd10cm-2026-04")
    for ending in ("jsonl", "csv", "parquet"):
        output, part = tmp_path / f"codes.{ending}", tmp_path / "part"
        written = table_format(output.suffix, False, check=True, resolve=True)
        note = coded(scoring, Checking(resolve=True))
        written.write(part, CodedBlock([Note(note.id, "")], [note], datetime.now(UTC)))
        written.join(output, [part])
        ((_, codes),) = read_code_sets(output, edition, False)
        assert "G35" not in codes.codes
        assert len(codes.codes) == 5


def test_without_checks_the_formats_are_as_before(scoring):
    assert "findings" not in note_dict(coded(scoring, None))
    assert "dropped" not in note_dict(coded(scoring, Checking()))["codes"][0]
    plain, checked = (table_format(".csv", False, check, False) for check in (False, True))
    assert "findings" not in str(plain) and "findings" in str(checked)


def test_the_terminal_shows_findings_and_removed_codes(scoring):
    console = Console(file=StringIO(), width=200)
    console.print(coded_view(coded(scoring, Checking(resolve=True)), Selection(), True))
    shown = console.file.getvalue()
    assert "5 codes" in shown
    assert "removed G35 (0.700), not assignable: G35 (Multiple sclerosis)" in shown
    assert "soft, excludes: E11.9, Excludes1: type 1 diabetes" in shown


def test_the_terminal_says_if_nothing_was_found(scoring):
    note = coded(scoring, Checking())._replace(findings=())
    for checked, words in ((note, "no findings by icd10cm-2026-04@"), (coded(scoring, None), "")):
        console = Console(file=StringIO(), width=200)
        console.print(coded_view(checked, Selection(), True))
        assert ("no findings" in console.file.getvalue()) == bool(words)
        assert words in console.file.getvalue()
