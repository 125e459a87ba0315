"""``icdcode demo``: everything once, on synthetic notes, for somebody who has nothing yet but the program."""

from collections.abc import Mapping
from json import dumps as quoted  # a JSON string is a YAML string, whatever is in it
from pathlib import Path
from typing import Annotated, Any

import typer

from icdcli.cli.common import Json, Overrides, showing
from icdcli.cli.predict import Call, code_notes
from icdcli.cli.prepare_data import prepared
from icdcli.cli.resume import resume_run
from icdcli.cli.show_predictions import show
from icdcli.cli.train import train_run
from icdcli.config.loading import load_config
from icdcli.config.schema import Config
from icdcli.report.console import Output
from icdcli.run_dir import RunDir

_CONFIG = "demo.yaml"
_FOLDER = Path("icdcode-demo")
_NOTE = """\
Admission Date:  [**2140-3-2**]       Discharge Date:  [**2140-3-9**]
Sex: F    Service: MEDICINE
Allergies: No Known Drug Allergies

REASON FOR ADMISSION:
71 year old woman who presents with shortness of breath and leg swelling. No chest pain, chills or headache.

PAST MEDICAL HISTORY:
- type 2 diabetes, on insulin
- high blood pressure
- h/o heart attack

SOCIAL HISTORY:
Lives alone. Never smoked. Denies alcohol.

FAMILY HISTORY:
Father had atrial fibrillation.

Physical Exam:
T 98.1 HR 92 BP 148/83. Crackles at both bases. WBC-7.2 Hct-33 Na-137

Hospital Course by Problem:
Chest film with pulmonary edema, treated with furosemide. She was found to have congestive heart failure.
Creatinine rose from 1.1 to 2.4, consistent with acute renal failure.
No evidence of pneumonia. Vital signs remained stable overnight.

Discharge Medications:
furosemide 40 mg daily, insulin glargine 20 units daily, lisinopril 10 mg daily

Discharge Diagnosis:
- congestive heart failure
- acute renal failure

Followup Instructions:
Return for fever, chest pain or shortness of breath.
"""


class _Steps(Output):
    """An output that keeps what each step gives, for one result of them all."""

    def __init__(self, json: bool) -> None:
        super().__init__(json)
        self.given: list[Mapping[str, Any]] = []

    def result(self, mapping: Mapping[str, Any]) -> None:
        self.given.append(mapping)

    def begin(self, words: str) -> None:
        self.say(f"\n== {words}")


def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder for all of it.")
    ] = _FOLDER,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Make up notes, prepare them, train a small coder on two CPU cores, score it and code a new note (three minutes).

    Writes DIR/data/demo and DIR/outputs/demo. A second call keeps the notes, goes on with a run that was interrupted after
    a checkpoint, and otherwise trains a new one beside those that are there.

    Example: icdcode demo icdcode-demo
    """
    from icdcli.data.synthetic.generator import write_demo_data
    from icdcli.evaluation.run import evaluate_run
    from icdcli.report.views.evaluation import evaluation_view

    # `icdcode demo steps=20` names no folder: the first argument is an override then.
    words = list(overrides or [])
    if "=" in str(folder):
        words, folder = [str(folder), *words], _FOLDER
    output = _Steps(json)
    given = _overrides(folder, words)
    config = load_config(Path(_CONFIG), given)
    data = config.data.data_path
    assert data is not None  # the configuration that comes with icdcode names it
    if not (data / "NOTEEVENTS.csv.gz").exists():
        output.begin(f"Synthetic notes: icdcode demo-data {data}")
        with output.progress("Writing notes", 2000, "admissions") as bar:
            write_demo_data(data, on_progress=bar.update)
    output.begin(f"A corpus: icdcode prepare-data {data} --config {_CONFIG}")
    output.say(f"Prepared: {prepared(data, given, Path(_CONFIG), output).folder}")
    run = unfinished(config)
    if run is not None:
        output.begin(f"Training goes on: icdcode resume {run.root}")
        resume_run(run, [], "last", False, output)
    else:
        output.begin(
            f"Training: icdcode train {_CONFIG} data_path={data} project={config.run.project}"
        )
        train_run(config, False, output)
        run = RunDir.open(Path(output.given[-1]["run"]))
    output.begin(f"Scores: icdcode evaluate {run.root}")
    with showing(output) as on_progress:
        evaluation = evaluate_run(run, "test", on_warning=output.warn, on_progress=on_progress)
    output.show(evaluation_view(evaluation))
    output.begin(f"Predictions: icdcode show-predictions {run.root} -n 2")
    show(run.root, output, number=2)
    note = config.run.project / "new_note.txt"
    if not note.exists():
        note.write_text(_NOTE, encoding="utf-8")
    output.begin(f"A new note: icdcode predict {run.root} {note} --evidence")
    codes = run.root / "new_note.jsonl" if json else None  # standard output has room for one object
    code_notes(
        Call(run.checkpoint("metric"), [str(note)], evidence=True, output=codes), "cpu", output
    )
    output.say(_summary(run, note))
    Output.result(output, {"run": run.root, **evaluation.to_json()})


def unfinished(config: Config) -> RunDir | None:
    """The latest run of a project that has a checkpoint but not all of its steps; None where there is none."""
    from icdcli.io.manifest import read_manifest

    runs = sorted(
        config.run.project.glob(f"{config.run.name}*/args.yaml"),
        key=lambda path: path.stat().st_mtime,
    )
    if not runs:
        return None
    run = RunDir(runs[-1].parent)
    last = run.checkpoint("last")
    if not last.is_dir() or read_manifest(last)["step"] >= load_config(run.args).train.steps:
        return None
    return run


def _overrides(folder: Path, overrides: list[str]) -> list[str]:
    """The configuration's own places, taken from the demo's folder; what the command line says comes after."""
    shipped = load_config(Path(_CONFIG))
    places = {
        "data_path": folder / str(shipped.data.data_path),
        "project": folder / shipped.run.project,
    }
    return [
        *(f"{key}={quoted(str(place), ensure_ascii=False)}" for key, place in places.items()),
        *overrides,
    ]


def _summary(run: RunDir, note: Path) -> str:
    return f"""
Done: notes made up, a corpus prepared of them, a coder trained, scored and asked. No patient was behind it, and it is no
coder for real notes.

Where to look in {run.root}:
  results.csv                       losses and metrics of each epoch
  vis_outputs/learning_curves.png   the same as a picture
  evaluation/test/                  metrics, results per code, predictions
  weights/                          the trained coder

What to type next:
  icdcode predict {run.root} {note} --evidence   (change the note's words first)
  icdcode evaluate {run.root} --html
  icdcode prepare-data notes.csv text_column=note codes_column=icd code_system=icd10   (notes of your own)"""
