import json

import pyarrow.parquet as pq
import pytest

from icdcli.data.corpus.card import describe_corpus
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import LABELS, open_corpus, read_labels
from icdcli.data.section import DataConfig
from icdcli.errors import ConfigError, DataError
from icdcli.icd.editions.catalog import find_edition


def prepared(tmp_path, **options):
    path = tmp_path / "notes.jsonl"
    rows = [("train", ["I10", "M54.5"]), ("validation", ["I10"])]
    path.write_text(
        "".join(
            json.dumps({"split": split, "text": "x", "codes": codes}) + "\n"
            for split, codes in rows
        )
    )
    return prepare(DataConfig(data_path=path, **{"code_system": "icd10", **options}))


def test_described_codes_are_labels_without_documents(tmp_path):
    prepared_corpus = prepared(tmp_path, label_space="described")
    labels = open_corpus(prepared_corpus.folder).labels
    edition = find_edition("icd10cm")
    # Of the kinds that the data have, and those in use.
    assert set(labels.codes) == {*dict(edition.assignable()), "M54.5"}
    assert labels.codes == tuple(sorted(labels.codes))
    asthma, back = labels.index["J45.909"], labels.index["M54.5"]
    assert (labels.counts[asthma], labels.train_counts[asthma]) == (0, 0)
    assert labels.titles[asthma] == edition.title("J45.909")
    assert (labels.counts[back], labels.titles[back]) == (1, "Low back pain")
    assert sum(labels.counts) == 3
    card = prepared_corpus.card
    assert card["labels"]["space"] == card["options"]["label_space"] == "described"
    assert (card["labels"]["count"], card["labels"]["in_use"]) == (74_720, 2)


def test_seen_is_as_ever(tmp_path):
    corpus = prepared(tmp_path, label_space="seen")
    assert open_corpus(corpus.folder).labels.codes == ("I10", "M54.5")
    assert corpus.card["labels"]["space"] == "seen"
    assert (
        corpus.folder
        == prepared(tmp_path).folder
        != prepared(tmp_path, label_space="described").folder
    )


def test_card_and_label_space_name_the_edition(tmp_path):
    corpus = prepared(tmp_path)
    edition = find_edition("icd10cm")
    # No procedure is in use.
    record = {"diagnosis": {"name": "icd10cm-2026-04", "sha256": edition.sha256}}
    assert read_labels(corpus.folder / LABELS).editions == corpus.card["editions"] == record
    assert describe_corpus(open_corpus(corpus.folder)).to_json()["editions"] == record
    earlier = prepared(tmp_path, code_system="icd10cm-2024")
    assert open_corpus(earlier.folder).labels.editions["diagnosis"]["name"] == "icd10cm-2024"
    unknown = prepared(tmp_path, code_system=None)
    assert open_corpus(unknown.folder).labels.editions is None
    assert "editions" not in unknown.card


def test_damaged_editions_are_reported(tmp_path):
    path = prepared(tmp_path).folder / LABELS
    table = pq.read_table(path)
    metadata = {**table.schema.metadata, b"icdcode.editions": b"{"}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    with pytest.raises(DataError, match=r"labels.parquet: can't be read as a label space"):
        read_labels(path)


def test_codes_of_no_known_system_can_not_be_described(tmp_path):
    with pytest.raises(
        ConfigError, match=r"label_space: described needs the coding system. Set code_system"
    ):
        prepared(tmp_path, code_system=None, label_space="described")


def test_the_data_sets_own_titles_come_first(data):
    labels = open_corpus(
        prepare(DataConfig(data_path=data, label_space="described", label_pruning=True)).folder
    ).labels
    assert (
        len(labels) == 14_567 + 3_882
    )  # both kinds are in use, and all of its own codes are official ones
    assert labels.known_titles["428.0"] == "Own title"
    assert labels.known_titles["033.1"] == "Whooping"
    assert labels.counts[labels.index["033.1"]] == 0
    assert labels.kinds[labels.index["033.1"]], labels.kinds[labels.index["03.31"]] == (
        "diagnosis",
        "procedure",
    )


def test_own_tables_stay_labels_where_they_are_not_pruned(data):
    with (data / "D_ICD_DIAGNOSES.csv").open("a") as table:
        table.write("3,428,Category,Heart failure\n")
    config = {"data_path": data, "label_space": "described"}
    pruned = open_corpus(prepare(DataConfig(**config, label_pruning=True)).folder).labels
    every = open_corpus(prepare(DataConfig(**config)).folder).labels
    assert "428" not in pruned.codes
    assert set(every.codes) == {*pruned.codes, "428"}


def test_a_benchmark_keeps_its_label_space(data, tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    for name, ids in (("train", range(0, 40)), ("dev", range(40, 50)), ("test", range(50, 60))):
        (lists / f"{name}_full_hadm_ids.csv").write_text(
            "".join(f"{1000 + number}\n" for number in ids)
        )
    config = {"data_path": data, "protocol": "mimic3-full", "splits_path": lists}
    seen, described = (
        prepare(DataConfig(**config)),
        prepare(DataConfig(**config, label_space="described")),
    )
    assert seen.folder == described.folder
    assert not described.created
    assert described.card["labels"]["space"] == "protocol"
    assert described.card["labels"]["count"] == 3
