import itertools
import json
import re
from dataclasses import asdict

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from icdcli.data.corpus import statistics as module
from icdcli.data.corpus.statistics import CorpusStatistics, count_words

TRAIN, VALIDATION, TEST = "train", "validation", "test"


def statistics(rows, batch=2):
    """Return the statistics of (split, subject, text, number of codes), added in batches."""
    gathered = CorpusStatistics()
    for start in range(0, len(rows), batch):
        splits, subjects, texts, codes = zip(*rows[start : start + batch], strict=True)
        gathered.add(splits, subjects, pa.array(texts, pa.string()), codes)
    return gathered.description().to_json()


def summaries(values, splits):
    """Return the summaries as JSON."""
    return {name: asdict(summary) for name, summary in module.summaries(values, splits).items()}


def words_of(text):
    return len(re.findall(rb"[^\x00-\x20]+", text.encode()))


@settings(deadline=None)  # the first call may import things
@given(
    st.lists(st.text(st.sampled_from("a-é\N{NO-BREAK SPACE} \n\t\0")), max_size=8),
    st.integers(0, 4),
    st.integers(0, 8),
)
def test_words_are_runs_of_other_bytes_than_ascii_blanks_in_any_part_of_an_array(
    texts, start, length
):
    rows = pa.array(texts, pa.string()).slice(start, length)
    gathered = CorpusStatistics()
    gathered.add([TRAIN] * len(rows), [None] * len(rows), rows, [1] * len(rows))
    described = gathered.description().to_json()["words"]
    expected = [words_of(text) for text in texts[start : start + length]]
    assert bool(described) == bool(expected)
    if expected:
        assert described["all"]["mean"] == np.mean(expected)
        assert (described["all"]["min"], described["all"]["max"]) == (min(expected), max(expected))


def test_words_never_run_on_from_one_text_into_the_next():
    assert count_words(memoryview(b"oneone two"), [0, 3, 3, 6, 10]) == [1, 0, 1, 1]
    assert count_words(memoryview(b""), [0, 0]) == [0]


def test_quantiles_are_numbers_that_documents_have():
    values = np.arange(1, 101)
    described = summaries(values, np.zeros(100, dtype=np.uint8))["all"]
    del described["histogram"]
    assert described == {
        "mean": 50.5,
        "min": 1,
        "p5": 5,
        "p25": 25,
        "p50": 50,
        "p75": 75,
        "p95": 95,
        "max": 100,
    }
    assert summaries(np.array([1, 2]), np.zeros(2, dtype=np.uint8))["train"]["p50"] == 1


def test_splits_share_a_histograms_edges_and_no_document_is_lost():
    rows = [(TRAIN, None, "a " * n, 1) for n in range(1, 200)] + [
        (TEST, None, "a " * n, 3) for n in range(50, 300)
    ]
    words = statistics(rows, 40)["words"]
    assert list(words) == ["all", TRAIN, TEST]
    histograms = {name: part["histogram"] for name, part in words.items()}
    edges = histograms["all"]["edges"]
    assert all(histogram["edges"] == edges for histogram in histograms.values())
    assert {name: sum(histogram["counts"]) for name, histogram in histograms.items()} == {
        "all": 449,
        TRAIN: 199,
        TEST: 250,
    }
    assert histograms["all"]["scale"] == "linear"
    assert len({b - a for a, b in itertools.pairwise(edges)}) == 1
    assert edges[0] == 1
    assert edges[-1] > 299
    assert 20 <= len(edges) - 1 <= 31


def test_a_long_tail_has_bins_of_equal_ratio():
    values = np.array([4, *[1000] * 500, *[1500] * 500, 12_000])
    histogram = summaries(values, np.zeros(len(values), dtype=np.uint8))["all"]["histogram"]
    edges = histogram["edges"]
    assert histogram["scale"] == "log"
    assert (edges[0], edges[-1]) == (4, 12_001)
    assert edges == sorted(set(edges))
    assert sum(histogram["counts"]) == len(values)
    assert histogram["counts"][0] == histogram["counts"][-1] == 1
    zero = summaries(np.array([0, *values]), np.zeros(len(values) + 1, dtype=np.uint8))["all"][
        "histogram"
    ]
    assert zero["scale"] == "linear"  # nothing has a ratio to 0


def test_one_length_alone_has_one_bin():
    assert summaries(np.array([7, 7]), np.zeros(2, dtype=np.uint8))["train"]["histogram"] == {
        "scale": "linear",
        "edges": [7, 8],
        "counts": [2],
    }


def test_subjects_and_texts_in_two_splits_are_counted():
    described = statistics(
        [
            (TRAIN, "1", "same", 1),
            (TRAIN, "1", "same", 1),
            (TRAIN, "2", "other", 1),
            (TRAIN, "3", "third", 1),
            (VALIDATION, "2", "same", 1),
            (VALIDATION, "4", "same ", 1),
            (TEST, "1", "other", 1),
            (TEST, "2", "same", 1),
            (TEST, "5", "third", 1),
        ]
    )
    assert described["leakage"] == {
        "train & validation": {"subjects": 1, "texts": 1, "documents": 3},
        "train & test": {"subjects": 2, "texts": 3, "documents": 7},
        "validation & test": {"subjects": 1, "texts": 1, "documents": 2},
    }
    assert described["duplicates"] == {
        TRAIN: {"texts": 1, "documents": 2},
        VALIDATION: {"texts": 0, "documents": 0},
        TEST: {"texts": 0, "documents": 0},
    }


def test_unknown_subjects_are_said_to_be_unknown():
    described = statistics([(TRAIN, "1", "a", 1), (TEST, None, "b", 1)])
    assert described["leakage"] == {"train & test": {"subjects": None, "texts": 0, "documents": 0}}


def test_a_description_is_json_and_the_same_whatever_the_batches():
    rows = [
        (split, str(n % 7), "word " * (n % 11), n % 5) for n in range(60) for split in (TRAIN, TEST)
    ]
    once = statistics(rows, 1)
    assert json.loads(json.dumps(once)) == once == statistics(rows, 17)
    assert once["codes"]["test"]["mean"] == 2.0


def test_nothing_is_described_in_few_words():
    assert CorpusStatistics().description().to_json() == {
        "words": {},
        "codes": {},
        "leakage": {},
        "duplicates": {},
    }
