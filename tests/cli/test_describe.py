"""``icdcode describe``: source tables and prepared corpora, on the terminal and in files."""

import json
import stat
from pathlib import Path

import pytest

OPTIONS = ("protocol=patient", "label_pruning=True")


@pytest.fixture
def corpus(icdcode, table_copies):
    answer = icdcode("prepare-data", table_copies, *OPTIONS, "--json")
    assert answer.code == 0, answer
    return Path(answer.json["folder"])


def test_raw_data_are_prepared_first_and_found_the_next_time(
    icdcode, table_copies, tmp_path, files
):
    to = tmp_path / "card"
    answer = icdcode("describe", table_copies, *OPTIONS, "--to", to)
    assert answer.code == 0
    assert answer.err == ""
    assert answer.out.startswith("Corpus mimic3 · patient\n")
    assert "leakage between splits: none" in answer.out
    assert answer.out.endswith(f"\nWritten: describe.png and describe.json in {to}\n")
    assert files(to) == {"describe.png", "describe.json"}
    before = {
        file.name: file.stat().st_mtime_ns for file in table_copies.glob(".icdcode/mimic3-*/*")
    }
    again = icdcode("describe", table_copies, *OPTIONS, "--to", to)
    assert again.out == answer.out
    assert {
        file.name: file.stat().st_mtime_ns for file in table_copies.glob(".icdcode/mimic3-*/*")
    } == before


@pytest.mark.usefixtures("pictures")
def test_a_prepared_corpus_is_described_in_its_folder(icdcode, corpus, without_pictures):
    answer = icdcode("describe", corpus)
    assert answer.code == 0
    assert f"Corpus: {corpus}\nWritten: describe.png and describe.json in {corpus}\n" in answer.out
    assert (corpus / "describe.png").read_bytes().startswith(b"\x89PNG")
    assert (corpus / "describe.png").stat().st_size > 10_000
    assert {
        stat.S_IMODE((corpus / f"describe.{kind}").stat().st_mode) for kind in ("png", "json")
    } == {0o600}
    with without_pictures():
        assert icdcode("describe", corpus).out == answer.out  # its own files do no harm


def test_preparing_ends_with_the_description(icdcode, corpus, table_copies):
    shown = icdcode("describe", corpus).out.partition("Corpus: ")[0]
    prepared = icdcode("prepare-data", table_copies, *OPTIONS).out
    assert "words per document" in shown
    assert prepared.startswith(f"{shown}Already prepared: {corpus}\nNext: icdcode train ")


def test_the_json_file_and_result_contain_the_complete_description(icdcode, corpus, tmp_path):
    answer = icdcode("describe", corpus, "--to", tmp_path / "card", "--json")
    assert answer.code == 0
    assert "words per document" in answer.err
    assert (answer.json["folder"], answer.json["to"]) == (str(corpus), str(tmp_path / "card"))
    described = answer.json["description"]
    assert described == json.loads((tmp_path / "card" / "describe.json").read_text())
    assert described["documents"] == sum(
        split["documents"] for split in described["splits"].values()
    )
    assert {
        "words",
        "codes",
        "leakage",
        "label_frequency",
        "labels_by_split",
        "chapters",
    } <= described.keys()


def test_an_older_corpus_has_no_description(icdcode, corpus):
    card = json.loads((corpus / "card.json").read_text())
    del card["description"]
    (corpus / "card.json").write_text(json.dumps(card))
    answer = icdcode("describe", corpus)
    assert answer.code == 0
    assert "an older icdcode prepared this corpus" in " ".join(answer.out.split())
    assert "long tail" in answer.out
    assert (corpus / "describe.png").is_file()


def test_options_of_raw_data_are_refused_for_a_prepared_corpus(refused, corpus):
    refused(
        2,
        "describe",
        corpus,
        "protocol=patient",
        says=[str(corpus), "is a prepared corpus", "Give the folder of the source tables"],
    )


def test_missing_data_is_an_error(refused, tmp_path):
    refused(
        3,
        "describe",
        tmp_path / "missing",
        says=["missing: no such file or folder", "icdcode demo-data"],
    )


def test_a_folder_that_cannot_be_written_is_an_error(icdcode, corpus, tmp_path):
    (tmp_path / "file").write_text("in the way")
    answer = icdcode("describe", corpus, "--to", tmp_path / "file")
    assert answer.code == 3
    assert answer.err.startswith(f"error: {tmp_path / 'file'}: can't be written")
    assert "--to" in answer.err
