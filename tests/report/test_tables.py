import math
from collections.abc import Callable

from icdcli.config.metric_names import METRICS
from icdcli.report.tables import evaluation_table, validations_table
from icdcli.training.events import Evaluated

Render = Callable[..., list[str]]
COMMON = ("train_loss", "validation_loss", "lr")
FOUR = ("aucroc_macro", "aucroc_micro", "aucprc_macro", "aucprc_micro")


def validations(count: int, metrics: tuple[str, ...] = FOUR, best: int = 2) -> list[Evaluated]:
    return [
        Evaluated(
            epoch=epoch,
            step=epoch * 6000,
            seconds=epoch * 60.0,
            train_loss=0.0123,
            validation_loss=0.0234,
            lr=1e-4,
            metrics=dict.fromkeys(metrics, epoch / 100),
            monitored=epoch / 100,
            best_metric=epoch <= best,
            best_loss=epoch <= best + 1,
            patience_left=4,
        )
        for epoch in range(1, count + 1)
    ]


def test_an_evaluation_has_intervals_and_the_sources_of_definitions(render: Render) -> None:
    metrics = {"f1_micro": 0.61234, "map": math.nan, "loss": 0.9}
    rows = [line.split() for line in render(evaluation_table(metrics, {"f1_micro": (0.5, 0.7)}))]
    assert ["f1_micro", "0.6123", "0.5000–0.7000", "CAML,", "scikit-learn"] in rows
    assert ["map", "undefined", "trec_eval"] in rows
    assert ["loss", "0.9000"] in rows
    every = render(evaluation_table(dict.fromkeys(METRICS, 0.5), {}))
    assert max(map(len, every)) <= 80
    assert not any("…" in line for line in every)


def test_validations_mark_the_best_in_words(render: Render) -> None:
    lines = render(validations_table(validations(4), (*COMMON, *FOUR), 80))
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines[2:]]
    assert rows[0] == ["1", "6,000", "0.01230", "0.02340", "1.00e-04", *["0.0100"] * 4]
    assert [row[-1] for row in rows[1:3]] == ["metric", "loss"]
    both = render(validations_table([*validations(2, best=1)[:1]], COMMON, 80))
    assert both[-1].endswith("both")


def test_validations_keep_first_best_and_last(render: Render) -> None:
    lines = render(
        validations_table(validations(30, best=9), ("train_loss", "f1_micro", *FOUR), 80, limit=8)
    )
    epochs = [line.split()[0] for line in lines[2:]]
    assert epochs == ["1", "…", "9", "10", "…", "26", "27", "28", "29", "30"]


def test_many_metrics_turn_the_table(render: Render) -> None:
    every = tuple(METRICS)
    for width in (60, 80, 120):
        lines = render(
            validations_table(validations(30, every), (*COMMON, *every), width, limit=8), width
        )
        assert max(map(len, lines)) <= width
        assert lines[0].split()[0] == "epoch"
        assert lines[0].split()[-1] == "30"
        assert [line.split()[0] for line in lines[6:]] == list(every)
        assert lines[1].split()[:2] == ["best", "metric"]


def test_columns_that_a_validation_lacks_are_left_out(render: Render) -> None:
    lines = render(validations_table(validations(1), ("train_loss", "not_there"), 80))
    assert lines[1].split() == ["epoch", "step", "loss", "best"]
