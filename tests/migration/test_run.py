"""Runs that are migrated to an edition that divides, deletes, renames and adds codes."""

import json
import shutil
from datetime import date

import numpy as np
import pytest
import torch

from icdcli.cli.migrate import migrate
from icdcli.config.loading import load_config
from icdcli.data.corpus.label_spaces import WITH_UNSEEN
from icdcli.data.corpus.migrated import MIGRATION
from icdcli.data.notes.text import Note
from icdcli.errors import ConfigError, DataError, ResumeError
from icdcli.evaluation.run import evaluate_run, open_run
from icdcli.icd.editions.catalog import VARIABLE, store_edition
from icdcli.icd.editions.edition import About, Edition, Entry
from icdcli.io.locks import exclusive
from icdcli.migration import run as migration_run
from icdcli.migration.run import migrate_run
from icdcli.model.checkpoint import load_model
from icdcli.model.files.export import export_model
from icdcli.predict.run import predict_notes
from icdcli.run_dir import CHECKPOINTS, RunDir, find_checkpoint
from icdcli.training.run import resume_training, run_training

TEXTS = [
    "high blood pressure. type two diabetes",
    "pneumonia. patient seen",
    "lobar infiltrate. stable",
    "renal failure. plan discussed. htn",
    "plan discussed",
]
OLDER, NEWER = "icd10cm-1000", "icd10cm-1001"
UNCHANGED, RENAMED, DIVIDED, DELETED = "I10", "E11.9", "J18.9", "N17.9"
CHILDREN, NEW = ("J18.91", "J18.92"), "R50.9"
KEPT = [UNCHANGED, RENAMED]


@pytest.fixture
def two_editions(monkeypatch, tmp_path):
    """Import an edition, and one that divides, deletes and adds codes."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "codes"))
    same = [Entry(UNCHANGED, "Essential hypertension")]
    older = [*same, Entry(RENAMED, "Diabetes type two"), Entry(DIVIDED, "Pneumonia")]
    older += [Entry(DELETED, "Acute kidney injury")]
    newer = [
        *same,
        Entry(RENAMED, "Diabetes mellitus of type two"),
        Entry(DIVIDED, "Pneumonia", assignable=False),
        Entry(CHILDREN[0], "Pneumonia with lobar infiltrate", parent=DIVIDED),
        Entry(CHILDREN[1], "Pneumonia, other", parent=DIVIDED),
        Entry(NEW, "Fever"),
    ]
    for year, (name, entries) in enumerate(((OLDER, older), (NEWER, newer)), 1000):
        store_edition(Edition.of(About(name, name, valid_from=date(year, 10, 1)), entries))


KINDS = {
    "label attention": {
        "pooling_mode": "label_attention", "description_prior": True, "label_width": 16,
        "freeze_backbone": True, "head_lr_factor": 1, "lr0": 0.01,
    },
    "label attention alone": {
        "pooling_mode": "label_attention", "label_width": 16, "head_lr_factor": 1, "lr0": 0.01,
        "label_init": "random",
    },
    "linear head": {"pooling_mode": "mean"},
    "TF-IDF": {"model": "tfidf"},
}  # fmt: skip
"""The kinds of models, by what makes them."""
SLOW = [pytest.param(k, True, marks=pytest.mark.slow) for k in ("label attention", "linear head")]
LINEAR = pytest.param("linear head", marks=pytest.mark.slow)


@pytest.fixture
def trained(two_editions, config, model_folders, tmp_path):
    """Return a function that trains a run with the first edition."""

    def run(kind="label attention", **changes):
        options = {
            "code_system": OLDER, "cache_dir": tmp_path / "cache", "lexical": False,
            "lexicon": False, "steps": 13,
            "project": tmp_path / "runs", "name": "run", "positive_threshold": "auto_per_code",
            **({"model": model_folders["bert"]} if kind == "label attention" else {}),
        }  # fmt: skip
        return run_training(config(**(options | KINDS[kind] | changes))).run

    return run


def columns(model, codes):
    return [model.labels.index[code] for code in codes]


def same_scores(before, after, texts=TEXTS):
    kept = [model.scores(texts)[:, columns(model, KEPT)] for model in (before, after)]
    return np.array_equal(*kept)


@pytest.mark.parametrize(("kind", "lexical"), [*((kind, False) for kind in KINDS), *SLOW])
def test_kept_codes_keep_their_scores_and_children_follow_their_parent(trained, kind, lexical):
    run = trained(kind, lexical=lexical, lexicon=lexical, principal=True)
    made = migrate_run(run, NEWER)
    before, after = load_model(run.root), load_model(made.run)
    assert list(after.labels.codes) == sorted([*KEPT, *CHILDREN])
    old, new = before.score_notes(TEXTS), after.score_notes(TEXTS)
    old_NL, new_NL = old.scores_NL, new.scores_NL
    assert np.array_equal(new_NL[:, columns(after, KEPT)], old_NL[:, columns(before, KEPT)])
    parent_N = old_NL[:, before.labels.index[DIVIDED]]
    for child in columns(after, CHILDREN):
        if kind != "label attention" and not lexical:
            # Too few labels to learn what descriptions say: two children share the odds.
            odds_N = parent_N / (1 - parent_N) / 2
            np.testing.assert_allclose(new_NL[:, child], odds_N / (1 + odds_N), rtol=1e-4)
        elif kind != "label attention":
            assert new_NL[[1, 2], child].mean() > new_NL[[0, 3, 4], child].max()
    kept = columns(before, KEPT)
    threshold_L = before.threshold.values_L(len(before.labels))
    assert np.array_equal(
        after.threshold.values_L(len(after.labels))[columns(after, [*KEPT, *CHILDREN])],
        threshold_L[[*kept, before.labels.index[DIVIDED], before.labels.index[DIVIDED]]],
    )
    assert after.fusion == before.fusion
    assert after.predict(TEXTS)
    # Of two kept codes, the same one is more likely the principal diagnosis, and as much more.
    kept = [
        scored.principal_NL[:, columns(model, KEPT)].T
        for model, scored in ((before, old), (after, new))
    ]
    np.testing.assert_allclose(np.divide(*kept[1]), np.divide(*kept[0]), rtol=1e-3)
    assert new.principal_NL.sum(axis=1) == pytest.approx(1)
    rates = after.principal.rates_L[columns(after, CHILDREN)].tolist()
    assert rates == [before.principal.rates_L[before.labels.index[DIVIDED]]] * 2


def test_the_label_table_names_the_new_edition_and_its_titles(trained):
    run = trained("TF-IDF")
    made = migrate_run(run, NEWER)
    labels, old = load_model(made.run).labels, load_model(run.root).labels
    assert old.editions["diagnosis"]["name"] == OLDER
    assert labels.editions["diagnosis"]["name"] == NEWER
    assert labels.known_titles[RENAMED] == "Diabetes mellitus of type two"
    assert labels.known_titles[CHILDREN[0]] == "Pneumonia with lobar infiltrate"
    count = dict(zip(labels.codes, labels.train_counts, strict=True))
    assert count[UNCHANGED] == old.train_counts[old.index[UNCHANGED]]
    assert (count[CHILDREN[0]], count[CHILDREN[1]]) == (0, 0)
    config = load_config(RunDir.open(made.run).args)
    assert (config.data.code_system, config.run.name) == (NEWER, f"run-{NEWER}")


def test_what_became_of_retired_codes_is_listed(trained):
    run = trained("TF-IDF")
    made = migrate_run(run, NEWER, name="next")
    assert made.run == run.root.parent / "next"
    stored = json.loads((made.run / MIGRATION).read_text(encoding="utf-8"))
    divided, deleted = stored["retired"]
    assert (divided["code"], tuple(divided["into"])) == (DIVIDED, CHILDREN)
    assert (deleted["code"], deleted["into"]) == (DELETED, [])
    assert divided["documents"] > 0
    assert stored["successors"] == list(CHILDREN)
    assert stored["from"]["run"] == "run"
    assert made.to_json()["retired"] == [one._asdict() for one in made.plan.retired]


@pytest.mark.parametrize("kind", ["label attention", LINEAR, "TF-IDF"])
def test_all_codes_of_the_edition_enter_a_described_label_space(trained, kind):
    run = trained(kind, label_space="described", lexical=kind != "TF-IDF")
    made = migrate_run(run, NEWER)
    assert made.plan.new == [NEW]
    model = load_model(made.run)
    assert list(model.labels.codes) == sorted([*KEPT, *CHILDREN, NEW])
    scores_NL = model.scores([*TEXTS, "fever. patient seen"])
    assert np.isfinite(scores_NL).all()
    if kind == "label attention":  # the only kind that compares notes with descriptions
        assert scores_NL[:, model.labels.index[NEW]].argmax() == len(TEXTS)


@pytest.mark.parametrize("kind", ["label attention", LINEAR])
def test_training_goes_on_from_a_migrated_run(trained, kind, notes, tmp_path):
    run = trained(kind, lexical=kind == "label attention", steps=13)
    made = migrate_run(run, NEWER)
    text = notes.read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    for row in rows:  # coded by the new edition
        words = "lobar infiltrate" in row["text"]
        row["codes"] = [
            CHILDREN[not words] if code == DIVIDED else code
            for code in row["codes"]
            if code != DELETED
        ] or [UNCHANGED]
    recoded = tmp_path / "recoded.jsonl"
    recoded.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    before = load_model(made.run)
    result = resume_training(made.run, [f"data_path={recoded}", "steps=40"])
    assert (result.finished, result.step) == (True, 40)
    after = load_model(made.run, "last")
    assert after.labels.codes == before.labels.codes
    child = after.labels.index[CHILDREN[0]]
    lobar, other = after.scores(["lobar infiltrate. stable", "pna. stable"])[:, child]
    assert lobar > other
    assert resume_training(made.run, ["steps=44"]).step == 44


def test_optimizer_keeps_the_moments_of_kept_codes(trained):
    run = trained(steps=13, principal=True)
    made = migrate_run(run, NEWER, load="last")
    old_at, new_at = (find_checkpoint(RunDir(root), "last") for root in (run.root, made.run))
    old, new = (torch.load(at / "state.pt", weights_only=True) for at in (old_at, new_at))
    labels, old_labels = load_model(made.run).labels, load_model(run.root).labels
    assert new["run"]["step"] == old["run"]["step"] == 13
    compared = 0
    for place, moments in old["optimizer"]["state"].items():
        for name, value in moments.items():
            other = new["optimizer"]["state"][place][name]
            if not torch.equal(other, value):
                assert len(value) == len(other) == len(labels) == 4
                kept = [labels.index[code] for code in KEPT]
                assert torch.equal(other[kept], value[[old_labels.index[code] for code in KEPT]])
                assert not other[[labels.index[code] for code in CHILDREN]].any()
                compared += 1
    # Two moments each of queries, outputs and biases; and of the principal diagnosis' last two.
    assert compared == 10


def test_documents_with_lost_codes_are_evaluated_and_reported(trained):
    made = migrate_run(trained("TF-IDF"), NEWER)
    warnings = []
    evaluation = evaluate_run(made.run, "validation", on_warning=warnings.append)
    assert evaluation.labels.codes == load_model(made.run).labels.codes
    [warning] = [one for one in warnings if "don't count" in one]
    assert f"{DIVIDED} (" in warning
    assert ", divided)" in warning
    assert DELETED in warning
    corpus = open_run(made.run, on_warning=warnings.append).corpus
    assert all(len(labels) <= len(KEPT) for labels in corpus.documents("train").targets)


def test_the_old_run_is_as_it_was(trained):
    run = trained("TF-IDF")
    files = {path: path.read_bytes() for path in run.root.rglob("*") if path.is_file()}
    made = migrate_run(run, NEWER)
    assert {path: path.read_bytes() for path in run.root.rglob("*") if path.is_file()} == files
    assert {path.name for path in run.root.parent.iterdir()} == {"run", made.run.name}
    assert all(find_checkpoint(RunDir(made.run), name).is_dir() for name in CHECKPOINTS)


def test_a_run_of_the_same_edition_stays(trained):
    run = trained("TF-IDF")
    made = migrate_run(run, OLDER)
    assert (made.run, made.plan, made.newer) == (None, None, (OLDER,))
    assert [path.name for path in run.root.parent.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("edition", "message"),
    [
        ("icd10cm-1002", "no edition 'icd10cm-1002'.*icd10cm-1001"),
        ("icd9cm", "another coding system.*`icdcode codes map`"),
    ],
)
def test_other_editions_are_refused(trained, edition, message):
    run = trained("TF-IDF")
    with pytest.raises(ConfigError, match=message):
        migrate_run(run, edition)
    assert [path.name for path in run.root.parent.iterdir()] == ["run"]


def test_a_system_without_the_codes_is_refused(trained, tmp_path):
    table = tmp_path / "other.csv"
    table.write_text("code,title\nA1,One\nA2,Two\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="none of its 4 codes is in file:"):
        migrate_run(trained("TF-IDF"), f"file:{table}")


def test_bad_folders_are_reported(trained, tmp_path):
    with pytest.raises(ConfigError, match="no such run folder"):
        migrate_run(tmp_path / "missing", NEWER)
    run = trained("TF-IDF")
    (run.root.parent / "taken").mkdir()
    with pytest.raises(ConfigError, match="taken: exists already"):
        migrate_run(run, NEWER, name="taken")
    with pytest.raises(ConfigError, match="should be the name of a folder"):
        migrate_run(run, NEWER, name="a/b")
    with exclusive(run.root / ".lock"), pytest.raises(ResumeError, match="is being trained by"):
        migrate_run(run, NEWER)
    shutil.rmtree(run.root / "weights")
    with pytest.raises(ResumeError, match="has no checkpoint 'metric'"):
        migrate_run(run, NEWER)


def test_nothing_is_left_of_a_migration_that_fails(trained, monkeypatch):
    run = trained("TF-IDF")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("icdcli.lexical.tfidf.Tfidf.save", full)
    with pytest.raises(DataError, match="can't be written"):
        migrate_run(run, NEWER)
    assert [path.name for path in run.root.parent.iterdir()] == ["run"]


def test_an_edition_that_is_gone_counts_as_one_with_all_codes(trained, monkeypatch, tmp_path):
    run = trained("TF-IDF")
    (tmp_path / "codes" / f"{OLDER}.parquet").unlink()
    monkeypatch.setattr(migration_run, "stored_folders", lambda _: set())
    warnings = []
    made = migrate_run(run, NEWER, on_warning=warnings.append)
    assert OLDER in warnings[0]
    assert [one.code for one in made.plan.retired] == [DIVIDED, DELETED]


def test_command_shows_what_became_of_the_codes(trained, capsys):
    run = trained("TF-IDF")
    capsys.readouterr()
    migrate(run.root, NEWER)
    shown = capsys.readouterr().out
    assert f"Migrated from {OLDER} to {NEWER}" in shown
    assert "kept      2 codes" in shown
    assert f"  {DIVIDED} Pneumonia (" in shown
    assert f"now {', '.join(CHILDREN)}" in shown
    assert "deleted" in shown
    migrate(run.root, OLDER)
    assert "There is nothing to migrate" in " ".join(capsys.readouterr().out.split())
    migrate(run.root, NEWER, name="as_json", json=True)
    content = json.loads(capsys.readouterr().out)
    assert (content["kept"], content["successors"]) == (2, list(CHILDREN))
    assert content["run"].endswith("as_json")


def test_a_table_of_codes_is_migrated_to_its_next_version(trained, tmp_path):
    first, second = tmp_path / "codes.csv", tmp_path / "codes-2.csv"
    titles = {UNCHANGED: "Hypertension", RENAMED: "Diabetes", DIVIDED: "Pneumonia", DELETED: "AKI"}
    lines = [f"{code},{title}" for code, title in titles.items()]
    first.write_text("\n".join(["code,title", *lines]), encoding="utf-8")
    below = [f"{DIVIDED}-1,Lobar pneumonia", f"{DIVIDED}-2,Other pneumonia"]
    second.write_text("\n".join(["code,title", *lines[:3], *below]), encoding="utf-8")
    run = trained("label attention", code_system=f"file:{first}", lexical=True)
    made = migrate_run(run, f"file:{second}")
    assert made.run.name == "run-file-codes-2"
    assert [(one.code, one.into) for one in made.plan.retired] == [
        (DIVIDED, (f"{DIVIDED}-1", f"{DIVIDED}-2")),
        (DELETED, ()),
    ]
    assert same_scores(load_model(run.root), load_model(made.run))
    evaluated = evaluate_run(made.run, "validation", on_warning=lambda _: None)
    assert evaluated.labels.known_titles[f"{DIVIDED}-1"] == "Lobar pneumonia"


@pytest.mark.slow
def test_a_migrated_run_can_be_exported_and_migrated_again(trained, tmp_path):
    run = trained("label attention", lexical=True)
    once = migrate_run(run, NEWER)
    back = migrate_run(once.run, OLDER, name="back")
    # J18.91 and J18.92 became J18.9 again, by the code above them.
    assert [one.into for one in back.plan.retired] == [(DIVIDED,), (DIVIDED,)]
    assert same_scores(load_model(run.root), load_model(back.run))
    notes = [Note(str(row), text) for row, text in enumerate(TEXTS)]
    coded = list(predict_notes(load_model(once.run), notes, top=2, evidence=True))
    assert [len(note.codes) for note in coded] == [2] * len(TEXTS)
    assert {code.code for note in coded for code in note.codes} <= {*KEPT, *CHILDREN}
    made = export_model(once.run, tmp_path / "exported", base=True)
    assert made.labels == 4
    assert NEWER in (made.folder / "README.md").read_text(encoding="utf-8")
    assert np.array_equal(load_model(made.folder).scores(TEXTS), load_model(once.run).scores(TEXTS))


@pytest.mark.slow
def test_assertion_classes_are_migrated(trained):
    run = trained("label attention", lexical=True, assertion="learned")
    before, after = load_model(run.root), load_model(migrate_run(run, NEWER).run)
    old, head = before.network.head, after.network.head
    assert head.classes and head.classes == old.classes
    assert torch.equal(head.class_scores.shared_C, old.class_scores.shared_C)
    assert same_scores(before, after, ["no pneumonia. denies high blood pressure", *TEXTS])


@pytest.mark.slow
@pytest.mark.parametrize("space", WITH_UNSEEN)
def test_candidates_that_training_never_saw_are_left_out(trained, space):
    unseen = "E11.65"
    codes = {UNCHANGED: "Hypertension", RENAMED: "Diabetes", unseen: "Diabetes with hyperglycemia"}
    codes |= {DIVIDED: "Pneumonia", DELETED: "Acute kidney injury"}
    with_more = About("icd10cm-999", "with one more", valid_from=date(999, 10, 1))
    store_edition(Edition.of(with_more, [Entry(code, title) for code, title in codes.items()]))
    run = trained(code_system="icd10cm-999", label_space=space, lexical=True, lexicon=True)
    made = migrate_run(run, NEWER)
    before, after = load_model(run.root), load_model(made.run)
    assert before.labels.codes == (*sorted([UNCHANGED, RENAMED, DIVIDED, DELETED]), unseen)
    assert list(after.labels.codes) == sorted([*KEPT, *CHILDREN])
    assert same_scores(before, after)
    assert after.fusion.unseen is None
    evaluated = evaluate_run(made.run, "validation", on_warning=lambda _: None)
    assert evaluated.labels.codes == after.labels.codes
