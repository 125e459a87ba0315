"""The statistics of reviews on the terminal."""

from collections.abc import Callable

from icdcli.metrics.agreement import Agreement, CodeAgreement
from icdcli.metrics.bootstrap import Interval
from icdcli.report.views.reviews import review_statistics_view
from icdcli.review.statistics import CodeAcceptance, ModelDrift, ReviewStatistics

Render = Callable[..., list[str]]

CODES = tuple(CodeAcceptance(f"A{n:02}", 20 - n % 20, 15 - n % 15, 3, 1, n) for n in range(25))
MODEL = ModelDrift(
    *("6f1c" * 16, "outputs/notes", 30, 120, 0.7, Interval(0.62, 0.77), 0.8, 4.0),
    {"precision_micro": 0.9},
    drifted=True,
)
AGREEMENT = Agreement(
    *(12, 0.85, Interval(0.7, 0.95), 0.5),
    (CodeAgreement("I10", 5, 2, 0.7, Interval(0.2, 1.0)), CodeAgreement("R05", 12, 0, None, None)),
)


def statistics(**changes: object) -> ReviewStatistics:
    values = {
        **{"notes": 31, "finished": 30, "readings": 43, "seconds": {25: 40.0, 50: 65.0, 75: 130.0}},
        **{"codes": CODES, "models": (MODEL,), "agreement": AGREEMENT},
    }
    return ReviewStatistics(**{**values, **changes})


def test_all_of_it_is_said_in_80_columns(render: Render) -> None:
    lines = render(review_statistics_view(statistics(), "review.db"))
    text = "\n".join(lines)
    assert lines[:2] == ["review.db", "31 reviewed notes, 30 finished, 43 submitted readings"]
    assert "median 0:01:05; half of them take 0:00:40 to 0:02:10" in text
    assert "4.0 suggestions above the threshold per note" in text
    assert "precision 0.700 (0.620 to 0.770)" in text
    assert "precision on the validation split: 0.900, outside of the interval" in text
    assert ["A00", "20", "75%", "15", "3", "1", "0"] in [line.split() for line in lines]
    assert "and 5 more codes" in text
    assert "F1 0.850 (0.700 to 0.950), the same codes in 50%" in text
    assert ["R05", "12", "0", "undefined"] in [line.split() for line in lines]
    assert "Model outputs/notes (6f1c6f1c6f1c), 30 readings" in lines


def test_what_is_unknown_is_not_claimed(render: Render) -> None:
    nothing = statistics(notes=0, readings=0, finished=0)
    assert render(review_statistics_view(nothing, "review.db"))[2] == "Nothing is submitted yet."
    unknown = ModelDrift("0" * 64, "m", 1, 0, None, None, None, 0.0, {}, None)
    few = ModelDrift("0" * 64, "m", 1, 2, 0.5, None, 1.0, 2.0, {"precision_micro": 0.9}, None)
    found = statistics(seconds={}, codes=(), models=(unknown, few), agreement=None)
    text = "\n".join(render(review_statistics_view(found, "review.db")))
    assert "unknown, since the run" in text
    assert "too few reviews to compare" in text
    assert "Time per reading" not in text
