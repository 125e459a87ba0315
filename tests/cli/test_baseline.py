"""`model: tfidf` with the commands that networks have."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from icdcli.config.metric_names import METRICS
from icdcli.lexical import tfidf
from icdcli.model import tfidf_model as tfidf_coder
from icdcli.model.checkpoint import load_model

CONFIG = """\
model: tfidf
data_path: {tables}
label_pruning: True
project: {project}
name: words
positive_threshold: auto
prediction_print_n: 1
metrics: ['f1_micro', 'aucroc_micro']
"""


@pytest.fixture(scope="module")
def config(place):
    path = place.root / "tfidf.yaml"
    path.write_text(CONFIG.format(tables=place.tables, project=place.project))
    return path


@pytest.fixture(scope="module")
def answer(icdcode, config):
    return icdcode("train", config)


@pytest.fixture
def run(answer, place, tmp_path):
    """Return a copy of the folder of a trained TF-IDF model."""
    assert answer.code == 0, answer
    return Path(shutil.copytree(place.project / "words", tmp_path / "words", symlinks=True))


def test_training_makes_the_run_folder_as_promised(answer, place, run, files):
    assert (answer.code, answer.err) == (0, "")
    checkpoint = (
        *("coder.json", "labels.parquet", "manifest.json", "reference.json"),
        *("tfidf.npz", "vocabulary.json"),
    )
    assert files(run) == {
        "args.yaml",
        "origin.json",
        "results.csv",
        "weights/names.json",
        *(f"weights/steps/1/{name}" for name in checkpoint),
    }
    assert f"Next: icdcode evaluate {place.project / 'words'}" in answer.out
    assert "Sample predictions" in answer.out
    assert "f1_micro" in answer.out
    assert "nan" not in answer.out
    assert "tuned on the validation split" in answer.out


def test_args_repeat_the_run(icdcode, run, tmp_path):
    again = icdcode("train", run / "args.yaml", f"project={tmp_path}", "name=again", "--json")
    assert again.code == 0
    assert again.json["finished"]
    assert set(again.json["metrics"]) == {"f1_micro", "aucroc_micro"}
    for name in ("tfidf.npz", "vocabulary.json", "coder.json", "labels.parquet"):
        assert (tmp_path / "again/weights/last" / name).read_bytes() == (
            run / "weights/last" / name
        ).read_bytes()


def test_unused_keys_are_reported_and_no_gpu_is_used(icdcode, config, tmp_path):
    answer = icdcode(
        "train",
        config,
        f"project={tmp_path / 'new'}",
        "device=[0,1]",
        "lr0=1e-3",
        "--dry-run",
        "--json",
    )
    assert answer.code == 0
    assert answer.json["dry_run"]
    assert "a linear classifier for each of" in answer.json["model"]
    assert "warning: model: tfidf doesn't use device, lr0" in answer.err
    assert not (tmp_path / "new").exists()


def test_of_several_processes_the_first_does_it(icdcode, config, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert icdcode("train", config, f"project={tmp_path / 'new'}").code == 0
    assert not (tmp_path / "new").exists()


def test_the_main_process_waits_for_no_other(icdcode, config, tmp_path, monkeypatch):
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    answer = icdcode("train", config, f"project={tmp_path / 'new'}", "--dry-run")
    assert answer.code == 0


@pytest.mark.slow
def test_it_is_evaluated_and_shown_like_other_models(icdcode, run):
    answer = icdcode("evaluate", run, "--html")
    assert answer.code == 0
    assert answer.err == ""
    reported = json.loads((run / "evaluation/test/metrics.json").read_text())
    assert set(reported["metrics"]) == {"loss", *METRICS}
    assert reported["threshold_tuned_on"] == "validation"
    assert (run / "evaluation/test/report.html").is_file()
    validation = icdcode("evaluate", run, "--split", "validation", "--json").json
    trained = json.loads((run / "weights/last/manifest.json").read_text())
    assert {name: validation["metrics"][name] for name in trained["metrics"]} == pytest.approx(
        trained["metrics"], abs=1e-12
    )
    assert validation["metrics"]["loss"] == pytest.approx(trained["validation_loss"], abs=1e-12)
    shown = icdcode("show-predictions", run, "-n", "2", "--json")
    assert len(shown.json["documents"]) == 2
    assert shown.json["threshold"].endswith("tuned on the validation split)")


def test_there_are_no_parts_to_leave_out(refused, run):
    refused(2, "evaluate", run, "--ablate", says="has no parts to leave out")
    assert not (run / "evaluation").exists()


def test_it_is_compared_with_a_network(icdcode, run, run_copy):
    answer = icdcode("compare", run, run_copy, "--json")
    assert answer.code == 0, answer
    assert run.name in answer.err
    assert run_copy.name in answer.err


def test_new_notes_are_coded_by_the_checkpoint_alone(icdcode, run, place, tmp_path):
    corpus = next((place.tables / ".icdcode").glob("mimic3-patient-*"))
    texts = (
        pq.read_table(corpus / "documents.parquet", columns=["text"]).column("text").to_pylist()[:5]
    )
    (tmp_path / "notes.jsonl").write_text(
        "\n".join(json.dumps({"id": str(n), "text": text}) for n, text in enumerate(texts))
    )
    alone = shutil.copytree((run / "weights" / "metric").resolve(), tmp_path / "checkpoint")
    shutil.rmtree(run)
    answer = icdcode("predict", alone, tmp_path / "notes.jsonl", "--top", "3", "--json")
    lines = [json.loads(line) for line in answer.out.splitlines()]
    assert answer.code == 0
    assert [(line["id"], line["windows"], len(line["codes"])) for line in lines] == [
        (str(number), 1, 3) for number in range(5)
    ]
    written = icdcode(
        "predict", alone, tmp_path / "notes.jsonl", "--output", tmp_path / "codes.parquet"
    )
    assert written.code == 0
    assert "5 notes" in written.out


def test_resuming_reports_that_it_is_finished(icdcode, refused, run):
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))
    answer = icdcode("resume", run)
    assert answer.code == 0
    assert "already finished" in answer.out
    assert f"Next: icdcode evaluate {run}" in answer.out
    reported = icdcode("resume", run, "--json").json
    assert (reported["finished"], reported["step"], reported["run"]) == (True, 1, str(run))
    assert sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*")) == before
    refused(4, "resume", run, "word_ngrams=2", says="it defines the model")
    shutil.rmtree(run / "weights")
    refused(
        4,
        "resume",
        run,
        says="ended before its first checkpoint; start over: icdcode train",
    )


def test_there_is_no_schedule_to_plot(refused, run, config):
    for source in (run, config):
        refused(2, "plot-lr", source, says="has no learning-rate schedule")


def test_the_doctor_asks_for_no_network(icdcode, config):
    answer = icdcode("doctor", config, "--json")
    assert answer.code == 0
    assert answer.json["config"]["problems"] == []
    assert "TF-IDF and linear classifiers, on the CPU" in answer.err
    assert "can run here" in answer.err


@pytest.mark.parametrize("name", ["tfidf.npz", "vocabulary.json"])
def test_a_broken_checkpoint_is_an_error(refused, run, name):
    path = run / "weights/steps/1" / name
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    refused(4, "evaluate", run, says=[name, "was changed or is damaged"])
    refused(4, "resume", run, says=[name, "was changed or is damaged"])


def test_notes_without_a_common_word_are_an_error(icdcode, config, tmp_path):
    table = tmp_path / "notes.csv"
    table.write_text("text,codes\n" + "".join(f"word{n},I10\n" for n in range(60)))
    options = [f"data_path={table}", "code_system=icd10", f"project={tmp_path / 'runs'}"]
    answer = icdcode("train", config, *options)
    assert answer.code == 3
    assert answer.err.startswith("error: table-")
    assert "share no word" in answer.err
    assert [*(tmp_path / "runs").iterdir()] == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_at_once_with_a_hint(icdcode, config, tmp_path, monkeypatch, number, code):
    def signaled(*_):
        os.kill(os.getpid(), number)
        time.sleep(60)

    monkeypatch.setattr(tfidf, "_out_of_fold", signaled)
    answer = icdcode("train", config, f"project={tmp_path}")
    assert answer.code == code
    assert (
        "Stopped before anything was saved. Start over: "
        f"icdcode train {tmp_path / 'words' / 'args.yaml'}" in answer.out
    )
    assert {path.name for path in (tmp_path / "words").iterdir()} == {
        "args.yaml",
        "origin.json",
    }


def test_a_full_disk_leaves_no_half_checkpoint(icdcode, config, tmp_path, monkeypatch):
    def full(path, labels):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tfidf_coder, "write_labels", full)  # the vocabulary is written by then
    answer = icdcode("train", config, f"project={tmp_path}")
    assert answer.code == 3
    assert "the checkpoint of step 1 can't be written" in answer.err
    assert not [path for path in (tmp_path / "words" / "weights").rglob("*") if path.is_file()]


@pytest.mark.slow
def test_killed_at_any_operation_it_has_a_complete_checkpoint_or_none(config, tmp_path):
    program, root = Path(__file__).with_name("killing_baseline.py"), Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, program, config, tmp_path / "runs", 3, 3]
    done = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    runs = [Path(folder) for folder in json.loads(done.stdout)["killed"]]
    assert len(runs) > 20
    named = [folder / "weights" / name for folder in runs for name in ("metric", "loss", "last")]
    there = [path for path in named if path.is_symlink()]
    assert 0 < len(there) < len(named)
    for path in there:
        assert load_model(path).labels.codes
