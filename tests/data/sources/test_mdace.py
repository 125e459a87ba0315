import json

import pytest

from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import open_corpus
from icdcli.data.section import DataConfig
from icdcli.errors import ConfigError, DataError

# The tables of conftest.py: HADM_ID 1000 + n has the note "Note number n", whose ROW_ID is n.


def annotation(begin, end, code="428.0", code_system="ICD-9-CM", **more):
    return {
        "begin": begin,
        "end": end,
        "code": code,
        "code_system": code_system,
        "description": "",
        "type": "Human",
        **more,
    }


def chart(folder, admission, notes, name=None):
    """Write a file in MDACE's format; `notes` is ROW_ID to annotations."""
    folder.mkdir(parents=True, exist_ok=True)
    about = [
        {"note_id": id, "category": "Discharge summary", "annotations": found}
        for id, found in notes.items()
    ]
    path = folder / f"{name or admission}-ICD-9.json"
    path.write_text(json.dumps({"hadm_id": admission, "comment": "", "notes": about}))
    return path


@pytest.fixture
def mdace(tmp_path):
    return tmp_path / "elsewhere" / "MDACE"


def evidence(data, mdace, **options):
    """Return the evidence of each document, and the card."""
    prepared = prepare(
        DataConfig(data_path=data, evidence_path=mdace, label_pruning=True, **options)
    )
    corpus, found = open_corpus(prepared.folder), {}
    for split in corpus.splits:
        spans = corpus.evidence(split)
        for place, (id, text) in enumerate(
            zip(corpus.documents(split).ids, corpus.texts(split), strict=True)
        ):
            if spans.of(place):
                found[id] = [
                    (corpus.labels.codes[label], words)
                    for label, words in spans.surfaces(place, text)
                ]
    return found, prepared.card


def test_annotations_are_joined_by_admission_and_note(data, mdace):
    chart(mdace / "Inpatient" / "ICD-9", 1001, {1: [annotation(0, 4), annotation(5, 11)]})
    chart(
        mdace / "Inpatient" / "ICD-9",
        1000,
        {0: [annotation(0, 4, "401.9"), annotation(5, 11, "03.31", "ICD-9-PCS")]},
    )
    found, card = evidence(data, mdace)
    assert found == {
        "1001": [("428.0", "Note"), ("428.0", "number")],
        "1000": [("401.9", "Note"), ("03.31", "number")],
    }
    assert sum(counts["annotations"] for counts in card["evidence"].values()) == 4
    assert not card["dropped"]
    names = [file["name"] for file in card["sources"]]
    assert "../elsewhere/MDACE/Inpatient/ICD-9/1001-ICD-9.json" in names


def test_offsets_move_with_a_note_that_is_not_the_first(data, mdace):
    with (data / "NOTEEVENTS.csv").open("a") as notes:
        notes.write("99,0,1001,,,,Discharge summary,Addendum,,,Later: failing\n")
    chart(mdace, 1001, {99: [annotation(7, 14)], 1: [annotation(0, 4)]})
    assert evidence(data, mdace)[0] == {"1001": [("428.0", "failing"), ("428.0", "Note")]}


def test_what_has_no_place_is_counted(data, mdace):
    notes = {
        1: [
            annotation(0, 4),
            annotation(0, 99),
            annotation(3, 3),
            annotation(0, 4, "I10", "ICD-10-CM"),
            annotation(0, 4, "401.9"),
        ],
        77: [annotation(0, 1), annotation(0, 2)],  # a note of another category
    }
    chart(mdace, 1001, notes)
    chart(mdace, 999, {5: [annotation(0, 1)]})  # an admission without a document
    found, card = evidence(data, mdace)
    assert found == {"1001": [("428.0", "Note")]}
    assert card["dropped"] == {
        "annotations of codes that aren't ICD-9": 1,
        "annotations outside their text": 2,
        "annotations of notes in no document": 3,
        "annotations of a code that their document doesn't have": 1,
    }


def test_words_that_differ_from_the_text_are_counted(data, mdace):
    chart(
        mdace,
        1001,
        {1: [annotation(0, 4, covered_text="Note"), annotation(0, 4, covered_text="Gone")]},
    )
    found, card = evidence(data, mdace)
    assert found == {"1001": [("428.0", "Note")]}
    assert card["dropped"] == {"annotations whose place in the text holds other words": 1}


def test_the_same_annotation_in_two_files_counts_once(data, mdace):
    for part in ("Inpatient", "Profee"):
        chart(mdace / part, 1001, {1: [annotation(0, 4)]})
    assert evidence(data, mdace)[0] == {"1001": [("428.0", "Note")]}


def test_codes_are_spelled_as_the_protocol_has_them(data, mdace, tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    for name, ids in (("train", range(0, 40)), ("dev", range(40, 50)), ("test", range(50, 60))):
        (lists / f"{name}_full_hadm_ids.csv").write_text(
            "".join(f"{1000 + number}\n" for number in ids)
        )
    chart(mdace, 1000, {0: [annotation(0, 4, "03.31", "ICD-9-PCS")]})
    found, _ = evidence(data, mdace, protocol="mimic3-full-caml", splits_path=lists)
    assert found == {"1000": [("33.1", "Note")]}  # CAML read procedures as numbers


def test_one_file_will_do(data, mdace):
    path = chart(mdace, 1001, {1: [annotation(0, 4)]})
    assert evidence(data, path)[0] == {"1001": [("428.0", "Note")]}


def test_the_corpus_is_another_when_annotations_change(data, mdace):
    chart(mdace, 1001, {1: [annotation(0, 4)]})
    first = prepare(DataConfig(data_path=data, evidence_path=mdace)).folder
    assert prepare(DataConfig(data_path=data, evidence_path=mdace)).folder == first
    chart(mdace, 1001, {1: [annotation(5, 11)]})
    assert prepare(DataConfig(data_path=data, evidence_path=mdace)).folder != first
    assert prepare(DataConfig(data_path=data)).folder != first


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "{}", '{"hadm_id": 1, "notes": [{"note_id": 1}]}', "3", "[" * 100_000],
)
def test_another_format_is_refused(data, mdace, content):
    chart(mdace, 1001, {}).write_text(content)
    with pytest.raises(DataError, match=r"1001-ICD-9\.json: is not in MDACE's format"):
        evidence(data, mdace)


@pytest.mark.parametrize(
    "values", [("0", 4), (0, 4.5), (0, True), (0, 4, 428), (0, 4, "428.0", None), (0, 4, "4/8")]
)
def test_bad_annotations_are_refused(data, mdace, values):
    chart(mdace, 1001, {1: [annotation(*values)]})
    with pytest.raises(DataError, match=r"1001-ICD-9\.json: is not in MDACE's format"):
        evidence(data, mdace)


def test_no_annotations_at_all_are_refused(data, mdace):
    for path in (mdace, data):
        with pytest.raises(
            ConfigError, match=r"evidence_path: .* isn't a file or folder with MDACE's"
        ):
            evidence(data, path)
