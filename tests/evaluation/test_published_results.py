from typing import Any

import pytest

from icdcli.config.metric_names import METRICS
from icdcli.data.benchmarks.published_counts import PUBLISHED
from icdcli.evaluation.published_results import comparable


def card(dataset: str, protocol: str, **more: Any) -> dict[str, Any]:
    return {"dataset": dataset, "protocol": protocol, "documents": 52_722, "options": {}, **more}


AS_PUBLISHED = {"is_benchmark": True, "reason": ""}


@pytest.mark.parametrize(
    ("dataset", "protocol", "split", "count"),
    [
        ("mimic3", "mimic3-full-caml", "test", 6),
        ("mimic3", "mimic3-50", "test", 6),
        ("mimic4", "mimic4-icd10", "test", 2),
        ("mimic3", "hadm-digit", "validation", 1),
    ],
)
def test_comparable_results_are_found(dataset: str, protocol: str, split: str, count: int) -> None:
    found = comparable(card(dataset, protocol, benchmark=AS_PUBLISHED), split)
    assert len(found.results) == count
    assert not found.reason
    for result in found.results:
        assert result.source
        assert set(result.values) <= set(METRICS)
        assert all(0 < value < 1 for value in result.values.values())


def test_edins_results_have_the_names_of_edins_way_of_counting() -> None:
    found = comparable(card("mimic4", "mimic4-icd10", benchmark=AS_PUBLISHED), "test")
    names = {name for result in found.results for name in result.values}
    assert names == {
        *("f1_micro_edin", "f1_macro_edin", "precision_at_8_edin", "map_edin"),
        *("aucroc_macro", "aucroc_micro"),
    }
    assert found.results[-1].values["aucroc_micro"] == 0.992


def test_results_are_not_compared_with_a_migrated_run() -> None:
    migrated = card("mimic3", "mimic3-50", benchmark=AS_PUBLISHED, labels={"space": "migrated"})
    found = comparable(migrated, "test")
    assert not found.results
    assert "migrated to another edition" in found.reason


def test_results_on_one_release_are_not_compared_with_a_run_on_another() -> None:
    of_paper = AS_PUBLISHED | {"release": "MIMIC-IV v2.2"}
    assert comparable(card("mimic4", "mimic4-icd10", benchmark=of_paper), "test").results
    later = AS_PUBLISHED | {"release": "MIMIC-IV v3.1"}
    found = comparable(card("mimic4", "mimic4-icd10", benchmark=later), "test")
    assert found.results == ()
    assert found.reason == (
        "published results are on MIMIC-IV v2.2, this corpus is of MIMIC-IV v3.1"
    )


def test_no_result_is_listed_without_a_source() -> None:
    for protocol in PUBLISHED:
        found = comparable(card(protocol[:6], protocol, benchmark=AS_PUBLISHED), "test")
        assert all(result.source for result in found.results)
        assert "CoLa-ICD" not in {result.name for result in found.results}


def test_codiesp_is_compared_on_diagnoses_in_use() -> None:
    assert (
        len(comparable(card("codiesp", "official", options={"codes": "diagnoses"}), "test").results)
        == 2
    )
    assert (
        "diagnoses only"
        in comparable(card("codiesp", "official", options={"codes": "all"}), "test").reason
    )
    described = {"codes": "diagnoses", "label_space": "described"}
    assert "has more" in comparable(card("codiesp", "official", options=described), "test").reason


@pytest.mark.parametrize(
    ("given", "split", "reason"),
    [
        (
            card("mimic3", "mimic3-full", benchmark=AS_PUBLISHED),
            "test",
            "train with protocol=mimic3-full-caml",
        ),
        (
            card("mimic3", "mimic3-full-caml", benchmark=AS_PUBLISHED),
            "validation",
            "on the test split, this is the val",
        ),
        (
            card(
                "mimic3", "mimic3-50", benchmark={"is_benchmark": False, "reason": "labels differ"}
            ),
            "test",
            "labels differ",
        ),
        (card("mimic3", "mimic3-50"), "test", "never compared with"),
        (
            card("mimic3", "hadm-digit", documents=100),
            "validation",
            "100 documents, MIMIC-III more than 50,000",
        ),
        (card("mimic3", "patient"), "test", "no published result on mimic3, protocol patient"),
        (
            card("mimic3", "mimic3-clean", benchmark=AS_PUBLISHED),
            "test",
            "no published result on mimic3, protocol mimic3-clean",
        ),
        (card("table", "patient"), "test", "no published result on table"),
    ],
)
def test_if_nothing_is_comparable_there_is_a_reason(
    given: dict[str, Any], split: str, reason: str
) -> None:
    found = comparable(given, split)
    assert found.results == ()
    assert reason in found.reason


def test_a_threshold_chosen_on_the_test_split_is_a_caveat() -> None:
    caveats = {
        result.name: result.caveat
        for result in comparable(
            card("mimic3", "mimic3-50", benchmark=AS_PUBLISHED), "test"
        ).results
    }
    assert "chosen on the test split" in caveats["GKI-ICD"]
    assert not caveats["CAML"]
