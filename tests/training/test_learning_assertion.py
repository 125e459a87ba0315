"""Networks learn from the labels what denied and relatives' conditions count for."""

import json
import random
import signal

import numpy as np
import pytest
import torch

from icdcli.distributed.process_group import ProcessGroup
from icdcli.evaluation.run import evaluate_run
from icdcli.explain.evidence import evidence_finder
from icdcli.io.manifest import read_manifest, verify, write_manifest
from icdcli.model.checkpoint import load_model
from icdcli.model.files.export import export_model
from icdcli.model.heads.assertion_terms import CLASSES
from icdcli.run_dir import RunDir, find_checkpoint
from icdcli.training.events import StepDone
from icdcli.training.loop import train
from icdcli.training.recorder import recording
from icdcli.training.run import resume_training, run_training, with_edition
from icdcli.training.setup import new_training

NAMES = {
    "I10": "hypertension",
    "E11.9": "diabetes",
    "J18.9": "pneumonia",
    "N17.9": "nephritis",
    "G40.909": "epilepsy",
}
FAMILY = {"Z82.49": "I10", "Z83.3": "E11.9"}
ALONE = ProcessGroup(0, 1)

pytestmark = pytest.mark.usefixtures("full_tiny")


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    """Return a table of notes that all have the same names; the codes depend on what is said."""
    draw = random.Random(0)
    path = tmp_path_factory.mktemp("facts") / "notes.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(400):
            codes, sentences = [], []
            for code, name in NAMES.items():
                said = draw.choice(("has", "denies", "family"))
                if said == "family":
                    sentences.append(f"Mother had {name}.")
                    codes += [other for other, of in FAMILY.items() if of == code]
                else:
                    sentences.append(f"The patient {said} {name}.")
                    codes += [code] * (said == "has")
            draw.shuffle(sentences)
            split = ("train", "train", "train", "validation")[number % 4]
            row = {
                "id": f"n{number}",
                "text": " ".join([f"Visit {number}.", *sentences]),
                "codes": codes,
                "split": split,
            }
            file.write(json.dumps(row) + "\n")
    return path


@pytest.fixture
def options(facts):
    """Return a function that gives the options of a head on a frozen backbone, with changes."""

    def make(head, **changes):
        return {
            "data_path": facts, "code_system": "icd10", "freeze_backbone": True, "max_len": 64,
            "batch_size": 16, "head_lr_factor": 1, "weight_decay": 0, "label_init": "random",
            "steps": 300 if head == "label_attention" else 190,
            "lr0": 6e-3 if head == "label_attention" else 3e-2,
            "state_pooling": 1, "label_width": 32, "pooling_mode": head, "prediction_print_n": 0,
        } | changes  # fmt: skip

    return make


@pytest.fixture
def trained(config, options):
    """Return a function that trains a head on the hidden states of random weights."""
    return lambda head, **changes: run_training(config(**options(head, **changes))).run


def accuracy(run):
    found = evaluate_run(run, "validation", load="last")
    return float(((found.scored.scores_NL >= 0.5) == found.targets_NL).mean())


@pytest.mark.slow
@pytest.mark.parametrize("head", ["label_attention", "mean", "weighted_mean", "eos_token"])
def test_codes_that_depend_on_the_class_alone_are_learned(trained, head):
    reached = {
        assertion: accuracy(trained(head, name=assertion, assertion=assertion))
        for assertion in ("learned", "mentions")
    }
    assert reached["learned"] >= 0.95
    assert reached["mentions"] < 0.85


QUICK = {"steps": 24, "warmup_steps": 2}
READING = {
    "states of four tokens": {"state_pooling": 4},
    "hidden states in every pass": {"state_cache_gb": 0, "state_pooling": 2},
    "padded": {"state_cache_gb": 0, "padding": "batch"},
    "trained backbone": {"freeze_backbone": False, "gradient_checkpointing": True},
    "adapters": {"lora_activate": True, "lora_r": 4, "freeze_backbone": "null"},
    "windows": {"max_len": 16, "long_notes": "windows", "state_pooling": 4},
}


def as_trained(run):
    return load_model(find_checkpoint(run, "last"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", READING)
def test_prediction_and_evaluation_read_the_same_classes(trained, facts, tmp_path, kind):
    run = trained("label_attention", **QUICK, **READING[kind])
    model = as_trained(run)
    assert model.network.head.classes == CLASSES
    rows = [json.loads(line) for line in facts.read_text().splitlines()]
    scored = evaluate_run(run, "validation", load="last").scored
    text_of = {row["id"]: row["text"] for row in rows}
    texts = [text_of[name] for name in scored.documents.ids[:40]]
    evaluation = scored.scores_NL[:40]
    np.testing.assert_allclose(model.scores(texts), evaluation, atol=2e-3)
    affirmed = [text.replace("denies", "has").replace("Mother", "Patient") for text in texts]
    assert np.abs(model.scores(affirmed) - evaluation).max() > 0.02


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"freeze_backbone": False, "head_dropout": 0.3}])
def test_an_interrupted_run_ends_with_the_same_weights(trained, options, config, changes):
    changes = QUICK | changes
    whole = trained("label_attention", name="whole", **changes)
    settings = config(**options("label_attention", name="part", **changes))
    training, corpus = new_training(settings, ALONE)
    part = RunDir.create(whole.root.parent, "part")
    part.write_config(with_edition(settings, corpus))
    with recording(training, part, corpus, []) as publish:
        for event in train(training):
            publish(event)
            if isinstance(event, StepDone) and event.step == 13:
                training.stop_requested = lambda: signal.SIGINT
    assert verify(part.checkpoint("last"))["step"] == 13
    resume_training(part)
    expected, found = (as_trained(run).network.head.state_dict() for run in (whole, part))
    assert expected["class_scores.own_LC"].abs().max() > 0
    for name, weight in expected.items():
        assert torch.equal(weight, found[name]), name


def test_evidence_is_where_the_attention_has_not_looked_away(trained):
    model = as_trained(trained("label_attention", **QUICK))
    text = "The patient denies hypertension. The patient has diabetes."
    with torch.no_grad():
        model.network.head.class_scores.shared_C.fill_(-2)
    labels = list(range(len(model.labels)))
    spans = [span for found in evidence_finder(model)(text, labels) for span in found]
    assert spans
    assert not [span for span in spans if "hypertension" in text[span.begin : span.end]]
    with torch.no_grad():
        model.network.head.class_scores.shared_C.fill_(2)
    for found in evidence_finder(model)(text, labels):
        assert [text[span.begin : span.end] for span in found] == ["hypertension"]


@pytest.mark.parametrize(
    "changes",
    [{"assertion": "mentions"}, {"assertion": "facts"}, {"language": "de"}],
    ids=["mentions", "facts", "no cues"],
)
def test_other_models_have_no_weights_for_classes(config, options, changes):
    warnings = []
    settings = config(**options("label_attention", **changes))
    training, _ = new_training(settings, ALONE, on_warning=warnings.append)
    network = training.model.network
    assert network.head.classes == ()
    assert not [name for name in network.state_dict() if "class" in name]
    assert training.train.tokens.classes is None
    assert ["assertion is off" in warning for warning in warnings] == [True] * (
        "language" in changes
    )


def test_checkpoints_of_yesterday_give_the_same_scores(trained, facts):
    run = trained("label_attention", **QUICK, assertion="mentions")
    texts = [json.loads(line)["text"] for line in facts.read_text().splitlines()[:8]]
    expected = as_trained(run).scores(texts)
    folder = find_checkpoint(run, "last")
    settings = json.loads((folder / "coder.json").read_text())
    assert settings.pop("classes") == []
    settings["model"]["assertion"] = "learned"  # the network did without classes
    (folder / "coder.json").write_text(json.dumps(settings))
    write_manifest(folder, {k: v for k, v in read_manifest(folder).items() if k != "files"})
    np.testing.assert_array_equal(load_model(folder).scores(texts), expected)


def test_an_exported_model_reads_the_same_classes(trained, facts, tmp_path):
    run = trained("mean", **QUICK)
    texts = [json.loads(line)["text"] for line in facts.read_text().splitlines()[:8]]
    exported = export_model(run.root, tmp_path / "exported", load="last").folder
    np.testing.assert_array_equal(load_model(exported).scores(texts), as_trained(run).scores(texts))
