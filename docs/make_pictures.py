"""Make the README's pictures with icdcode's own views, from the files of a real run.

    .venv/bin/python docs/make_pictures.py outputs/demo/tiny --notes outputs/notes

writes training.svg (the live view in the last epoch), predictions.svg and learning_curves.png to
docs/pictures/. The run must have been evaluated on its test split. With ``--notes``, the run of
docs/own-notes.md, it also writes evidence.svg: the codes of that page's note with their evidence.
"""

import argparse
import html
import io
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from rich.console import Console, Group, RenderableType

from icdcli.config.loading import load_config
from icdcli.config.schema import Config
from icdcli.data.corpus.reader import read_labels
from icdcli.data.notes.text import Note
from icdcli.evaluation.sample import SamplePrediction
from icdcli.explain.evidence import evidence_finder
from icdcli.io.files import write_atomically
from icdcli.model.checkpoint import load_model
from icdcli.predict.batches import NotePredictor, Selection
from icdcli.report.console import Output
from icdcli.report.plots.run import learning_curves_png
from icdcli.report.views.evidence import evidence_view
from icdcli.report.views.predictions import coded_view, prediction_view
from icdcli.report.views.training import TrainingView
from icdcli.run_dir import RESULT_COLUMNS, RunDir, read_rows
from icdcli.training.events import Evaluated, Prepared, Started, StepDone, TrainingSummary

PICTURES = Path(__file__).parent / "pictures"
WIDTH = 96
BLANK = "\N{NO-BREAK SPACE}"

Row = dict[str, float]


def table(path: Path) -> list[Row]:
    """Read a run's table as numbers; its last columns are the metrics."""
    return [{name: float(value or "nan") for name, value in row.items()} for row in read_rows(path)]


def evaluated(row: Row, before: list[Row], config: Config) -> Evaluated:
    """Return a row of results.csv as the event that it was written from."""
    metrics = {name: value for name, value in row.items() if name not in RESULT_COLUMNS}
    monitor = config.train.monitor or ""
    values = [
        earlier[monitor] if monitor in earlier else np.mean([earlier[name] for name in metrics])
        for earlier in [*before, row]
    ]
    sign = -1 if config.train.monitor == "validation_loss" else 1
    losses = [earlier["validation_loss"] for earlier in [*before, row]]
    since_best = len(values) - 1 - int(np.argmax(sign * np.array(values)))
    return Evaluated(
        epoch=int(row["epoch"]),
        step=int(row["step"]),
        seconds=row["seconds"],
        train_loss=row["train_loss"],
        validation_loss=row["validation_loss"],
        lr=row["lr"],
        metrics=metrics,
        monitored=values[-1],
        best_metric=not since_best,
        best_loss=losses[-1] == min(losses),
        patience_left=config.train.patience - since_best,
    )


def training_picture(run: RunDir, config: Config) -> RenderableType:
    """Render the live view in the middle of the last epoch."""
    results, steps = table(run.results), table(run.steps)
    last = max(
        row["step"]
        for row in steps
        if row["step"] <= (results[-2]["step"] + results[-1]["step"]) / 2
    )
    now = 0.0
    output = Output()
    output.console = Console(file=io.StringIO(), width=WIDTH)
    view = TrainingView(output, clock=lambda: now)
    per_epoch = int(results[0]["step"])
    summary = TrainingSummary("", 0, 0, 0, 0, "cpu", 0, 0, 0, 0, config.train.steps, per_epoch)
    view.handle(Prepared(summary, run.root, config, {}))
    view.handle(Started(step=0, total_steps=config.train.steps, steps_per_epoch=per_epoch))
    for number, row in enumerate(results[:-1]):
        view.handle(evaluated(row, results[:number], config))
    for row in steps:
        if row["step"] <= last:
            now = float(
                np.interp(
                    row["step"],
                    [0, *(r["step"] for r in results)],
                    [0, *(r["seconds"] for r in results)],
                )
            )
            step, epoch = int(row["step"]), int(row["epoch"])
            view.handle(
                StepDone(step, epoch, row["lr"], row["train_loss"], row["tokens_per_second"])
            )
    return view


def prediction_picture(run: RunDir) -> RenderableType:
    """Render the first evaluated document that has a right, a missed and an extra code."""
    rows = pq.read_table(run.evaluation("test") / "predictions.parquet").to_pylist()
    titles = read_labels(run.checkpoint("metric") / "labels.parquet").known_titles
    for id in dict.fromkeys(row["id"] for row in rows):
        own = [row for row in rows if row["id"] == id]
        gold, predicted = (
            {row["code"] for row in own if row[kind]} for kind in ("gold", "predicted")
        )
        if gold & predicted and gold - predicted and predicted - gold:
            scores = {row["code"]: row["score"] for row in own}
            return prediction_view(
                SamplePrediction(id, tuple(sorted(gold)), tuple(sorted(predicted)), scores), titles
            )
    raise SystemExit("no document of the test split has a right, a missed and an extra code")


def evidence_picture(run: Path) -> RenderableType:
    """Render the codes of the note in docs/own-notes.md, with their evidence."""
    page = (PICTURES.parent / "own-notes.md").read_text(encoding="utf-8")
    text = page.split("<!-- file: new_note.txt -->\n```text\n")[1].split("```")[0]
    model, choice = load_model(run), Selection(None, None)
    (note,) = NotePredictor(model, choice, evidence_finder(model)).predict(
        [Note("new_note.txt", text)]
    )
    marked = [(code.code, code.title, code.evidence or ()) for code in note.codes]
    return Group(
        coded_view(note, choice, one_threshold=True), evidence_view(text, marked, signs=False)
    )


def _indented(text: re.Match[str]) -> str:
    """Replace the leading blanks of a text by a larger x, since some viewers drop blanks."""
    words = html.unescape(text["words"])
    blanks = len(words) - len(words.lstrip(BLANK))
    x, length = float(text["x"]), float(text["length"])
    indent = length / len(words) * blanks
    words = html.escape(words.lstrip(BLANK)).replace(BLANK, "&#160;")
    return f'x="{x + indent:g}"{text["y"]}textLength="{length - indent:g}"{text["rest"]}>{words}<'


def save_svg(renderable: RenderableType, name: str, title: str) -> None:
    """Write the output of a terminal as SVG, without the web font that rich would load."""
    console = Console(
        record=True,
        file=io.StringIO(),
        width=WIDTH,
        force_terminal=True,
        color_system="truecolor",
        emoji=False,
    )
    console.print(renderable)
    svg = re.sub(
        r"\s*@font-face \{.*?\}", "", console.export_svg(title=title, unique_id=name), flags=re.S
    )
    texts = (
        r'x="(?P<x>[\d.]+)"(?P<y> y="[\d.]+" )textLength="(?P<length>[\d.]+)"(?P<rest>[^>]*)>'
        r"(?P<words>&#160;[^<]*)<"
    )
    write_atomically(PICTURES / f"{name}.svg", re.sub(texts, _indented, svg))


def main() -> None:
    """Make all pictures of a run."""
    parser = argparse.ArgumentParser(description="Make the README's pictures from a run.")
    parser.add_argument(
        "run", type=Path, help="a finished, evaluated run, such as outputs/demo/tiny"
    )
    parser.add_argument("--notes", type=Path, help="the run of docs/own-notes.md")
    given = parser.parse_args()
    run = RunDir.open(given.run)
    config = load_config(run.args)
    PICTURES.mkdir(exist_ok=True)
    save_svg(training_picture(run, config), "training", "icdcode train configs/demo.yaml")
    save_svg(prediction_picture(run), "predictions", f"icdcode show-predictions {run.root}")
    if given.notes is not None:
        save_svg(
            evidence_picture(given.notes),
            "evidence",
            "icdcode predict outputs/notes new_note.txt --evidence",
        )
    learning_curves_png(
        table(run.results),
        [*config.log.common, *config.log.metrics],
        PICTURES / "learning_curves.png",
    )


if __name__ == "__main__":
    main()
