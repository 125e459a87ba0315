"""A device that runs out of memory in a validation, an evaluation or a prediction."""

import numpy as np
import pytest
import torch

from icdcli.errors import ConfigError
from icdcli.evaluation.run import evaluate_run
from icdcli.io.manifest import verify
from icdcli.model.checkpoint import load_model
from icdcli.model.network import CodingNetwork
from icdcli.run_dir import read_rows
from icdcli.training.run import resume_training, run_training

CLOCK = {"seconds", "tokens_per_second"}
TEXTS = [
    "htn and dm2. patient seen. stable",
    "aki",
    "pneumonia, lobar infiltrate. plan discussed",
] * 9


@pytest.fixture
def memory(monkeypatch):
    """Limits the tokens of a forward pass without gradients; returns the function to set it."""
    forward, limit = CodingNetwork.forward, []

    def limited(self, batch, *rest, **more):
        if limit and torch.is_inference_mode_enabled() and batch.ids.numel() > limit[-1]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return forward(self, batch, *rest, **more)

    monkeypatch.setattr(CodingNetwork, "forward", limited)
    return limit.append


def rows_of(path):
    return [{key: row[key] for key in row if key not in CLOCK} for row in read_rows(path)]


def weights_of(checkpoint):
    files = verify(checkpoint)["files"]
    return {name: files[name] for name in files if name.endswith((".safetensors", "coder.json"))}


def test_a_validation_is_read_in_smaller_passes_and_the_run_goes_on(config, memory):
    roomy = run_training(config(name="roomy")).run
    memory(70)
    said = []
    tight = run_training(config(name="tight"), on_warning=said.append).run
    [line] = [text for text in said if "memory" in text]
    assert line.startswith("cpu ran out of memory; continuing with at most ")
    assert rows_of(tight.steps) == rows_of(roomy.steps)
    for found, expected in zip(rows_of(tight.results), rows_of(roomy.results), strict=True):
        numbers = [{key: float(row[key]) for key in row} for row in (found, expected)]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-5)


@pytest.mark.slow
def test_an_evaluation_and_a_prediction_are_read_in_smaller_passes(config, memory, monkeypatch):
    # As on a GPU: on a CPU, each note of a prediction has a pass of its own.
    monkeypatch.setattr("icdcli.model.neural_model.reads_alone", lambda _: False)
    run = run_training(config(code_system="icd10")).run
    expected = evaluate_run(run, "train", on_warning=lambda _: None)
    scores_NL = load_model(run.root).scores(TEXTS)
    memory(70)
    said = []
    found = evaluate_run(run, "train", on_warning=said.append)
    assert found.metrics == pytest.approx(expected.metrics, rel=1e-5)
    assert len([text for text in said if "memory" in text]) == 1
    model = load_model(run.root, on_warning=said.append)
    np.testing.assert_allclose(model.scores(TEXTS), scores_NL, atol=1e-6)
    model.scores(TEXTS)
    assert len([text for text in said if "memory" in text]) == 2  # once per model


@pytest.mark.slow
def test_after_an_error_in_a_validation_the_run_resumes_with_it_and_ends_the_same(config, memory):
    whole = run_training(config(name="whole")).run
    memory(5)
    with pytest.raises(
        ConfigError, match=r"max_len: a document of \d+ tokens doesn't fit .* alone"
    ):
        run_training(config(name="cut"))
    cut = whole.root.with_name("cut")
    last = cut / "weights" / "last"
    assert verify(last)["step"] == 13
    assert torch.load(last / "state.pt", weights_only=True)["run"]["validated"] == 0
    assert not (cut / "results.csv").exists()
    memory(10_000)
    resumed = resume_training(cut)
    assert resumed.finished
    assert rows_of(resumed.run.results) == rows_of(whole.results)
    assert rows_of(resumed.run.steps) == rows_of(whole.steps)
    for name in ("metric", "last"):
        assert weights_of(resumed.run.checkpoint(name)) == weights_of(whole.checkpoint(name))


def test_a_resumed_run_does_not_save_again_what_it_starts_from(config, memory):
    memory(5)
    with pytest.raises(ConfigError):
        run_training(config())
    memory(10_000)
    resume_training(config().run.project / "run", ["steps=13"])
    steps = config().run.project / "run" / "weights" / "steps"
    assert {path.name for path in steps.iterdir()} == {"13", "13-2"}
