"""``icdcode demo``: the complete pipeline on synthetic notes, for trying out icdcode."""

import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from json import dumps as quoted  # a JSON string is a valid YAML string
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icdcli.cli.behavior import tested_behavior
from icdcli.cli.common import Json, Overrides
from icdcli.cli.notes_on_terminal import show_notes
from icdcli.cli.prepare_data import prepared
from icdcli.cli.runs import conclude, handlers, leave_at_once, training_view
from icdcli.cli.show_predictions import show_samples
from icdcli.config.schema import Config
from icdcli.errors import in_shell
from icdcli.report.console import Output
from icdcli.run_dir import RunDir

if TYPE_CHECKING:
    from icdcli.evaluation.evaluate import Evaluation
    from icdcli.evaluation.run import OpenRun

_CONFIG = "demo.yaml"
_FOLDER = Path("icdcode-demo")
_TO_REVIEW = 30
_NOTE = """\
Admission Date:  [**2140-3-2**]       Discharge Date:  [**2140-3-9**]
Sex: F    Service: MEDICINE
Allergies: No Known Drug Allergies

REASON FOR ADMISSION:
71 year old woman who presents with shortness of breath and leg swelling. \
No chest pain, chills or headache.

PAST MEDICAL HISTORY:
- type 2 diabetes, on insulin
- high blood pressure
- h/o MI

SOCIAL HISTORY:
Lives alone. Never smoked. Denies alcohol.

FAMILY HISTORY:
Father had atrial fibrillation.

Physical Exam:
T 98.1 HR 92 BP 148/83. Crackles at both bases. WBC-7.2 Hct-33 Na-137

Hospital Course by Problem:
Chest film with pulmonary edema, treated with furosemide. \
She was found to have congestive heart failure.
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


class _DemoOutput(Output):
    """An output that ignores the results of single steps."""

    def result(self, mapping: Mapping[str, Any]) -> None:
        pass

    def heading(self, text: str) -> None:
        self.say(f"\n== {text}")


def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for all files.")] = _FOLDER,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Run every step on synthetic notes (about 3 minutes).

    Generates notes, prepares a corpus, trains and evaluates a small model on two CPU cores,
    predicts the codes of a new note, and tests what the model makes of denials, relatives,
    abbreviations and more. Writes DIR/data/demo and DIR/outputs/demo. Rerunning the
    command keeps the notes, resumes a run that was interrupted after a checkpoint, and otherwise
    trains a new run next to the existing ones.

    Example: icdcode demo icdcode-demo
    """
    from icdcli.config.loading import load_config

    # Without a folder, as in `icdcode demo steps=20`, the first argument is an override.
    given = list(overrides or [])
    if "=" in str(folder):
        given, folder = [str(folder), *given], _FOLDER
    output = _DemoOutput(json)
    given = _overrides(folder, given)
    config = load_config(Path(_CONFIG), given)
    data = config.data.data_path
    assert data is not None  # the demo configuration sets it
    _write_notes(data, output)
    output.heading(f"Corpus: icdcode prepare-data {in_shell(data)} --config {_CONFIG}")
    output.say(f"Prepared: {prepared(data, given, Path(_CONFIG), output).folder}")
    run = _train(config, output)
    opened, evaluation = _evaluate(run, output)
    note = _predict(run, config.run.project / "new_note.txt", output)
    behavior = _behavior(opened, output)
    output.say(_summary(run, note, notes_to_review(opened)))
    Output.result(output, {"run": run.root, **evaluation.to_json(), "behavior": behavior})


def _write_notes(data: Path, output: _DemoOutput) -> None:
    from icdcli.data.synthetic.generator import write_demo_data

    if not (data / "NOTEEVENTS.csv.gz").exists():
        output.heading(f"Synthetic notes: icdcode demo-data {in_shell(data)}")
        with output.progress("Writing notes", 2000, "admissions") as bar:
            write_demo_data(data, on_progress=bar.update)


def _train(config: Config, output: _DemoOutput) -> RunDir:
    from icdcli.training.run import join_for_training, resume_training, run_training

    process_group = join_for_training(config)
    view, run = training_view(output, process_group), unfinished(config)
    if run is not None:
        output.heading(f"Training, resumed: icdcode resume {in_shell(run.root)}")
        result = resume_training(
            run,
            handlers=handlers(view, process_group),
            process_group=process_group,
            on_progress=view.on_progress,
            on_warning=output.warn,
            on_second_signal=leave_at_once,
        )
    else:
        data, project = config.data.data_path, config.run.project
        words = f"{in_shell(f'data_path={data}')} {in_shell(f'project={project}')}"
        output.heading(f"Training: icdcode train {_CONFIG} {words}")
        result = run_training(
            config,
            handlers(view, process_group),
            process_group=process_group,
            on_progress=view.on_progress,
            on_warning=output.warn,
            on_second_signal=leave_at_once,
        )
    conclude(result, config, output, process_group)
    return result.run


def _evaluate(run: RunDir, output: _DemoOutput) -> "tuple[OpenRun, Evaluation]":
    from icdcli.evaluation.run import evaluate_opened, open_run
    from icdcli.evaluation.sample import sample_run
    from icdcli.report.views.evaluation import evaluation_view

    output.heading(f"Evaluation: icdcode evaluate {in_shell(run.root)}")
    with output.stages() as on_progress:
        opened = open_run(run, on_warning=output.warn, on_progress=on_progress)
        evaluation = evaluate_opened(opened, "test", on_progress=on_progress)
        samples = sample_run(opened, "test", number=2, on_progress=on_progress)
    output.show(evaluation_view(evaluation))
    output.heading(f"Predictions: icdcode show-predictions {in_shell(run.root)} -n 2")
    show_samples(samples, opened.model.labels.known_titles, output)
    return opened, evaluation


def _behavior(opened: "OpenRun", output: _DemoOutput) -> dict[str, Any] | None:
    from icdcli.report.views.behavior import behavior_view

    output.heading(f"Behavior: icdcode behavior {in_shell(opened.run.root)}")
    with output.stages() as on_progress:
        report = tested_behavior(opened, output, on_progress)
    if report is None:
        return None
    output.show(behavior_view(report))
    return report.to_json()


def _predict(run: RunDir, note: Path, output: _DemoOutput) -> Path:
    from icdcli.data.notes.files import find_notes
    from icdcli.model.checkpoint import load_model
    from icdcli.predict.batches import Selection
    from icdcli.predict.run import predict_to_file

    if not note.exists():
        note.write_text(_NOTE, encoding="utf-8")
    output.heading(f"New note: icdcode predict {in_shell(run.root)} {in_shell(note)} --evidence")
    notes, checkpoint = find_notes([str(note)]), run.checkpoint("metric")
    if output.json:  # standard output is reserved for one object
        predict_to_file(checkpoint, notes, run.root / "new_note.jsonl", evidence=True)
    else:
        show_notes(
            load_model(checkpoint, on_warning=output.warn),
            checkpoint,
            notes,
            output,
            Selection(),
            evidence=True,
        )
    return note


def notes_to_review(opened: "OpenRun") -> Path:
    """Write some notes of the test split to a table, for the review page."""
    from itertools import islice
    from json import dumps

    from icdcli.io.files import replacing, writing

    corpus = opened.corpus
    path = opened.config.run.project / "notes_to_review.jsonl"
    notes = islice(zip(corpus.documents("test").ids, corpus.texts("test"), strict=True), _TO_REVIEW)
    with writing(path), replacing(path) as temporary:
        rows = (dumps({"id": id, "text": text, "language": "en"}) for id, text in notes)
        temporary.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def unfinished(config: Config) -> RunDir | None:
    """Return the latest run of a project if it has a checkpoint but isn't finished, else None."""
    from icdcli.config.loading import load_config
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
    """Return overrides that put all files below a folder, then those of the command line."""
    from icdcli.config.loading import load_config

    shipped = load_config(Path(_CONFIG))
    places = {
        "data_path": folder / str(shipped.data.data_path),
        "project": folder / shipped.run.project,
    }
    return [
        *(f"{key}={quoted(str(place), ensure_ascii=False)}" for key, place in places.items()),
        *overrides,
    ]


def _summary(run: RunDir, note: Path, to_review: Path) -> str:
    serve = "serve opens a page to review notes in"
    if find_spec("uvicorn") is None:
        serve += ", and needs pip install 'icdcode[serve]'"
    folder = in_shell(run.root)
    commands = [
        *_activation(),
        f"icdcode predict {folder} {in_shell(note)} --evidence",
        f"icdcode behavior {folder} --failures",
        f"icdcode evaluate {folder} --html",
        f"icdcode serve {folder} --notes {in_shell(to_review)}",
        "icdcode prepare-data notes.csv text_column=note codes_column=icd code_system=icd10",
    ]
    return f"""
Done: generated notes, built a corpus, trained and evaluated a model, and coded one new note.
All data are synthetic. Don't use this model on real notes.

Results in {run.root}:
  results.csv                       losses and metrics per epoch
  vis_outputs/learning_curves.png   the same as a plot
  evaluation/test/                  metrics, results per code, predictions
  weights/                          the trained model

Next steps (edit the note before you predict its codes; {serve};
the last is for your own notes):
""" + "\n".join(f"  {command}" for command in commands)


def _activation() -> list[str]:
    """Return the command that lets a shell find icdcode, unless it does already."""
    script = Path(sys.executable).parent / "activate"
    if shutil.which("icdcode") or not script.is_file():
        return []
    if script.is_relative_to(Path.cwd()):
        script = script.relative_to(Path.cwd())
    return [f"source {in_shell(script)}"]
