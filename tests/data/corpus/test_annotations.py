import json
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest

from icdcli.data.corpus import annotations as evidence
from icdcli.data.corpus.card import describe_corpus
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import open_corpus
from icdcli.data.section import DataConfig
from icdcli.data.sources.admission import Admission, AnnotatedSpan, Code
from icdcli.errors import ConfigError, DataError
from icdcli.io.tables import row_writer


def span(code, begin, end, **group):
    return {"code": code, "begin": begin, "end": end, **group}


ROWS = [
    {"id": "b", "split": "train", "text": "high pressure, niño", "codes": ["I10", "E11.9"]},
    {"id": "v", "split": "validation", "text": "sugar", "codes": ["E11.9"]},
    {"id": "a", "split": "train", "text": "sugar", "codes": ["E11.9"]},
]
SEEN = {
    "b": [
        span("I10", 15, 19),
        span("E11.9", 0, 4, group=2),
        span("E11.9", 5, 13, group=2),
        span("Z99.0", 0, 4),
    ],
    "v": [],
    "a": [span("E11.9", 0, 5)],
}


def prepared(tmp_path, seen=SEEN, **options):
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(json.dumps(row | {"seen": seen.get(row["id"])}) + "\n" for row in ROWS))
    return prepare(DataConfig(data_path=path, **{"evidence_column": "seen", **options}))


def test_evidence_comes_back_by_document(tmp_path):
    corpus = open_corpus(prepared(tmp_path).folder)
    train, index = corpus.evidence("train"), corpus.labels.index
    assert corpus.documents("train").ids == ["b", "a"]
    assert [tuple(fragment) for fragment in train.of(0)] == [
        (index["I10"], 15, 19, 0),
        (index["E11.9"], 0, 4, 1),
        (index["E11.9"], 5, 13, 1),
    ]
    assert [tuple(fragment) for fragment in train.of(1)] == [(index["E11.9"], 0, 5, 0)]
    assert len(train) == 4
    assert train.starts.tolist() == [0, 3, 4]
    assert (
        train.starts.dtype,
        train.labels.dtype,
        train.begins.dtype,
        train.groups.dtype,
    ) == tuple(map(np.dtype, ("int64", "int32", "int64", "int32")))
    texts = list(corpus.texts("train"))
    assert train.surfaces(0, texts[0]) == [
        (index["I10"], "niño"),
        (index["E11.9"], "high pressure"),
    ]
    assert len(corpus.evidence("validation")) == 0
    assert corpus.evidence("validation").of(0) == []


def test_the_card_counts_it(tmp_path):
    card = prepared(tmp_path).card
    assert card["evidence"] == {"train": {"documents": 2, "annotations": 3, "fragments": 4}}
    assert card["dropped"] == {"annotations of a code that their document doesn't have": 1}
    assert (
        describe_corpus(open_corpus(prepared(tmp_path).folder)).card["evidence"] == card["evidence"]
    )


def test_the_file_is_private_and_as_the_contract_says(tmp_path):
    path = prepared(tmp_path).folder / "evidence.parquet"
    assert path.stat().st_mode & 0o777 == 0o600
    table = pq.read_table(path)
    assert table.column_names == ["id", "code", "begin", "end", "group"]
    assert table.column("id").to_pylist() == ["b", "b", "b", "a"]


def test_a_file_of_many_parts_reads_as_one(tmp_path, monkeypatch):
    monkeypatch.setattr(row_writer, "_GROUP_ROWS", 2)
    folder = prepared(tmp_path).folder
    assert pq.read_metadata(folder / "evidence.parquet").num_row_groups == 2
    assert open_corpus(folder).evidence("train").starts.tolist() == [0, 3, 4]


def test_a_source_that_lets_bad_spans_pass_is_stopped(tmp_path):
    bad = Admission(
        "1",
        None,
        "x",
        frozenset({Code("I10", "diagnosis")}),
        evidence=(AnnotatedSpan("I10", 0, 2, 0),),
    )
    writer = evidence.AnnotationWriter(tmp_path / "evidence.parquet", Counter())
    with pytest.raises(ValueError, match="evidence from 0 to 2 isn't in a text of 1 characters"):
        list(writer.pass_on([(bad, "train")]))


def test_without_evidence_there_is_no_file(tmp_path):
    for seen, options in (({}, {}), (SEEN, {"evidence_column": None})):
        corpus = prepared(tmp_path, seen, **options)
        assert not (corpus.folder / "evidence.parquet").exists()
        assert "evidence" not in corpus.card
        assert len(open_corpus(corpus.folder).evidence("train")) == 0
        assert open_corpus(corpus.folder).evidence("train").of(1) == []


def test_the_option_is_part_of_the_hash_only_where_it_is_set(tmp_path):
    with_evidence, without = prepared(tmp_path), prepared(tmp_path, evidence_column=None)
    assert with_evidence.folder != without.folder
    assert "evidence_column" not in without.card["options"]
    assert "label_space" not in without.card["options"]


def test_cleaned_texts_keep_no_evidence_and_the_card_says_so(tmp_path):
    corpus = prepared(tmp_path, text_cleaning="edin")
    assert not (corpus.folder / "evidence.parquet").exists()
    assert (
        corpus.card["dropped"]["annotations of evidence, which have no place in cleaned texts"] == 4
    )


def test_an_unknown_split_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no documents in 'test'"):
        open_corpus(prepared(tmp_path).folder).evidence("test")


def test_a_file_that_is_gone_is_missed_and_made_again(tmp_path):
    folder = prepared(tmp_path).folder
    (folder / "evidence.parquet").unlink()
    with pytest.raises(
        DataError, match=r"evidence\.parquet is missing. Delete the folder and prepare"
    ):
        open_corpus(folder)
    assert prepared(tmp_path).created
    assert (folder / "evidence.parquet").exists()


def test_a_damaged_file_is_named(tmp_path):
    corpus = open_corpus(prepared(tmp_path).folder)
    path = corpus.folder / "evidence.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["group"]), path)
    with pytest.raises(DataError, match=r"evidence\.parquet: can't be read"):
        corpus.evidence("train")
    pq.write_table(table.set_column(1, "code", [["X99"] * 4]), path)
    with pytest.raises(DataError, match=r"evidence\.parquet: code 'X99' isn't in labels\.parquet"):
        corpus.evidence("train")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"evidence\.parquet: can't be read"):
        corpus.evidence("train")


def test_bad_evidence_leaves_no_corpus(tmp_path):
    with pytest.raises(
        DataError,
        match="row 1, column 'seen': evidence from 0 to 99 isn't in a text of 19 characters",
    ):
        prepared(tmp_path, {"b": [span("I10", 0, 99)]})
    assert not list((tmp_path / ".icdcode").glob("table-*/card.json"))


@pytest.mark.parametrize(
    ("option", "value"), [("evidence_path", "mdace"), ("evidence_column", "seen")]
)
def test_an_option_of_another_data_set_is_refused(tmp_path, data, option, value):
    path = data if option == "evidence_column" else tmp_path / "notes.jsonl"
    prepared(tmp_path)
    with pytest.raises(ConfigError, match=rf"{option}: is for dataset: .* Leave it out"):
        prepare(DataConfig(data_path=path, **{option: value}))
