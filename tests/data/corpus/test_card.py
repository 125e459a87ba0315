import json
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from icdcli.data.corpus.card import describe_corpus, label_frequency
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import DOCUMENTS_SCHEMA, Labels, open_corpus
from icdcli.data.section import DataConfig
from icdcli.errors import DataError

# Split, subject, text, codes. 428.0, 401.9 and 428.9 are diagnoses, 03.31 and 36.15
# procedures, 123.456 is no code.
ROWS = [
    ("train", "1", "one two three", ["428.0", "401.9", "03.31"]),
    ("train", "2", "one two", ["428.0", "428.9"]),
    ("train", "3", "one", ["401.9"]),
    ("validation", "2", "one two three", ["428.0", "36.15"]),
    ("test", "4", "four words stand here", ["428.0", "36.15", "123.456"]),
]


def prepared(folder, rows=ROWS, **options):
    data = folder / "notes.jsonl"
    names = ("split", "subject", "text", "codes")
    data.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    options = {
        "code_system": "icd9",
        "subject_column": "subject",
        "split_column": "split",
        **options,
        "accept_unknown_codes": True,
        "accept_leaks": True,
    }
    return open_corpus(prepare(DataConfig(data_path=data, **options)).folder)


@pytest.fixture
def corpus(tmp_path):
    return prepared(tmp_path)


def rewritten(corpus, **columns):
    """Write the corpus's documents with other columns."""
    path = corpus.folder / "documents.parquet"
    table = pq.read_table(path).to_pydict() | columns
    pq.write_table(pa.table(table, schema=DOCUMENTS_SCHEMA), path)


def add_tokens(corpus, lengths, name="tokens-a"):
    folder = corpus.folder / name
    folder.mkdir()
    np.save(folder / "offsets.npy", np.cumsum([0, *lengths], dtype=np.int64))
    (folder / "meta.json").write_text("{}")


def test_what_the_card_says_is_repeated(corpus):
    described = describe_corpus(corpus).to_json()
    for key in ("dataset", "protocol", "documents", "splits", "labels", "dropped"):
        assert described[key] == corpus.card[key]
    assert described.items() >= corpus.card["description"].items()
    assert described["words"]["train"]["mean"] == 2.0
    assert described["codes"]["all"]["max"] == 3
    assert described["leakage"]["train & validation"] == {"subjects": 1, "texts": 1, "documents": 2}
    assert "benchmark" not in described
    corpus.card["benchmark"] = {
        "protocol": "mimic3-full",
        "is_benchmark": True,
        "reason": "",
        "counts": {},
    }
    assert describe_corpus(corpus).to_json()["benchmark"] == corpus.card["benchmark"]


def test_a_description_is_json(corpus):
    add_tokens(corpus, [5, 4, 3, 2, 1])
    described = describe_corpus(corpus).to_json()
    assert json.loads(json.dumps(described, allow_nan=False)) == described


def test_labels_are_counted_by_split(corpus):
    assert describe_corpus(corpus).to_json()["labels_by_split"] == {
        "train": {"seen": 4, "unseen_in_training": 0},
        "validation": {"seen": 2, "unseen_in_training": 1},
        "test": {"seen": 3, "unseen_in_training": 2},
    }


def test_counts_do_not_depend_on_how_many_documents_are_read_at_once(corpus, monkeypatch):
    whole = describe_corpus(corpus).to_json()
    monkeypatch.setattr("icdcli.data.corpus.card._AT_ONCE", 2)
    assert describe_corpus(corpus).to_json() == whole


def test_codes_without_a_title_are_named(tmp_path):
    strange = [f"999.{n:03}" for n in range(12)]
    described = describe_corpus(
        prepared(tmp_path, [*ROWS, ("train", "9", "text", strange)])
    ).to_json()
    assert described["without_title"] == {"count": 13, "first": ["123.456", *strange[:9]]}


def test_documents_are_counted_once_a_chapter(corpus):
    chapters = describe_corpus(corpus).to_json()["chapters"]
    assert [(chapter["kind"], chapter["id"], chapter["documents"]) for chapter in chapters] == [
        ("diagnosis", "390-459", 5),
        ("procedure", "01-05", 1),
        ("procedure", "35-39", 2),
        (None, None, 1),
    ]
    assert (chapters[0]["title"], chapters[-1]["title"]) == (
        "Diseases of the circulatory system",
        "in no chapter",
    )


def test_chapters_need_a_coding_system(tmp_path):
    assert "chapters" not in describe_corpus(prepared(tmp_path, code_system=None)).to_json()


def test_mimic3_and_codiesp_have_a_coding_system_without_an_option(corpus):
    corpus.card["options"] = {}
    corpus.card["dataset"] = "mimic3"
    assert describe_corpus(corpus).to_json()["chapters"][0]["id"] == "390-459"
    corpus.card["dataset"] = "codiesp"
    assert [chapter["id"] for chapter in describe_corpus(corpus).to_json()["chapters"]][-1] is None


def labels(*counts):
    codes = tuple(str(number) for number in range(len(counts)))
    return Labels(codes, ("diagnosis",) * len(counts), (None,) * len(counts), counts, counts)


def test_the_long_tail_is_counted():
    found = asdict(label_frequency(labels(0, 1, 1, 4, 5, 9, 10, 99, 100, 771)))
    assert found["counts"] == [771, 100, 99, 10, 9, 5, 4, 1, 1, 0]
    assert found["mentions"] == 1000
    assert found["labels_with"] == {
        "no": 1,
        "one": 2,
        "fewer_than_5": 4,
        "fewer_than_10": 6,
        "at_least_100": 2,
    }
    assert found["covering"] == {
        "50": {"labels": 1, "share": 1 / 9},
        "90": {"labels": 3, "share": 3 / 9},
    }


def test_as_many_labels_as_are_needed_cover_a_share():
    assert asdict(label_frequency(labels(*[1] * 10)))["covering"] == {
        "50": {"labels": 5, "share": 0.5},
        "90": {"labels": 9, "share": 0.9},
    }
    assert label_frequency(labels(0, 0)).covering == {}


def test_each_token_cache_is_described(corpus):
    assert describe_corpus(corpus).to_json()["tokens"] == {}
    add_tokens(corpus, [512, 513, 1024, 4097, 9000], "tokens-b")
    add_tokens(corpus, [1, 2, 3, 4, 5], "tokens-a")
    tokens = describe_corpus(corpus).to_json()["tokens"]
    assert list(tokens) == ["tokens-a", "tokens-b"]
    assert tokens["tokens-b"]["longer_than"] == {
        "512": 4,
        "1024": 2,
        "2048": 2,
        "4096": 2,
        "8192": 1,
    }
    assert set(tokens["tokens-a"]["longer_than"].values()) == {0}
    lengths = tokens["tokens-a"]["lengths"]
    assert {split: part["mean"] for split, part in lengths.items()} == {
        "all": 3,
        "train": 2,
        "validation": 4,
        "test": 5,
    }


def test_an_older_corpus_has_no_description_and_all_the_rest(corpus):
    whole = describe_corpus(corpus).to_json()
    del corpus.card["description"]
    older = describe_corpus(corpus).to_json()
    assert whole.keys() - older.keys() == {"words", "codes", "leakage", "duplicates"}
    assert older == {key: value for key, value in whole.items() if key in older}


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"codes": [["428.0"]] * 4 + [["V99"]]}, "'V99' isn't in labels.parquet"),
        ({"split": ["train"] * 4 + ["dev"]}, "'dev' is not a split"),
    ],
)
def test_parts_that_do_not_fit_are_refused(corpus, columns, says):
    rewritten(corpus, **columns)
    with pytest.raises(DataError, match=says):
        describe_corpus(corpus).to_json()


def test_damaged_documents_are_reported_in_one_message(corpus):
    path = corpus.folder / "documents.parquet"
    content = path.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    path.write_bytes(content[:4] + bytes(footer - 4) + content[footer:])
    with pytest.raises(
        DataError, match=r"(?s)documents.parquet: can't be read .* prepare the data again"
    ):
        describe_corpus(corpus).to_json()


def test_damaged_tokens_are_reported_in_one_message(corpus):
    add_tokens(corpus, [1, 2])
    (corpus.folder / "tokens-a" / "offsets.npy").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"tokens-a: can't be read .* Delete this folder"):
        describe_corpus(corpus).to_json()


def test_tokens_of_other_documents_are_refused(corpus):
    add_tokens(corpus, [1, 2])
    with pytest.raises(DataError, match=r"tokens-a: .* fit its corpus.*Delete this folder"):
        describe_corpus(corpus).to_json()
