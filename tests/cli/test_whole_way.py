"""Every command, one after the other, as a new user types them."""

import csv
import json
import os
import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest

from icdcli.config.metric_names import METRICS

CHECKPOINT = {
    *("head.safetensors", "labels.parquet", "coder.json", "state.pt", "manifest.json"),
    *("backbone/config.json", "backbone/tokenizer.json", "backbone/tokenizer_config.json"),
}
PER_CODE = [
    "code",
    "kind",
    "title",
    "train_count",
    "threshold",
    "gold",
    "predicted",
    "right",
    "precision",
    "recall",
    "f1",
]
EVALUATION = {
    *("metrics.json", "per_code.csv", "predictions.parquet", "statistics.npz"),
    *("precision_recall.png", "calibration.png", "f1_by_frequency.png"),
    *("risk_coverage.csv", "risk_coverage.png"),
}


def header(path):
    with path.open(newline="") as file:
        return next(csv.reader(file))


def notes(corpus):
    return dict(
        zip(
            *(
                pq.read_table(corpus / "documents.parquet")[name].to_pylist()
                for name in ("id", "text")
            ),
            strict=True,
        )
    )


def is_png(path):
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and path.stat().st_size > 5000


def plain(text):
    return not any(mark in text for mark in ("\x1b", "\r", "━"))


def test_demo_data_writes_the_tables(place):
    names = {
        "ADMISSIONS",
        "PATIENTS",
        "NOTEEVENTS",
        "DIAGNOSES_ICD",
        "PROCEDURES_ICD",
        "D_ICD_DIAGNOSES",
        "D_ICD_PROCEDURES",
    }
    assert {path.name for path in place.tables.glob("*.csv*")} == {
        f"{name}.csv.gz" for name in names
    }


def test_prepare_data_makes_a_corpus_once(icdcode, table_copies):
    first = icdcode("prepare-data", table_copies, "label_pruning=True")
    assert first.code == 0
    assert first.err == ""
    assert plain(first.out)
    assert "admissions with codes but no note" in first.out
    assert "admissions with a note but no codes" in first.out
    assert "Prepared: " in first.out
    again = icdcode("prepare-data", table_copies, "label_pruning=True", "--json")
    assert again.json["created"] is False
    assert f"Already prepared: {again.json['folder']}" in again.err
    assert again.json["card"]["dropped"]["admissions with a note but no codes"] > 0
    other = icdcode("prepare-data", table_copies, "--json")
    assert other.json["created"]
    assert other.json["card"]["labels"]["count"] > again.json["card"]["labels"]["count"]


def test_a_config_file_gives_prepare_data_its_options(icdcode, place, trained):
    answer = icdcode("prepare-data", place.tables, "--config", place.config, "--json")
    assert answer.json["created"] is False  # training has prepared the same corpus


def test_the_run_folder_is_as_promised(trained, files):
    weights = {
        f"weights/steps/{step}/{file}" for step in ("6-2", "12", "12-2") for file in CHECKPOINT
    }
    # What a validation measured is in the checkpoints that are saved after it.
    weights |= {f"weights/steps/{step}/reference.json" for step in ("6-2", "12-2")}
    weights.add("weights/names.json")
    pictures = {"vis_outputs/lr_schedule.png", "vis_outputs/learning_curves.png"}
    found = {name for name in files(trained) if not name.startswith("evaluation/")}
    assert found == {"args.yaml", "origin.json", "results.csv", "steps.csv", *pictures, *weights}
    links = {
        path.name: os.readlink(path)
        for path in (trained / "weights").iterdir()
        if path.is_symlink()
    }
    assert links.keys() == {"metric", "loss", "last", "previous"}
    assert (links["last"], links["previous"]) == ("steps/12-2", "steps/12")
    assert all(is_png(trained / picture) for picture in pictures)
    common = ["epoch", "step", "seconds", "train_loss", "validation_loss", "lr"]
    assert header(trained / "results.csv") == [*common, "f1_micro", "aucroc_micro"]
    assert header(trained / "steps.csv") == [
        "step",
        "epoch",
        "train_loss",
        "lr",
        "tokens_per_second",
    ]
    results, steps = pd.read_csv(trained / "results.csv"), pd.read_csv(trained / "steps.csv")
    assert results[["epoch", "step"]].values.tolist() == [[1, 6], [2, 12]]
    assert steps.step.tolist() == [2, 4, 6, 8, 10, 12]
    assert steps.epoch.tolist() == [
        1,
        1,
        1,
        2,
        2,
        2,
    ]
    assert steps.train_loss.iloc[-1] < steps.train_loss.iloc[0]
    assert steps.lr.iloc[0] == pytest.approx(1e-3)
    assert results.lr.iloc[-1] == pytest.approx(1e-5)


def test_the_best_checkpoints_are_those_of_the_results(trained):
    results = pd.read_csv(trained / "results.csv").set_index("step")
    best = {
        "metric": results[["f1_micro", "aucroc_micro"]].mean(axis=1).idxmax(),
        "loss": results.validation_loss.idxmin(),
        "last": 12,
    }
    for name, step in best.items():
        manifest = json.loads((trained / "weights" / name / "manifest.json").read_text())
        assert manifest["step"] == step, name
        assert manifest["metrics"] == pytest.approx(
            results.loc[step, ["f1_micro", "aucroc_micro"]].to_dict()
        )


def test_a_second_training_counts_up_and_args_repeat_the_run(icdcode, place, trained, rows):
    second = icdcode("train", trained / "args.yaml")
    assert second.code == 0
    assert second.err == ""
    assert plain(second.out)
    _, folder, exists = next(
        line.split(maxsplit=2) for line in second.out.splitlines() if line.startswith("run ")
    )
    assert folder == f"{place.project / 'run2'}"
    assert exists == f"({place.project / 'run'} exists)"
    assert f"Next: icdcode evaluate {folder}" in second.out
    assert "all 12 steps are done" in second.out
    for table in ("results.csv", "steps.csv"):
        assert rows(place.project / "run2" / table) == rows(trained / table)
    shutil.rmtree(place.project / "run2")


def test_json_of_a_training_has_its_folder_and_end(icdcode, place, tmp_path):
    answer = icdcode(
        "train", place.config, f"project={tmp_path}", "steps=3", "warmup_steps=1", "--json"
    )
    assert answer.code == 0
    result = answer.json
    assert (result["run"], result["step"], result["finished"]) == (str(tmp_path / "run"), 3, True)
    assert set(result["metrics"]) == {"f1_micro", "aucroc_micro"}
    assert "all 3 steps are done" in answer.err
    assert "{" not in answer.err


def test_a_dry_run_writes_nothing(icdcode, place, tmp_path, run_copy, files):
    answer = icdcode("train", place.config, f"project={tmp_path / 'new'}", "--dry-run")
    assert answer.code == 0
    assert "nothing was trained or written" in answer.out
    assert not (tmp_path / "new").exists()
    before = {name: (run_copy / name).stat().st_mtime_ns for name in files(run_copy)}
    answer = icdcode("resume", run_copy, "steps=14", "--dry-run", "--json")
    assert answer.json["dry_run"] is True
    assert answer.json["changed"] == "steps: 12 -> 14"
    assert {name: (run_copy / name).stat().st_mtime_ns for name in files(run_copy)} == before


@pytest.mark.usefixtures("pictures")
def test_evaluate_writes_metrics_codes_and_predictions(icdcode, run_copy, files):
    answer = icdcode("evaluate", run_copy)
    assert answer.code == 0
    assert answer.err == ""
    assert plain(answer.out)
    folder = run_copy / "evaluation" / "test"
    assert f"Written: {folder}" in answer.out
    assert files(folder) == EVALUATION
    reported = json.loads((folder / "metrics.json").read_text())
    assert set(reported["metrics"]) == {"loss", *METRICS}
    assert (
        reported["split"],
        reported["checkpoint"],
        reported["protocol"],
        reported["threshold"],
    ) == (
        "test",
        "metric",
        "patient",
        0.5,
    )
    assert header(folder / "per_code.csv") == PER_CODE
    per_code = pd.read_csv(folder / "per_code.csv", dtype={"code": str})
    predictions = pd.read_parquet(folder / "predictions.parquet")
    assert list(predictions.columns) == ["id", "code", "score", "predicted", "gold"]
    assert predictions.id.nunique() == reported["documents"]
    assert len(per_code) == reported["labels"]
    assert predictions.gold.sum() == per_code.gold.sum()
    assert predictions.predicted.sum() == per_code.predicted.sum()
    right = (predictions.gold & predictions.predicted).sum()
    micro = 2 * right / (predictions.gold.sum() + predictions.predicted.sum())
    assert reported["metrics"]["f1_micro"] == pytest.approx(micro)
    assert ((predictions.score >= 0.5) == predictions.predicted).all()


def test_evaluating_the_validation_split_gives_the_metrics_of_training(icdcode, run_copy):
    answer = icdcode("evaluate", run_copy, "--split", "validation", "--load", "last", "--json")
    assert "Written: " in answer.err
    last = pd.read_csv(run_copy / "results.csv").iloc[-1]
    assert answer.json["checkpoint"] == "last"
    for name in ("f1_micro", "aucroc_micro"):
        assert answer.json["metrics"][name] == pytest.approx(last[name], abs=1e-12)


def test_show_predictions_shows_notes_only_on_request(icdcode, place, trained):
    shown = icdcode("show-predictions", trained, "-n", "2")
    assert shown.code == 0
    assert shown.err == ""
    assert plain(shown.out)
    found = icdcode("show-predictions", trained, "-n", "2", "--json")
    asked = icdcode("show-predictions", trained, "-n", "2", "--text", "--json")
    by_id = notes(next((place.tables / ".icdcode").glob("mimic3-patient-*")))
    assert len(found.json["documents"]) == 2
    for document, with_text in zip(found.json["documents"], asked.json["documents"], strict=True):
        assert f"Document {document['id']}: " in shown.out
        assert f"Document {document['id']}: " in found.err
        assert "text" not in document
        assert with_text["text"] == by_id[document["id"]]
        lines = [line for line in by_id[document["id"]].splitlines() if 30 < len(line) < 90]
        assert lines
        assert all(line in asked.err for line in lines)
        assert not any(line in text for line in lines for text in (shown.out, found.out, found.err))
        outcomes = {
            code["outcome"]: (code["gold"], code["predicted"]) for code in document["codes"]
        }
        expected = {"right": (True, True), "missed": (True, False), "extra": (False, True)}
        assert outcomes.items() <= expected.items()
    assert any(
        f"{sign} {word}" in shown.out
        for sign, word in (("=", "right"), ("-", "missed"), ("+", "extra"))
    )


def test_show_predictions_shows_the_same_documents_for_the_same_seed(icdcode, trained):
    ids = [
        [
            document["id"]
            for document in icdcode("show-predictions", trained, "--seed", seed, "--json").json[
                "documents"
            ]
        ]
        for seed in (1, 1, 2)
    ]
    assert ids[0] == ids[1] != ids[2]
    assert len(ids[0]) == 3


def test_a_protocol_without_a_test_split_falls_back_to_validation_with_a_warning(
    icdcode, place, tmp_path
):
    options = (
        "protocol=hadm-digit",
        f"project={tmp_path}",
        "steps=2",
        "warmup_steps=0",
        "prediction_print_n=0",
    )
    assert icdcode("train", place.config, *options).code == 0
    answer = icdcode("show-predictions", tmp_path / "run", "-n", "1", "--json")
    assert answer.json["split"] == "validation"
    assert (
        "warning: protocol hadm-digit has no test split. Using the validation split" in answer.err
    )


@pytest.mark.usefixtures("pictures")
def test_plot_lr_draws_here_and_into_a_file(icdcode, run_copy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = icdcode("plot-lr")
    assert answer.code == 0
    assert plain(answer.out)
    assert "last: step 60,000, 1.00e-06" in answer.out
    assert is_png(tmp_path / "vis_outputs" / "lr_schedule.png")
    picture = run_copy / "vis_outputs" / "lr_schedule.png"
    picture.unlink()
    answer = icdcode("plot-lr", run_copy, "--json")
    assert answer.json["picture"] == str(picture)
    assert is_png(picture)
    assert "warm-up ends" in answer.err
    assert (answer.json["steps"][-1], answer.json["lr"][-1]) == (12, pytest.approx(1e-5))
    linear = icdcode("plot-lr", run_copy, "scheduler_type=linear", "--json")
    assert linear.json["lr"] != answer.json["lr"]


def test_config_shows_the_effective_values(icdcode, place):
    answer = icdcode("config", "show", place.config, "batch_size=4")
    assert answer.code == 0
    assert "\nbatch_size: 4\n" in answer.out
    assert "# final learning rate, as a fraction of lr0" in answer.out
    flat = icdcode("config", "show", "lr0=1e-3", "--json").json
    assert (flat["lr0"], flat["steps"], flat["device"]) == (1e-3, 60_000, [0])
    assert set(icdcode("config", "schema").json["properties"]) == set(flat)


def test_demo_data_summarizes_its_files_in_json(icdcode, tmp_path):
    answer = icdcode(
        "demo-data", tmp_path / "tables", "--admissions", "25", "--seed", "3", "--json"
    )
    assert answer.json["admissions"] == 25
    assert "25 admissions of" in answer.err


def test_a_table_of_notes_works_with_all_commands_too(icdcode, place, tmp_path):
    table = tmp_path / "notes.csv"
    lines = [
        f'"patient {n} with {word}",{code}'
        for n in range(60)
        for word, code in [[("fever", "R50.9"), ("cough", "R05")][n % 2]]
    ]
    table.write_text("\n".join(["text,codes", *lines]) + "\n")
    options = (
        f"data_path={table}",
        "code_system=icd10",
        f"project={tmp_path}",
        "steps=2",
        "warmup_steps=0",
    )
    assert icdcode("train", place.config, *options).code == 0
    answer = icdcode("evaluate", tmp_path / "run", "--split", "train", "--json")
    assert answer.code == 0
    assert answer.json["dataset"] == "table"


@pytest.mark.parametrize(
    "command",
    [
        "demo-data",
        "prepare-data",
        "train",
        "resume",
        "plot-lr",
        "evaluate",
        "compare",
        "show-predictions",
        "config show",
        "config schema",
    ],
)
def test_every_command_has_help_with_an_example(icdcode, command):
    answer = icdcode(*command.split(), "--help")
    assert answer.code == 0
    assert f"Example: icdcode {command}" in " ".join(answer.out.split())
    assert command == "config schema" or "--json" in answer.out


def test_version_and_bare_call(icdcode):
    from icdcli import __version__

    assert icdcode("--version").out == f"icdcode {__version__}\n"
    bare = icdcode()
    assert bare.code == 2
    assert "prepare-data" in bare.err
