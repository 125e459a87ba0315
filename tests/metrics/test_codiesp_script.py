"""CodiEsp's numbers against what trectools 0.0.42 and the script's steps gave for these files."""

import pytest

from icdcli.metrics.codiesp_script import codiesp_script_metrics

GOLD = {
    "a": {"i10", "e11.9", "n17.9"},
    "b": {"j18.9"},
    "c": {"n39.0", "z87.440", "q64.4"},
    "d": {"k02.9"},
    "f": {"m89.9", "r52"},
}
RANKED = {
    "a": ["i10", "code6", "e11.9", "i10", "n17.9", "j18.9"],
    "b": ["r52", "j18.9"],
    "c": ["n39.0", "a53.9", "z87.440"],
    "e": ["i10", "j18.9"],
    "f": ["code7", "m89.9"],
}
INVALID = {"code6", "code7", "a53.9"}


def rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 12) for name, value in values.items()}


def test_recorded_outputs() -> None:
    values = codiesp_script_metrics(GOLD, RANKED, depths=(1000, 30, 3))
    assert rounded(values) == {
        "map": 0.422222222222,
        "map_at_30": 0.422222222222,
        "map_at_3": 0.372222222222,
        "precision": 0.5,
        "recall": 0.7,
        "f1": 0.583333333333,
    }


def test_recorded_outputs_of_valid_codes() -> None:
    ranked = {name: [code for code in own if code not in INVALID] for name, own in RANKED.items()}
    assert rounded(codiesp_script_metrics(GOLD, ranked)) == {
        "map": 0.533333333333,
        "map_at_30": 0.533333333333,
        "precision": 0.636363636364,
        "recall": 0.7,
        "f1": 0.666666666667,
    }


def test_a_document_without_predictions_does_not_count_in_its_map() -> None:
    everything = {name: sorted(codes) for name, codes in GOLD.items()}
    assert codiesp_script_metrics(GOLD, everything)["map"] == 1
    del everything["a"]
    values = codiesp_script_metrics(GOLD, everything)
    assert values["map"] == 1
    assert values["recall"] == pytest.approx(7 / 10)


def test_sets_have_no_map() -> None:
    assert codiesp_script_metrics(GOLD, RANKED, has_order=False).keys() == {
        "precision",
        "recall",
        "f1",
    }


def test_nothing_predicted_is_zero() -> None:
    assert set(codiesp_script_metrics(GOLD, {"a": []}).values()) == {0.0}
