import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import Labels, open_corpus, read_labels, write_labels
from icdcli.data.section import DataConfig
from icdcli.errors import ConfigError, DataError

ROWS = [
    {"id": "1", "subject_id": "a", "split": "train", "text": "one two", "codes": ["I10", "E11.9"]},
    {"id": "2", "subject_id": None, "split": "validation", "text": "three", "codes": ["Z99.0"]},
    {"id": "3", "subject_id": "b", "split": "train", "text": "four é", "codes": ["I10"]},
]
LABELS = Labels(("E11.9", "I10"), ("diagnosis", "diagnosis"), ("Diabetes", None), (3, 2), (1, 0))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return prepare(DataConfig(data_path=path)).folder


def refused(folder):
    with pytest.raises(DataError) as caught:
        open_corpus(folder)
    return str(caught.value)


def test_a_split_is_read_back_in_order(folder):
    corpus = open_corpus(folder)
    assert corpus.labels.codes == ("E11.9", "I10", "Z99.0")
    assert corpus.splits == ["train", "validation"]
    train = corpus.documents("train")
    assert (train.ids, train.subject_ids, train.rows.tolist()) == (["1", "3"], ["a", "b"], [0, 2])
    assert list(corpus.texts("train")) == ["one two", "four é"]
    assert [labels.tolist() for labels in train.targets] == [[0, 1], [1]]
    assert all(labels.dtype == np.int32 for labels in train.targets)
    assert len(train) == 2
    np.testing.assert_array_equal(train.targets_NL(3), [[True, True, False], [False, True, False]])
    assert corpus.documents("validation").subject_ids == [None]


def test_an_unknown_split_names_those_there_are(folder):
    for split in ("test", "dev"):
        with pytest.raises(
            ConfigError,
            match=rf"has no documents in '{split}'\. It has: train \(2\), validation \(1\)",
        ):
            open_corpus(folder).documents(split)


def test_the_files_are_as_the_contract_says(folder):
    documents = pq.read_schema(folder / "documents.parquet")
    assert documents.names == ["id", "subject_id", "split", "text", "codes"]
    assert documents.types == [pa.string()] * 4 + [
        pa.list_(documents.field("codes").type.value_field)
    ]
    labels = pq.read_table(folder / "labels.parquet")
    assert labels.column_names == ["label", "code", "kind", "title", "count", "train_count"]
    assert labels.schema.field("label").type == pa.int32()
    assert labels.column("count").to_pylist() == [1, 2, 1]
    assert labels.column("train_count").to_pylist() == [1, 2, 0]


def test_labels_survive_the_disk(tmp_path):
    path = tmp_path / "labels.parquet"
    write_labels(path, LABELS)
    assert read_labels(path) == LABELS
    assert LABELS.index == {"E11.9": 0, "I10": 1}
    assert len(LABELS) == 2
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["labels.parquet"]


def test_labels_out_of_order_or_twice_are_refused(tmp_path):
    path = tmp_path / "labels.parquet"
    write_labels(path, LABELS)
    table = pq.read_table(path)
    pq.write_table(table.take([1, 0]), path)
    with pytest.raises(DataError, match="aren't 0, 1, 2"):
        read_labels(path)
    pq.write_table(table.set_column(1, "code", [["I10", "I10"]]), path)
    with pytest.raises(DataError, match="one code each"):
        read_labels(path)
    pq.write_table(table.drop_columns(["kind"]), path)
    with pytest.raises(DataError, match="can't be read as a label space"):
        read_labels(path)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("card.json", "is not a prepared corpus"),
        ("labels.parquet", "can't be read as a label space"),
        ("documents.parquet", "documents.parquet: can't be read"),
    ],
)
def test_a_missing_part_is_named(folder, part, message):
    (folder / part).unlink()
    assert message in refused(folder)


@pytest.mark.parametrize("part", ["labels.parquet", "documents.parquet", "card.json"])
def test_a_damaged_part_is_named(folder, part):
    content = (folder / part).read_bytes()
    (folder / part).write_bytes(content[: len(content) // 2])
    assert part in refused(folder)


def damage(path, word):
    """Change one letter of a word in a file."""
    content = path.read_bytes()
    assert word in content
    path.write_bytes(content.replace(word, word.swapcase()))


@pytest.mark.parametrize("word", [b"three", b"Z99.0"])
def test_one_changed_letter_is_reported(folder, word):
    damage(folder / "documents.parquet", word)
    corpus = open_corpus(folder)
    with pytest.raises(
        DataError, match=r"documents\.parquet: can't be read .*prepare the data again"
    ):
        assert corpus.documents("train")
        assert list(corpus.texts("train"))


def test_one_changed_letter_of_a_label_is_reported(folder):
    damage(folder / "labels.parquet", b"Z99.0")
    assert "can't be read as a label space" in refused(folder)


def test_parts_that_do_not_belong_together_are_refused(folder):
    write_labels(folder / "labels.parquet", LABELS)
    assert "has 3 documents and 2 labels, but its card has 3 and 3" in refused(folder)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"format": 99}))
    assert "has format 99, but this version reads" in refused(folder)


@pytest.mark.parametrize("system", ["icd10", None])
def test_a_corpus_knows_its_coding_system(tmp_path, system):
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert (
        open_corpus(prepare(DataConfig(data_path=path, code_system=system)).folder).system == system
    )


def test_a_code_outside_the_label_space_is_refused(folder):
    codes = ("E11.9", "I11", "Z99.0")
    write_labels(
        folder / "labels.parquet",
        Labels(codes, ("diagnosis",) * 3, (None,) * 3, (1,) * 3, (1,) * 3),
    )
    with pytest.raises(DataError, match=r"code 'I10' isn't in labels\.parquet"):
        open_corpus(folder).documents("train")


def test_documents_that_lack_columns_are_refused(folder):
    path = folder / "documents.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["text"]), path)
    assert "documents.parquet: columns are missing" in refused(folder)
