"""The training benchmark: its arguments, its parts, and in seconds, all sides."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]
Script = Callable[[str], ModuleType]
SHORT = ["--lengths", "mimic", "--max-len", "32", "--documents", "8", "--batch-size", "2"]


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "benchmarks/train.py", *SHORT, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_every_side_runs_and_learns_the_same():
    done = run("--steps", "10")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line[:3] in ("a  ", "b  ", "c  ", "d  ")]
    assert len(rows) == 4
    assert "largest difference on the same documents" in done.stdout


@pytest.mark.slow
def test_quantized_weights_are_trained_by_both_with_a_profile_and_the_same_losses(tmp_path: Path):
    figures = tmp_path / "train.json"
    done = run(
        *("--size", "tiny", "--bit", "4", "--only", "a,b", "--steps", "4", "--log-every", "2"),
        *("--profile", "--json", str(figures)),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text())
    ours, theirs = (found["sides"][side][0] for side in "ab")
    assert ours["first_weights"] == theirs["first_weights"]
    assert ours["losses"] == pytest.approx(theirs["losses"], rel=1e-2)
    assert ours["restarts"] == 0
    assert sum(ours["profile"]["shares"].values()) == pytest.approx(1)
    assert ours["profile"]["shares"]["matrix products"] > 0
    assert ours["padding"] == 0  # the profiled step doesn't count
    assert "out-of-memory restarts: 0" in done.stdout


@pytest.mark.slow
def test_label_attention_gives_the_share_of_the_head():
    done = run(
        *("--size", "tiny", "--only", "a", "--head", "label_attention", "--labels", "90"),
        *("--steps", "4", "--log-every", "4"),
    )
    assert done.returncode == 0, done.stderr
    assert "the head takes" in done.stdout


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the Trainer
def test_trials_do_not_change_what_the_trainer_learns(
    script: Script, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs, network = script("train_theirs"), script("train_network")
    wanted = network.Wanted(network.SIZES["tiny"], 32, 32, 0, "mean", 50)
    read = script("train_documents").documents("codiesp", None, 8, 32, 4, 2, 0)
    options = {"side": "b", "log_every": 2, "batch_size": 2, "checkpointing": "auto"}
    options |= {"accumulate": 1}
    alone = theirs.train_theirs(read, options, wanted)
    assert alone["accumulate"] == 1
    assert "tried" not in alone
    candidates = [theirs.Setting(False, 1), theirs.Setting(True, 2)]
    monkeypatch.setattr(theirs, "settings", lambda *_: candidates)
    chosen = theirs.train_theirs(read, options, wanted)
    seconds = {each["accumulate"]: each["seconds"] for each in chosen["tried"]}
    assert chosen["accumulate"] == min(seconds, key=lambda each: seconds[each])
    assert min(seconds.values()) > 0
    assert chosen["first_weights"] == alone["first_weights"]
    assert chosen["losses"] == pytest.approx(alone["losses"], rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--steps", "15"], "--steps"),
        (["--steps", "2", "--log-every", "2"], "--steps"),
        (["--accumulate", "3"], "--batch-size"),
        (["--only", "a,z"], "--only"),
        (["--head", "label_attention"], "needs --only a"),
        (["--labels", "3"], "--labels"),
        (["--lengths", "mimic", "--codiesp", "."], "--codiesp"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(
    script: Script,
    arguments: list[str],
    problem: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as refused:
        script("train").read_arguments(arguments)
    assert refused.value.code == 2
    assert problem in capsys.readouterr().err


def test_rounded_weights_may_differ_more(script: Script) -> None:
    train = script("train")
    exact = train.allowed(train.read_arguments(["--size", "small"]))
    for rounded in (["--size", "8b"], ["--size", "tiny", "--bit", "8"]):
        assert train.allowed(train.read_arguments(rounded)) > exact


def test_grouped_sides_need_not_have_the_same_losses(script: Script) -> None:
    train = script("train")
    row = {"first_weights": "1", "losses": [1.0]}
    other = row | {"losses": [2.0]}
    assert train.disagreement({"a": row, "b": row, "d": other, "e": other}) == 0
    assert train.disagreement({"a": row, "b": other}) == 1


def test_the_weights_of_a_shape_are_those_of_the_network(script: Script) -> None:
    network = script("train_network")
    for bit in (32, 8, 4):
        wanted = network.Wanted(network.SIZES["tiny"], bit, 32, 0, "mean", 50)
        made, _ = network.ours(wanted)
        if bit == 32:
            kept = [weight for weight in made.backbone.parameters() if not weight.requires_grad]
            embeddings = made.backbone.get_input_embeddings().weight.numel()
            weights = sum(weight.numel() for weight in kept) - embeddings
            assert network.SIZES["tiny"].layer_weights == weights
            adapters = network.adapter_weights(made)
        kinds = {type(layer).__name__ for layer in network.theirs(wanted).modules()}
        assert {8: "Linear8bitLt", 4: "Linear4bit", 32: "Linear"}[bit] in kinds
        assert network.adapter_weights(made) == adapters  # quantized ones would be fewer
    # Llama 3 8B has 8.03 billion weights, and 1.05 billion of them are embeddings and outputs.
    assert network.SIZES["8b"].layer_weights == pytest.approx(6.98e9, rel=1e-3)
    assert network.SIZES["1b"].layer_weights == pytest.approx(0.973e9, rel=1e-3)


def test_a_forward_pass_is_a_third_of_the_attention_and_half_of_the_frozen_weights(
    script: Script,
) -> None:
    network = script("train_network")
    size, lengths = network.SIZES["8b"], np.array([1_000, 3_000])
    train, predict = (
        network.useful_operations(size, 0, lengths, training) for training in (True, False)
    )
    attention = 4 * 32 * 4_096 * 10_000_000
    assert predict == 2 * size.layer_weights * 4_000 + attention
    assert train - predict == 2 * size.layer_weights * 4_000 + 2 * attention


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("nvjet_tst_256x128_64x4_2x1_v_bz_coopA_TNN", "matrix products"),
        ("sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n", "matrix products"),
        ("void cublasLt::splitKreduce_kernel<32, 16>", "matrix products"),
        ("void pytorch_flash::flash_bwd_dq_dk_dv_loop_seqk_parallel_kernel", "attention"),
        ("fmha_cutlassF_bf16_aligned_64x64_rf_sm80", "attention"),
        ("void kDequantizeBlockwise<__nv_bfloat16, 512, 64, 8, 1>", "dequantization"),
        (
            "void at::native::elementwise_kernel<128, 4, at::native::direct_copy_kernel_cuda>",
            "copies and casts",
        ),
        ("Memcpy DtoD (Device -> Device)", "copies and casts"),
        (
            "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add>",
            "elementwise and reductions",
        ),
        ("_rms_norm_forward_kernel", "elementwise and reductions"),
        ("_swiglu_backward_kernel", "elementwise and reductions"),
        ("aten::addmm", "matrix products"),
        ("aten::silu", "elementwise and reductions"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
        ("something new", "other"),
    ],
)
def test_kernels_are_of_a_kind(script: Script, kernel: str, kind: str) -> None:
    assert script("train_profile").kind_of(kernel) == kind


def test_idle_time_and_kernels_at_the_same_time_add_up(script: Script) -> None:
    profile = script("train_profile")
    spans = [("gemm", 0.0, 4.0), ("flash", 2.0, 4.0), ("gemm", 8.0, 10.0)]
    shares = profile.shares(spans)
    assert shares["idle"] == pytest.approx(0.4)  # from 4 to 8
    assert shares["matrix products"] == pytest.approx(0.6 * 6 / 8)
    assert shares["attention"] == pytest.approx(0.6 * 2 / 8)
    assert sum(shares.values()) == pytest.approx(1)
    assert profile.shares([]) == {}


def test_the_trainer_tries_several_settings_on_a_gpu_only(script: Script) -> None:
    theirs = script("train_theirs")
    setting, gpu, cpu = theirs.Setting, torch.device("cuda"), torch.device("cpu")
    options: dict[str, Any] = {"batch_size": 8, "checkpointing": "auto", "accumulate": None}
    assert theirs.settings(options, cpu) == [setting(False, 1)]
    assert theirs.settings(options, gpu) == [setting(False, 8), setting(False, 4), setting(True, 1)]
    given = options | {"checkpointing": "True"}
    assert theirs.settings(given, gpu) == [setting(True, 1)]
    assert theirs.settings(given | {"accumulate": 2}, gpu) == [setting(True, 2)]


def test_trials_leave_out_what_does_not_fit_and_restore_the_weights(script: Script) -> None:
    theirs = script("train_theirs")
    network = SimpleNamespace(output=torch.nn.Linear(2, 1))
    network.parameters = network.output.parameters
    before = network.output.weight.detach().clone()
    seconds = {theirs.Setting(False, 8): 3.0, theirs.Setting(True, 1): 2.0}

    def run(setting: Any, steps: int, clock: Any) -> None:
        with torch.no_grad():
            network.output.weight.add_(1)
        if setting not in seconds:
            raise torch.OutOfMemoryError
        clock.seconds = seconds[setting]

    candidates = [theirs.Setting(False, 8), theirs.Setting(False, 4), theirs.Setting(True, 1)]
    assert theirs._try(network, run, candidates) == seconds
    assert torch.equal(network.output.weight, before)
    with pytest.raises(torch.OutOfMemoryError):
        theirs._try(network, run, candidates[1:2] * 2)


def test_liger_reaches_the_backbone_inside_of_the_trainers_model(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.integrations import liger

    network = script("train_network")
    plain = network.theirs(network.Wanted(network.SIZES["tiny"], 32, 32, 0, "mean", 50))
    reached: list[tuple[str, dict[str, bool]]] = []

    def apply(model: torch.nn.Module, **options: bool) -> None:
        reached.append((type(model).__name__, options))
        model.norm._get_name = lambda: "LigerRMSNorm"

    def use(function: Any) -> None:
        fake = SimpleNamespace(_apply_liger_kernel_to_instance=function)
        monkeypatch.setitem(sys.modules, "liger_kernel.transformers", fake)
        monkeypatch.setitem(sys.modules, "liger_kernel", SimpleNamespace(transformers=fake))

    monkeypatch.setattr(liger, "is_liger_kernel_available", lambda: True)
    use(lambda **_: None)
    with pytest.raises(SystemExit, match="did not reach"):
        script("train_theirs").use_liger(plain)
    use(apply)
    assert script("train_theirs").use_liger(plain) == 1
    assert reached == [
        ("LlamaModel", {"fused_linear_cross_entropy": False, "cross_entropy": False})
    ]


def test_the_head_is_measured_with_the_inputs_of_the_last_step(script: Script) -> None:
    profile = script("train_profile")
    network = torch.nn.Module()
    network.head, network.device = torch.nn.Linear(4, 3), torch.device("cpu")
    with profile.HeadInputs(network) as inputs:
        for size in (2, 5):
            inputs.kept.clear()
            network.head(torch.ones(size, 4, requires_grad=True))
    network.head(torch.ones(9, 4))  # outside of the block
    assert [tuple(call[0].shape) for call in inputs.kept] == [(5, 4)]
    assert profile.head_seconds(network, inputs.kept) > 0
