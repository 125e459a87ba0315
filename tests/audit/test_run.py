"""Audits of made-up notes with a few errors in their labels."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from audited_notes import ADDED, REMOVED, SWAPPED, audited_config, write_audited_notes

from icdcli.audit.documents import audit_documents
from icdcli.audit.files import write_findings
from icdcli.audit.run import Audit, AuditSettings, audit_corpus, audit_to_file, categories_of
from icdcli.config.schema import Config
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import Corpus, Labels, open_corpus
from icdcli.data.corpus.views import corpus_of
from icdcli.errors import ConfigError, DataError

MakeAudited = Callable[..., tuple[Corpus, Config]]


@pytest.fixture(scope="module")
def audited_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Audit]:
    """Return a function that audits the notes, with annotated words or without."""
    folder = tmp_path_factory.mktemp("audit")
    done: dict[bool, Audit] = {}

    def audit(annotated: bool) -> Audit:
        if annotated not in done:
            path = write_audited_notes(folder / f"{annotated}.jsonl", annotated=annotated)
            config = audited_config(path)
            corpus = open_corpus(prepare(config.data).folder)
            settings = AuditSettings(with_text=annotated)
            done[annotated] = audit_corpus(corpus, config, folder / f"{annotated}.parts", settings)
        return done[annotated]

    return audit


@pytest.mark.parametrize("annotated", [pytest.param(True, marks=pytest.mark.slow), False])
def test_the_errors_come_first(audited_once: Callable[[bool], Audit], annotated: bool) -> None:
    found = audited_once(annotated).findings
    first = {(one.id, one.kind, one.code, one.instead) for one in found[:3]}
    assert first == {
        (REMOVED[0], "missing", REMOVED[1], None),
        (SWAPPED[0], "swap", SWAPPED[2], SWAPPED[1]),
        (ADDED[0], "unsupported", ADDED[1], None),
    }


def test_findings_are_ranked_and_name_a_code_once(
    audited_once: Callable[[bool], Audit],
) -> None:
    found = audited_once(True).findings
    assert [one.rank for one in found] == list(range(1, len(found) + 1))
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    named = [(one.id, code) for one in found for code in (one.code, one.instead) if code]
    assert len(named) == len(set(named))


def test_evidence_points_to_the_words(audited_once: Callable[[bool], Audit]) -> None:
    audit = audited_once(True)
    texts = {document.id: document.text for document in audit.documents}
    removed = next(one for one in audit.findings if (one.id, one.code) == REMOVED)
    (place,) = removed.evidence
    assert texts[removed.id][place.begin : place.end] in ("hypertension", "high blood pressure")
    assert place.assertion == "affirmed"
    assert removed.context is not None
    assert texts[removed.id][place.begin : place.end] in removed.context[0]


def test_reasons_say_what_other_notes_have(audited_once: Callable[[bool], Audit]) -> None:
    reasons = {(one.id, one.code): one.reason for one in audited_once(True).findings}
    assert "other notes with the same words have I10" in reasons[REMOVED]
    assert "the annotated words mean J18.9" in reasons[SWAPPED[0], SWAPPED[2]]
    assert "no term for K80.20 is in the note" in reasons[ADDED]


def test_without_texts_nothing_has_words_of_notes(
    audited_once: Callable[[bool], Audit],
) -> None:
    audit = audited_once(False)
    written = json.dumps(audit.to_json()) + repr(audit.findings[0])
    titles = {one.title for one in audit.findings} | {one.instead_title for one in audit.findings}
    for title in filter(None, titles):
        written = written.replace(title, "")
    for words in ("lobe full of fluid", "sugar disease", "patient seen", "wheezing for years"):
        assert words not in written
    assert all(one.context is None for one in audit.findings)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("with_text", [True, False])
def test_a_table_has_all_findings(
    audited_once: Callable[[bool], Audit], tmp_path: Path, ending: str, with_text: bool
) -> None:
    findings = audited_once(with_text).findings
    output = tmp_path / f"audit.{ending}"
    write_findings(output, findings, with_text)
    if ending == "csv":
        with output.open(encoding="utf-8", newline="") as file:
            rows = [dict(row) for row in csv.DictReader(file)]
        ends = [[int(end) for end in row["end"].split()] for row in rows]
    elif ending == "jsonl":
        rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
        ends = [[place["end"] for place in row["evidence"]] for row in rows]
    else:
        rows = pq.read_table(output).to_pylist()
        ends = [row["end"] for row in rows]
    assert [row["code"] for row in rows] == [one.code for one in findings]
    assert [float(row["score"]) for row in rows] == [one.score for one in findings]
    assert ends == [[place.end for place in one.evidence] for one in findings]
    assert all(("context" in row) == with_text for row in rows)
    assert output.stat().st_mode & 0o077 == 0


def test_notes_with_findings_can_be_imported_for_review(
    audited: MakeAudited, tmp_path: Path
) -> None:
    corpus, config = audited(25, lexical="[evidence]")
    notes = tmp_path / "to_review.jsonl"
    settings = AuditSettings(with_text=True, top=5)
    audit = audit_to_file(corpus, config, tmp_path / "audit.csv", settings, notes=notes)
    rows = [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == list(dict.fromkeys(one.id for one in audit.findings))
    texts = {document.id: document.text for document in audit.documents}
    assert all(row["text"] == texts[row["id"]] for row in rows)
    assert {row["split"] for row in rows} <= {"train", "validation"}
    assert not (tmp_path / "audit.csv.parts").exists()
    assert len(audit.findings) == 5


def test_a_corpus_that_is_too_small_is_refused(audited: MakeAudited, tmp_path: Path) -> None:
    corpus, config = audited(19)
    with pytest.raises(DataError, match=r"has 19 notes with codes.*needs at least 20"):
        audit_corpus(corpus, config, tmp_path / "parts")


def test_codes_outside_the_label_space_are_counted(audited: MakeAudited) -> None:
    config = audited(25)[1]
    path = config.data.path
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows[4]["codes"].append("A41.9")  # of validation
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = config.data.model_copy(update={"label_space": "train"})
    warnings: list[str] = []
    documents = audit_documents(corpus_of(prepare(data).folder, data), warnings.append)
    assert len(documents) == len(rows)
    assert [message.split(" ", 1)[0] for message in warnings] == ["1"]
    assert "aren't in the label space" in warnings[0]


def test_an_unknown_ending_is_refused_before_any_work(audited: MakeAudited, tmp_path: Path) -> None:
    corpus, config = audited(25, lexical="[evidence]")
    with pytest.raises(ConfigError, match=r"\.csv, \.jsonl, \.parquet"):
        audit_to_file(corpus, config, tmp_path / "audit.xlsx")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("audit")] == []


def test_categories_are_those_of_each_system() -> None:
    codes = ("J18.9", "I10", "428.0", "E885.9", "0BTC0ZZ", "36.15")
    kinds = ("diagnosis",) * 4 + ("procedure",) * 2
    labels = Labels(codes, kinds, (None,) * 6, (1,) * 6, (1,) * 6)
    assert [one.split()[1] for one in categories_of(labels)] == [
        *("J18", "I10", "428", "E885", "0BT", "36"),
    ]
