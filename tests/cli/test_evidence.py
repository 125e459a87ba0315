"""`--evidence` of predict, show-predictions and evaluate: the words behind each code."""

import csv
import json
import os
import re
import signal

import pyarrow.parquet as pq
import pytest

from icdcli import load_model
from icdcli.explain import note_reader
from icdcli.explain.evidence import explain_codes

TEXTS = [
    "Übelkeit 😷.\nAcute on chronic heart failure; denies fever. Type two diabetes mellitus.",
    "",
    "Kidney disease of stage three. " * 12,
]


@pytest.fixture(scope="session")
def notes(tmp_path_factory):
    path = tmp_path_factory.mktemp("notes") / "notes.jsonl"
    path.write_text(
        "".join(json.dumps({"id": str(row), "text": text}) + "\n" for row, text in enumerate(TEXTS))
    )
    return path


@pytest.fixture(scope="session")
def predicted(icdcode, trained, notes):
    answer = icdcode("predict", trained, notes, "--top", 2, "--evidence", "--json")
    assert answer.code == 0, answer
    return [json.loads(line) for line in answer.out.splitlines()]


def test_the_evidence_is_that_of_python(trained, predicted):
    model = load_model(trained)
    for text, note in zip(TEXTS, predicted, strict=True):
        assert len(note["codes"]) == (2 if text else 0)
        expected = explain_codes(model, text, [code["code"] for code in note["codes"]])
        for code, found in zip(note["codes"], expected, strict=True):
            assert [(span["begin"], span["end"]) for span in code["evidence"]] == [
                span[:2] for span in found.spans
            ]
            assert all(
                re.fullmatch(r"\w.*\w|\w", text[span["begin"] : span["end"]], re.DOTALL)
                for span in code["evidence"]
            )
            assert 0 < sum(span["weight"] for span in code["evidence"]) <= 1 + 1e-5


def test_every_output_has_the_same_evidence(icdcode, trained, notes, predicted, tmp_path):
    expected = [
        [[span[part] for span in code["evidence"]] for part in ("begin", "end", "weight")]
        for note in predicted
        for code in note["codes"]
    ]
    for ending in ("jsonl", "csv", "parquet"):
        answer = icdcode(
            "predict",
            trained,
            notes,
            "--top",
            2,
            "--evidence",
            "--output",
            tmp_path / f"codes.{ending}",
        )
        assert answer.code == 0, answer
    assert [
        json.loads(line) for line in (tmp_path / "codes.jsonl").read_text().splitlines()
    ] == predicted
    rows = [
        row
        for row in csv.DictReader((tmp_path / "codes.csv").read_text().splitlines())
        if row["code"]
    ]
    found = [
        [[float(number) for number in row[part].split()] for part in ("begin", "end", "weight")]
        for row in rows
    ]
    assert found == expected
    rows = pq.read_table(tmp_path / "codes.parquet").to_pylist()
    assert [row["begin"] for row in rows if row["code"]] == [begin for begin, _, _ in expected]
    assert [row["weight"] for row in rows if row["code"]] == [
        pytest.approx(weight) for _, _, weight in expected
    ]
    assert [row["begin"] for row in rows if not row["code"]] == [None]


def test_the_terminal_shows_the_words_in_their_sentences(icdcode, trained, notes):
    answer = icdcode("predict", trained, notes, "--top", 2, "--evidence")
    assert answer.code == 0, answer
    assert re.search(r"\*\*\w", answer.out)
    assert max(map(len, answer.out.splitlines()[1:])) <= 100
    for word in re.findall(r"\*\*(.+?)\*\*", answer.out.replace("\n", " ")):
        assert all(part in " ".join(TEXTS) for part in word.split())


def test_no_text_of_a_note_is_shown_without_request(icdcode, trained, notes, tmp_path):
    plain = icdcode("predict", trained, notes, "--top", 2)
    marked = icdcode(
        "predict", trained, notes, "--top", 2, "--evidence", "--output", tmp_path / "codes.jsonl"
    )
    for reported in (
        plain.out,
        plain.err,
        marked.out,
        marked.err,
        (tmp_path / "codes.jsonl").read_text(),
    ):
        assert "belkeit" not in reported
        assert "denies" not in reported
    assert "evidence" not in icdcode("predict", trained, notes, "--top", 2, "--json").out


def test_evidence_requested_later_starts_over(icdcode, trained, notes, tmp_path, monkeypatch):
    def stopped(reader, text, labels, scored=None):
        os.kill(os.getpid(), signal.SIGINT)

    output = tmp_path / "codes.csv"
    with monkeypatch.context() as patch:
        patch.setattr(note_reader.NeuralNoteReader, "read", stopped)
        assert (
            icdcode("predict", trained, notes, "--evidence", "--top", 1, "--output", output).code
            == 130
        )
    answer = icdcode("predict", trained, notes, "--top", 1, "--output", output)
    assert answer.code == 0
    assert "was written with other options. Starting over." in answer.err
    assert "begin" not in output.read_text().splitlines()[0]


def test_show_predictions(icdcode, trained):
    plain = icdcode("show-predictions", trained, "-n", 4, "--json").json["documents"]
    marked = icdcode("show-predictions", trained, "-n", 4, "--evidence", "--json").json["documents"]
    texts = icdcode("show-predictions", trained, "-n", 4, "--text", "--json").json["documents"]
    assert sum(code["predicted"] for document in plain for code in document["codes"]) > 0
    for one, other, noted in zip(plain, marked, texts, strict=True):
        assert "text" not in other
        for code, with_evidence in zip(one["codes"], other["codes"], strict=True):
            spans = with_evidence.pop("evidence", None)
            assert code == with_evidence
            assert (spans is not None) == code["predicted"]
            assert all(
                re.match(r"\w", noted["text"][span["begin"] : span["end"]]) for span in spans or []
            )
    for document, with_text in zip(marked, texts, strict=True):
        for span in (span for code in document["codes"] for span in code.get("evidence", ())):
            # A document of MIMIC-III is an admission, here of one note each.
            assert (span["note_begin"], span["note_end"]) == (span["begin"], span["end"])
            assert span["note_id"].isdecimal()
            assert with_text["text"][span["begin"] : span["end"]].strip()
    assert "**" in icdcode("show-predictions", trained, "-n", 4, "--evidence").out


def test_the_page(icdcode, run_copy, refused):
    assert icdcode("evaluate", run_copy, "--html", "--no-behavior", "--evidence").code == 0
    page = (run_copy / "evaluation" / "test" / "report.html").read_text()
    assert '<a href="#documents">' in page
    assert "<mark data-codes=" in page
    assert icdcode("evaluate", run_copy, "--html", "--no-behavior").code == 0
    page = (run_copy / "evaluation" / "test" / "report.html").read_text()
    assert "#documents" not in page
    assert "<mark" not in page
    refused(
        2,
        "evaluate",
        run_copy,
        "--evidence",
        says="--evidence: is part of the page that --html writes",
    )
