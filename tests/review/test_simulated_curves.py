"""Curves of a simulation: differences by notes and by decided codes, and how they are shown."""

from collections.abc import Sequence

import pytest

from icdcli.report.console import Output
from icdcli.report.plots.learning_curve import learning_curve_png
from icdcli.report.views.learning_curve import learning_curve_view, round_line
from icdcli.review.simulation.curves import curve_differences, mean_curves, notes_for
from icdcli.review.simulation.reviewer import SimulatedDecisions
from icdcli.review.simulation.rounds import SimulatedRound
from icdcli.review.simulation.run import LearningCurve
from icdcli.review.simulation.settings import SimulatedArm

UNCERTAINTY, RANDOM = (SimulatedArm(order, True, 0) for order in ("uncertainty", "random"))


def rounds(name: str, maps: Sequence[float], codes: Sequence[int]) -> list[SimulatedRound]:
    """Return rounds of ten notes with these MAPs, in which as many codes are decided each."""
    return [
        SimulatedRound(
            number,
            10 * number,
            SimulatedDecisions(accepted=count - 2, added=2),
            "first" if number == 1 else f"{name} {number}",
            *(8, 2, 30),
            {"test": {"map": value, "f1_micro": value / 2, "known": 0.5, "evidence_f1": None}},
            1.5,
        )
        for number, (value, count) in enumerate(zip(maps, codes, strict=True), start=1)
    ]


CURVE = LearningCurve(
    "corpus",
    30,
    ["test"],
    {
        UNCERTAINTY: rounds("uncertainty", [0.2, 0.5, 0.6], [10, 20, 10]),
        RANDOM: rounds("random", [0.2, 0.3, 0.5], [10, 10, 20]),
    },
)


def test_orders_are_compared_by_notes_and_by_decided_codes() -> None:
    (found,) = curve_differences(CURVE, "test")
    assert (found.curve, found.other, found.rounds) == (UNCERTAINTY.curve, RANDOM.curve, 2)
    assert found.means["map"] == pytest.approx((0.2 + 0.1) / 2)
    assert found.better["map"] == 2
    assert found.means["decided"] == pytest.approx((2 - 1 + 1 - 2) / 2)
    # Uncertainty has decided 30 and 40 codes; random has .4 after 30 of its 40, and .5 after all.
    assert found.at_equal_work["map"] == pytest.approx((0.5 - 0.4 + 0.6 - 0.5) / 2)
    assert "evidence_f1" not in found.means


def test_notes_until_a_curve_stays_above_a_share_of_its_last_value() -> None:
    points = mean_curves(CURVE, "test")[UNCERTAINTY.curve]
    assert notes_for(points, "map", 0.8) == 20
    assert notes_for(points, "map", 0.9) == 30
    assert notes_for(points, "evidence_f1", 0.9) is None
    falling = LearningCurve("c", 30, ["test"], {RANDOM: rounds("r", [0.6, 0.2, 0.6], [9, 9, 9])})
    assert notes_for(mean_curves(falling, "test")[RANDOM.curve], "map", 0.9) == 30


def test_the_view_has_each_measure_that_is_defined(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    Output().show(learning_curve_view(CURVE))
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines()]
    assert ["20", "0.500", "0.300"] in lines and ["30", "1.000", "2.000"] in lines
    assert "Words" not in shown and "F1 of shown words on test" not in shown
    assert "with as many codes decided: MAP +0.100" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80
    line = round_line(RANDOM, CURVE.rounds[RANDOM][1])
    assert line == (
        "random, codes and words, seed 0: 20 notes reviewed, test MAP 0.300, micro-F1 0.150"
    )


def test_a_figure_needs_a_round(tmp_path) -> None:
    learning_curve_png(CURVE, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="at least one round"):
        learning_curve_png(LearningCurve("c", 1, ["test"], {RANDOM: []}), tmp_path / "no.png")
    assert not (tmp_path / "no.png").exists()
