import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from icdcli.cli import app
from icdcli.config.loading import load_config, to_yaml
from icdcli.config.run_paths import change_keys
from icdcli.data.corpus.migrated import MIGRATION
from icdcli.ensembles.members import _differing, find_candidates
from icdcli.ensembles.run import ensemble_runs
from icdcli.errors import ConfigError, ResumeError
from icdcli.evaluation.run import compare_runs, evaluate_run, open_run
from icdcli.io.locks import exclusive
from icdcli.migration.run import migrate_run
from icdcli.model.checkpoint import load_model
from icdcli.model.files.export import export_model
from icdcli.report.ensemble_view import likeness_warning
from icdcli.run_dir import RunDir
from icdcli.training.run import resume_training, run_training

# The short notes repeat themselves.
pytestmark = pytest.mark.filterwarnings("ignore:leakage")
NOTES = ["htn and dm2, patient seen. stable", "", "aki. pna"]


@pytest.fixture(scope="module")
def made(member_runs, tmp_path_factory):
    names = ["mean", "tfidf", "attention"]
    warnings: list[str] = []
    made = ensemble_runs(
        [member_runs[name] for name in names],
        "three",
        project=tmp_path_factory.mktemp("made"),
        on_warning=warnings.append,
    )
    assert not [message for message in warnings if "leakage" not in message]
    return made


def run_command(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.slow
def test_an_ensemble_is_evaluated_and_compared_like_any_run(made, member_runs):
    evaluation = evaluate_run(made.run, "validation", ablate=True)
    without = [row.without for row in evaluation.ablation]
    assert without == [None, "mean", "tfidf", "attention"]
    row = (made.run / "results.csv").read_text().splitlines()[1].split(",")
    header = (made.run / "results.csv").read_text().splitlines()[0].split(",")
    assert float(row[header.index("map")]) == pytest.approx(evaluation.metrics["map"])
    compared = compare_runs([made.run, member_runs["mean"]], "validation")
    assert [one.name for one in compared.contenders] == [
        str(made.run),
        str(member_runs["mean"].root),
    ]
    assert made.held_out[None]["map"] > 0.5
    assert set(made.held_out) == {None, "mean", "tfidf", "attention"}


def test_weights_and_cost_are_reported(made):
    assert sum(made.shares.values()) == pytest.approx(1)
    assert made.cost is not None
    assert (made.cost.backbones, made.cost.networks) == (1, 2)
    assert "2 of them on 1 shared backbone" in str(made.cost)
    assert set(made.correlations) == {
        ("mean", "tfidf"), ("mean", "attention"), ("tfidf", "attention"),
    }  # fmt: skip
    json.dumps(made.to_json(), default=str)


def test_equal_weights_are_equal_and_fitted_ones_fit_better(member_runs, tmp_path, made):
    equal = ensemble_runs(list(made.members.values()), "equal", project=tmp_path, weights="equal")
    assert [*equal.shares.values()] == pytest.approx([1 / 3] * 3)
    losses = []
    for run in (made.run, equal.run):
        opened = open_run(run)
        scored = opened.model.score_split(opened.corpus, "validation")
        losses.append(scored.losses_N.mean())
    assert losses[0] <= losses[1] + 1e-6


def test_members_that_barely_differ_are_warned_of(made):
    assert likeness_warning(replace(made, correlations={("mean", "tfidf"): 0.5})) is None
    alike = replace(made, correlations={("mean", "tfidf"): 0.97})
    assert "mean and tfidf: make nearly the same errors" in likeness_warning(alike)


def test_predict_gives_what_the_model_gives(made, tmp_path):
    notes = tmp_path / "notes.jsonl"
    notes.write_text("".join(json.dumps({"id": n, "text": t}) + "\n" for n, t in enumerate(NOTES)))
    output = tmp_path / "codes.jsonl"
    done = run_command("predict", made.run, notes, "--output", output, "--top", "4", "--evidence")
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    model = load_model(made.run)
    scores = model.scores(NOTES)
    for place, row in enumerate(rows):
        for code in row["codes"]:
            label = model.labels.index[code["code"]]
            assert code["score"] == round(float(scores[place, label]), 6)
    assert rows[1]["codes"] == []
    best = rows[0]["codes"][0]
    assert {NOTES[0][span["begin"] : span["end"]] for span in best["evidence"]} & {"htn", "dm2"}


def test_an_exported_ensemble_has_its_members_and_gives_the_same_scores(made, tmp_path):
    exported = export_model(made.run, tmp_path / "model", base=True)
    assert exported.base_included is True
    folder = tmp_path / "elsewhere"
    exported.folder.rename(folder)
    text = (folder / "coder.json").read_text() + (folder / "config.yaml").read_text()
    assert str(made.run.parent) not in text
    assert str(next(iter(made.members.values())).parent) not in text
    assert {path.name for path in (folder / "members").iterdir()} == {"mean", "tfidf", "attention"}
    model = load_model(folder)
    assert model.scores(NOTES).tobytes() == load_model(made.run).scores(NOTES).tobytes()
    assert len(model.kept) == 1  # their copies of the backbone are the same
    (folder / "members" / "mean" / "README.md").write_text("edited")
    load_model(folder)
    (folder / "members" / "mean" / "labels.parquet").write_bytes(b"")
    with pytest.raises(ResumeError, match=r"mean.labels\.parquet: was changed"):
        load_model(folder)


def test_the_command_shows_members_cost_and_what_they_add(member_runs, tmp_path):
    runs = [member_runs[name].root for name in ("tfidf", "mean")]
    arguments = ["ensemble", *runs, "--name", "two", "--project", tmp_path]
    done = run_command(*arguments, "--weights", "equal")
    assert done.exit_code == 0, done.output
    for words in ("all together", "0.50", "equal, calibrated on the validation split", "times the"):
        assert words in done.output
    again = json.loads(run_command(*arguments, "--json").stdout)
    assert Path(again["run"]).name == "two2"
    assert [one["name"] for one in again["members"]] == ["tfidf", "mean"]


def changed(run: RunDir, place: Path, **keys) -> Path:
    """Return a copy of a run whose configuration has other values."""
    copy = Path(shutil.copytree(run.root, place, symlinks=True))
    config = change_keys(load_config(copy / "args.yaml", as_typed=True), keys)
    (copy / "args.yaml").write_text(to_yaml(config))
    return copy


def test_its_device_is_that_of_a_network_or_the_cpu(member_runs, tmp_path):
    words = changed(member_runs["tfidf"], tmp_path / "words", device=[0])
    other = changed(member_runs["tfidf"], tmp_path / "other", device=[0])
    for name, second in (("plain", other), ("mixed", member_runs["mean"].root)):
        made = ensemble_runs([words, second], name, on_warning=print)
        assert load_config(made.run / "args.yaml").run.device == "cpu"


def test_a_member_that_was_stopped_after_a_validation_is_warned_of(member_runs, tmp_path):
    stopped = changed(member_runs["mean"], tmp_path / "stopped", steps=400)
    ended = changed(member_runs["mean"], tmp_path / "ended", steps=400, stop_step=4)
    warned = []
    migrated = changed(member_runs["mean"], tmp_path / "migrated", steps=400)
    (migrated / MIGRATION).write_text("{}")
    stateless = changed(member_runs["mean"], tmp_path / "stateless", steps=400)
    (stateless / "weights" / "last" / "state.pt").unlink()
    runs = [stopped, ended, migrated, stateless, member_runs["tfidf"]]
    find_candidates(runs, "metric", warned.append)
    [warning] = warned
    assert "stopped: isn't finished (step 4 of 400)" in warning


@pytest.mark.parametrize("name", ["", "..", "a/b"])
def test_what_cannot_be_a_name_is_refused(member_runs, name):
    with pytest.raises(ConfigError, match=r"--name: .* should be the name of a folder"):
        ensemble_runs([member_runs["tfidf"], member_runs["mean"]], name)


def refused(message, runs, error=ConfigError, **options):
    with pytest.raises(error, match=message):
        ensemble_runs(runs, "refused", on_warning=print, **options)
    assert not list(Path(runs[0]).parent.glob("refused*"))


def test_runs_that_do_not_go_together_are_refused(made, member_runs, train_member, tmp_path, notes):
    mean, tfidf = (member_runs[name].root for name in ("mean", "tfidf"))
    refused("at least two runs", [mean])
    refused("mean: is given twice", [mean, tfidf, mean])
    members = " ".join(str(run) for run in made.members.values())
    refused(
        f"three: is an ensemble itself. Pass the runs of its members instead: {members}",
        [mean, made.run],
    )
    refused("no such run folder", [mean, tmp_path / "missing"])
    other = tmp_path / "other.jsonl"
    rows = [json.loads(line) for line in notes.read_text().splitlines()]
    for row in rows:
        row["codes"] = ["I11.9" if code == "I10" else code for code in row["codes"]]
    other.write_text("".join(json.dumps(row) + "\n" for row in rows))
    others = train_member("others", model="tfidf", data_path=other).root
    refused(r"different label spaces; 1 of 4 codes .*\(I11\.9", [mean, others])
    older = train_member("older", model="tfidf", code_system="icd10cm-2024").root
    refused("codes of different editions", [mean, older])
    fewer = tmp_path / "fewer.jsonl"
    fewer.write_text("".join(json.dumps(row) + "\n" for row in rows).replace("I11.9", "I10"))
    texts = train_member("texts", model="tfidf", data_path=fewer).root
    refused("were trained on different documents", [mean, texts])


def test_members_that_learn_the_principal_diagnosis_are_warned_of(member_runs, tmp_path):
    learns = changed(member_runs["mean"], tmp_path / "learns", principal=True)
    other, warned = member_runs["tfidf"], []
    (tmp_path / "file").touch()  # ends it before anything is scored
    for runs in ([other, learns], [other, member_runs["mean"]]):
        with pytest.raises(ConfigError):
            ensemble_runs(runs, "x", project=tmp_path / "file", on_warning=warned.append)
    [warning] = warned
    assert "doesn't choose the principal diagnosis" in warning


def test_runs_with_other_evidence_for_the_same_documents_go_together():
    keys = ["data_path=codiesp", "language=en"]
    plain = load_config(None, keys)
    projected = load_config(None, [*keys, "projected_evidence=True"])
    assert [*_differing(plain, projected)] == []
    spanish = load_config(None, ["data_path=codiesp", "language=es"])
    assert [*_differing(plain, spanish)] == ["language: en and es"]


def test_a_run_without_checkpoint_or_in_training_is_refused(member_runs, tmp_path):
    mean, tfidf = (member_runs[name].root for name in ("mean", "tfidf"))
    empty = changed(member_runs["tfidf"], tmp_path / "empty")
    shutil.rmtree(empty / "weights")
    refused("has no checkpoint 'metric'", [mean, empty], ResumeError)
    busy = changed(member_runs["tfidf"], tmp_path / "busy")
    with exclusive(busy / ".lock"):
        refused("is being trained", [tfidf, busy], ResumeError)


def test_an_ensemble_is_neither_trained_nor_migrated(made):
    with pytest.raises(ConfigError, match="model: ensemble: can't be trained"):
        resume_training(made.run)
    with pytest.raises(ConfigError, match="model: ensemble: can't be trained"):
        run_training(load_config(made.run / "args.yaml"))
    with pytest.raises(ConfigError, match=r"is an ensemble\. Migrate its members"):
        migrate_run(made.run, "icd10cm-2024")
    for command in ("resume", "plot-lr"):
        done = run_command(command, made.run)
        assert done.exit_code == 2 or isinstance(done.exception, ConfigError)


def test_a_member_with_fewer_codes_says_their_frequency(train_member, tmp_path):
    codes = tmp_path / "codes.csv"
    described = ["I10,Hypertension", "E11.9,Diabetes", "J18.9,Pneumonia", "N17.9,Kidney injury"]
    codes.write_text("\n".join(["code,title", *described, "A00.0,Cholera", "R05,Cough"]))
    known = {"model": "tfidf", "code_system": f"file:{codes}"}
    wide = train_member("wide", label_space="described", **known).root
    narrow = train_member("narrow", **known).root
    made = ensemble_runs([narrow, wide], "both", project=tmp_path)
    assert list(made.members) == ["wide", "narrow"]
    assert made.lacking == {"narrow": 2}
    opened = open_run(made.run)
    parts = opened.model.score_split(opened.corpus, "validation").parts
    lacking = [opened.model.labels.index[code] for code in ("A00.0", "R05")]
    assert np.allclose(parts["narrow"][:, lacking], np.log(0.5 / (opened.model.documents + 0.5)))
    run = load_model(narrow)
    assert len(run.labels) == 4
    own = next(run.score_batches([NOTES[:1]], as_logits=True)).scores_NL
    member = next(one for one in opened.model.members if one.name == "narrow")
    kept = [opened.model.labels.index[code] for code in run.labels.codes]
    placed = member.calibrated(own.copy())
    assert np.array_equal(placed[:, kept], member.calibration.of(own))
    # What was fitted and measured is what it predicts with.
    losses_N = opened.model.score_split(opened.corpus, "validation").losses_N
    assert opened.manifest["validation_loss"] == pytest.approx(losses_N.mean())


def test_the_checkpoint_knows_what_scores_mean(made):
    manifest = json.loads((made.run / "weights" / "metric" / "manifest.json").read_text())
    assert {"confidence", "acceptance", "validation_loss", "corpus"} <= manifest.keys()
    assert set(manifest["at_threshold"]) == {"precision_micro", "recall_micro"}
    assert manifest["metrics"]["map"] == pytest.approx(
        evaluate_run(made.run, "validation").metrics["map"]
    )
