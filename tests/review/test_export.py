"""Exported reviews are a table that ``prepare-data`` reads back, with splits that never change."""

import csv
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from reviewing import TEXT, fill, model

from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import open_corpus
from icdcli.data.section import DataConfig
from icdcli.errors import ConfigError, DataError
from icdcli.explain.spans import EvidenceSpan
from icdcli.review.decisions import DecisionDraft
from icdcli.review.export import export_reviews, stable_split
from icdcli.review.notes import ReviewNote, import_notes
from icdcli.review.purging import purge_texts
from icdcli.review.readings import append_decisions
from icdcli.review.store import Store
from icdcli.review.suggestions import Suggestion, add_model, add_suggestions

SUBMIT = DecisionDraft("submit")


def review(store: Store, id: str, *codes: str, author: str = "ana", reading: int = 1) -> None:
    drafts = [DecisionDraft("add", {"code": code}) for code in codes]
    append_decisions(store, id, [*drafts, SUBMIT], author=author, seen=0, reading=reading)


def rows_of(path: Path) -> list[dict]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_row_has_what_was_decided(store: Store, tmp_path: Path) -> None:
    note = ReviewNote("n1", TEXT, "stay 7", "p1", date(2026, 5, 31), "en")
    import_notes(store, [note])
    add_model(store, model())
    spans = (EvidenceSpan(14, 23, 0.5, "affirmed"), EvidenceSpan(32, 42, 0.5, "negated"))
    suggested = [
        Suggestion("J18.9", None, 0.9, 0.9, 0.5, None, spans),
        Suggestion("I10", None, 0.8, 0.8, 0.5, None, (EvidenceSpan(0, 8, 1.0, "affirmed"),)),
        Suggestion("R07.9", None, 0.7, 0.7, 0.5),
    ]
    add_suggestions(store, model().sha256, [("n1", suggested)])
    drafts = [
        DecisionDraft("accept", {"code": "J18.9"}),
        DecisionDraft("accept", {"code": "I10"}),
        DecisionDraft("mark", {"code": "I10", "evidence": [[50, 62]]}),
        DecisionDraft("reject", {"code": "R07.9", "reason": "denied"}),
        DecisionDraft("add", {"code": "E11.9"}),
        DecisionDraft("order", {"codes": ["I10", "J18.9", "E11.9"]}),
        DecisionDraft("poa", {"code": "J18.9", "value": "N"}),
        SUBMIT,
    ]
    last = append_decisions(store, "n1", drafts, author="ana", seen=0).events[-1]
    done = export_reviews(store, tmp_path / "reviewed.parquet")
    (row,) = rows_of(done.output)
    assert row == {
        "id": "n1",
        "text": TEXT,
        "codes": ["I10", "J18.9", "E11.9"],
        "poa": ["", "N", ""],
        "evidence": [
            {"code": "I10", "begin": 50, "end": 62},  # marked by the reviewer
            {"code": "J18.9", "begin": 14, "end": 23},  # accepted, without what is denied
        ],
        "split": stable_split(note),
        "subject_id": "p1",
        "encounter": "stay 7",
        "day": "2026-05-31",
        "reviewers": ["ana"],
        "submitted_at": last.at.isoformat(),
        "model": model().sha256,
    }
    export_reviews(store, tmp_path / "reviewed.jsonl")
    assert rows_of(tmp_path / "reviewed.jsonl") == [row]
    assert done.output.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
def test_prepare_data_reads_the_table_back(store: Store, tmp_path: Path, ending: str) -> None:
    splits = ["train"] * 4 + ["validation", "test"]
    texts = {f"n{place}": f'{TEXT}\r\nNo. "{place}", 열\n' for place in range(6)}
    import_notes(
        store,
        [
            ReviewNote(id, text, split=split)
            for (id, text), split in zip(texts.items(), splits, strict=True)
        ],
    )
    for id in texts:
        drafts = [
            DecisionDraft("add", {"code": "J18.9", "evidence": [[14, 23]]}),
            DecisionDraft("add", {"code": "I10", "evidence": [[50, 62], [0, 8]]}),
            *([DecisionDraft("add", {"code": "E11.9"})] if id != "n3" else []),
            SUBMIT,
        ]
        append_decisions(store, id, drafts, author="ana", seen=0)
    output = tmp_path / f"reviewed.{ending}"
    done = export_reviews(store, output)
    assert done.splits == {"train": 4, "validation": 1, "test": 1}
    config = DataConfig(data_path=output, code_system="icd10", evidence_column="evidence")
    corpus = open_corpus(prepare(config).folder)
    for split in ("train", "validation", "test"):
        documents = corpus.documents(split)
        assert list(corpus.texts(split)) == [texts[id] for id in documents.ids]
        assert documents.ids == [id for id, own in zip(texts, splits, strict=True) if own == split]
        for id, targets in zip(documents.ids, documents.targets, strict=True):
            expected = {"J18.9", "I10"} | ({"E11.9"} if id != "n3" else set())
            assert {corpus.labels.codes[label] for label in targets} == expected
    table = pq.read_table(corpus.folder / "evidence.parquet").to_pylist()
    spans = {(row["begin"], row["end"]) for row in table}
    assert spans == {(14, 23), (50, 62), (0, 8)}


def test_a_note_never_changes_its_split(opened: Callable[..., Store], tmp_path: Path) -> None:
    store = opened()
    patients = {f"n{place}": f"p{place // 3}" for place in range(90)}
    import_notes(store, [ReviewNote(id, id, subject=subject) for id, subject in patients.items()])
    first = list(patients)[:40]
    for id in first:
        review(store, id, "I10")
    export_reviews(store, tmp_path / "before.jsonl")
    for id in list(patients)[40:]:
        review(store, id, "I10")
    append_decisions(store, "n0", [DecisionDraft("reopen"), SUBMIT], author="ana", seen=2)
    export_reviews(opened(), tmp_path / "after.jsonl")
    before, after = (
        {row["id"]: row["split"] for row in rows_of(tmp_path / f"{name}.jsonl")}
        for name in ("before", "after")
    )
    assert before == {id: after[id] for id in first}
    assert set(after.values()) == {"train", "validation", "test"}
    by_patient: dict[str, set[str]] = {}
    for id, split in after.items():
        by_patient.setdefault(patients[id], set()).add(split)
    assert all(len(splits) == 1 for splits in by_patient.values())


def test_only_finished_notes_with_texts_are_exported(
    opened: Callable[..., Store], tmp_path: Path
) -> None:
    store = opened(double_share=1.0)
    names = ["same", "settled", "differ", "once", "purged", "open"]
    import_notes(store, [ReviewNote(name, name) for name in names])
    for name in ("same", "settled", "differ", "once", "purged"):
        review(store, name, "I10")
    for name in ("same", "purged"):
        review(store, name, "I10", author="ben", reading=2)
    for name in ("settled", "differ"):
        review(store, name, "E11.9", author="ben", reading=2)
    review(store, "settled", "J18.9", author="eva", reading=3)
    purge_texts(store, ["purged"])
    done = export_reviews(store, tmp_path / "reviewed.jsonl")
    codes = {row["id"]: row["codes"] for row in rows_of(done.output)}
    assert codes == {"same": ["I10"], "settled": ["J18.9"]}
    assert (done.notes, done.purged, done.unfinished) == (2, 1, 2)


def test_an_export_that_fails_leaves_the_file_before(store: Store, tmp_path: Path) -> None:
    fill(store)
    with pytest.raises(ConfigError, match=r"must end in .parquet or .jsonl or .csv or .json"):
        export_reviews(store, tmp_path / "reviewed.xlsx")
    with pytest.raises(DataError, match="can't be written"):
        export_reviews(store, tmp_path / "missing" / "reviewed.csv")
    done = export_reviews(store, tmp_path / "reviewed.csv")
    with done.output.open(encoding="utf-8", newline="") as file:
        assert [row[:3] for row in csv.reader(file)] == [["id", "text", "codes"]]
    assert done.notes == 0
