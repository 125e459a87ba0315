"""MDACE as a data set of its own: charts with texts, of one system, in the splits of its lists."""

import json
from pathlib import Path

import pytest

from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import Corpus, open_corpus
from icdcli.data.section import DataConfig
from icdcli.errors import ConfigError, DataError

TEXT = "Admitted with high blood pressure.\nLater ventilated."


def annotation(words: str, code: str, code_system: str, text: str = TEXT) -> dict:
    begin = text.index(words)
    end = begin + len(words)
    return {
        "begin": begin,
        "end": end,
        "code": code,
        "code_system": code_system,
        "covered_text": words,
        "type": "Human",
    }


def note(id: int, *annotations: dict, category: str = "Discharge summary", text=TEXT) -> dict:
    about = {"note_id": id, "category": category, "description": "Report"}
    return {**about, "annotations": list(annotations)} | ({} if text is None else {"text": text})


def chart(repository: Path, of: str, system: str, id: int, *notes: dict) -> None:
    folder = repository / "with_text" / "gold" / of / system / "1.0"
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"hadm_id": id, "comment": "", "notes": list(notes)})
    (folder / f"{id}-{system}.json").write_text(content, encoding="utf-8")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return MDACE's repository with four charts, one of them in no list."""
    root = tmp_path / "MDACE"
    for charts in ("Inpatient", "Profee"):
        lists = root / "splits" / charts
        lists.mkdir(parents=True)
        for name, ids in (("train", "1\n2\n"), ("val", "3\n"), ("test", "4\n")):
            (lists / f"MDace-ev-{name}.csv").write_text(ids)
    pressure10 = annotation("high blood pressure", "I10", "ICD-10-CM")
    ventilated10 = annotation("ventilated", "5A1935Z", "ICD-10-PCS")
    pressure9 = annotation("high blood pressure", "401.9", "ICD-9-CM")
    for id in (1, 2, 3, 4, 9):
        chart(root, "Inpatient", "ICD-9", id, note(10 * id, pressure9))
        physician = note(10 * id + 2, ventilated10, category="Physician")
        chart(root, "Inpatient", "ICD-10", id, note(10 * id, pressure10), physician)
        billed = annotation("Admitted", "99232", "CPT")
        chart(root, "Profee", "ICD-10", id, note(10 * id, pressure10, billed), physician)
    second = "Addendum: ventilated."
    more = note(12, annotation("ventilated", "5A1935Z", "ICD-10-PCS", second), text=second)
    chart(root, "Inpatient", "ICD-10", 1, note(10, pressure10), more)
    return root


def corpus_of(path: Path, protocol: str | None = None) -> tuple[Corpus, dict[str, int]]:
    prepared = prepare(DataConfig(data_path=path, protocol=protocol))
    return open_corpus(prepared.folder), prepared.card["dropped"]


def surfaces(corpus: Corpus, split: str) -> dict[str, list[tuple[str, str]]]:
    spans, documents = corpus.evidence(split), corpus.documents(split)
    return {
        id: [(corpus.labels.codes[label], words) for label, words in spans.surfaces(place, text)]
        for place, (id, text) in enumerate(zip(documents.ids, corpus.texts(split), strict=True))
    }


def test_icd9_of_discharge_summaries_is_the_default(repository: Path) -> None:
    corpus, dropped = corpus_of(repository)
    assert (corpus.card["dataset"], corpus.card["protocol"]) == ("mdace", "mdace-icd9")
    assert corpus.labels.codes == ("401.9",)
    assert corpus.system == "icd9"
    assert corpus.documents("train").ids == ["1", "2"]
    assert corpus.documents("test").ids == ["4"]
    assert surfaces(corpus, "validation") == {"3": [("401.9", "high blood pressure")]}
    assert dropped == {"admissions in no split list": 1}


def test_icd10_annotations_are_codes_and_evidence(repository: Path) -> None:
    corpus, dropped = corpus_of(repository, "mdace-icd10")
    assert set(corpus.labels.codes) == {"I10", "5A1935Z"}
    assert corpus.system == "icd10"
    assert corpus.labels.known_titles["I10"] == "Essential (primary) hypertension"
    # The second note of admission 1 begins behind the first.
    assert surfaces(corpus, "train")["1"] == [
        ("I10", "high blood pressure"),
        ("5A1935Z", "ventilated"),
    ]
    assert surfaces(corpus, "train")["2"] == [("I10", "high blood pressure")]
    assert dropped["annotations of notes that aren't Discharge summary"] == 4


def test_profee_has_all_notes_and_no_cpt(repository: Path) -> None:
    corpus, dropped = corpus_of(repository, "mdace-icd10-profee")
    assert surfaces(corpus, "test")["4"] == [
        ("I10", "high blood pressure"),
        ("5A1935Z", "ventilated"),
    ]
    assert dropped["annotations of codes that aren't ICD-10"] == 5
    with pytest.raises(DataError, match=r"has no Profee/ICD-9/…/\*.json"):
        corpus_of(repository, "mdace-icd9-profee")


def test_the_folder_with_texts_will_do_too(repository: Path) -> None:
    corpus, _ = corpus_of(repository / "with_text" / "gold", "mdace-icd10")
    assert corpus.documents("train").ids == ["1", "2"]


def test_charts_without_texts_are_refused(repository: Path) -> None:
    chart(
        repository,
        "Inpatient",
        "ICD-9",
        1,
        note(10, annotation("high", "401.9", "ICD-9-CM")) | {"text": None},
    )
    with pytest.raises(DataError, match=r"1-ICD-9.json: note 10 has no text. Run MDACE's inject"):
        corpus_of(repository)


def test_missing_lists_and_other_protocols_are_refused(repository: Path) -> None:
    with pytest.raises(ConfigError, match="isn't defined for mdace"):
        corpus_of(repository, "patient")
    (repository / "splits" / "Inpatient" / "MDace-ev-val.csv").unlink()
    with pytest.raises(DataError, match=r"MDACE's split lists .* aren't in it"):
        corpus_of(repository)


def test_words_that_differ_from_the_text_are_counted(repository: Path) -> None:
    wrong = annotation("Later", "I10", "ICD-10-CM") | {"covered_text": "other"}
    outside = annotation("Later", "I10", "ICD-10-CM") | {"begin": 50, "end": 500}
    chart(repository, "Inpatient", "ICD-10", 3, note(30, wrong, outside))
    corpus, dropped = corpus_of(repository, "mdace-icd10")
    assert surfaces(corpus, "validation") == {"3": []}
    assert corpus.documents("validation").targets[0].tolist() == [corpus.labels.index["I10"]]
    assert dropped["annotations whose place in the text holds other words"] == 1
    assert dropped["annotations outside their text"] == 1
