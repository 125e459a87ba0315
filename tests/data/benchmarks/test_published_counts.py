import pytest

from icdcli.data.benchmarks.published_counts import PUBLISHED, FoundCount, compare_with_published

FULL = PUBLISHED["mimic3-full"]
SPLITS = {
    "train": {"documents": 47_719},
    "validation": {"documents": 1_631},
    "test": {"documents": 3_372},
}


def test_the_benchmark_is_known_by_rows_documents_labels_and_lists():
    result = compare_with_published("mimic3-full", FULL.rows, SPLITS, 8_929, True)
    assert (result.is_benchmark, result.reason, result.release) == (True, "", "MIMIC-III v1.4")
    assert result.counts["labels"] == FoundCount(found=8_929, published=8_929)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"labels": 8_921}, "the number of labels differs"),
        (
            {"splits": SPLITS | {"test": {"documents": 3_371}}},
            "the number of test documents differs",
        ),
        ({"splits": {}}, "train documents and validation documents and test documents differs"),
        ({"published_lists": False}, "the split lists aren't the published ones"),
    ],
)
def test_a_difference_is_named_count_by_count(change, reason):
    options = {
        "rows": FULL.rows,
        "splits": SPLITS,
        "labels": 8_929,
        "published_lists": True,
    } | change
    result = compare_with_published("mimic3-full", **options)
    assert not result.is_benchmark
    assert reason in result.reason
    assert result.counts


def test_other_tables_are_not_the_benchmark_and_are_not_compared():
    result = compare_with_published(
        "mimic3-full", {**FULL.rows, "NOTEEVENTS": 2_000}, SPLITS, 8_929, True
    )
    assert result.to_json() == {
        "protocol": "mimic3-full",
        "is_benchmark": False,
        "reason": "NOTEEVENTS has 2,000 rows, that of MIMIC-III v1.4 2,083,180",
        "counts": {},
        "release": "",
    }


@pytest.mark.parametrize(
    ("protocol", "diagnoses", "release", "labels"),
    [
        ("mimic4-icd10", 4_756_326, "MIMIC-IV v2.2", 7_942),
        ("mimic4-icd10", 6_364_520, "MIMIC-IV v3.0", 7_940),
        ("mimic4-icd10", 6_364_488, "MIMIC-IV v3.1", 7_940),
        ("mimic4-icd9", 6_364_520, "MIMIC-IV v3.0", 6_147),
        ("mimic4-icd9", 6_364_488, "MIMIC-IV v3.1", 6_147),
    ],
)
def test_each_release_of_mimic4_has_its_own_labels(protocol, diagnoses, release, labels):
    documents = zip(SPLITS, PUBLISHED[protocol].documents, strict=True)
    splits = {split: {"documents": count} for split, count in documents}
    rows = {"discharge": 331_793, "diagnoses_icd": diagnoses, "procedures_icd": 1}
    result = compare_with_published(protocol, rows, splits, labels, True)
    assert (result.is_benchmark, result.reason, result.release) == (True, "", release)
    assert result.counts["labels"] == FoundCount(labels, labels)
    wrong = compare_with_published(protocol, rows, splits, labels + 1, True)
    assert (wrong.is_benchmark, wrong.reason) == (False, "the number of labels differs")


def test_the_tables_of_an_unknown_release_are_compared_with_those_of_the_paper():
    rows = {"discharge": 331_793, "diagnoses_icd": 5_006_884}
    result = compare_with_published("mimic4-icd10", rows, SPLITS, 7_942, True)
    assert not result.is_benchmark
    assert result.reason == ("diagnoses_icd has 5,006,884 rows, that of MIMIC-IV v2.2 4,756,326")


def test_protocols_that_no_paper_reports_on_are_not_compared():
    assert compare_with_published("patient", {}, {}, 0, False) is None
