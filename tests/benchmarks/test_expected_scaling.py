"""The expected speed of several GPUs."""

import importlib.util
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "expected_scaling.py"


@pytest.fixture(scope="module")
def scaling():
    spec = importlib.util.spec_from_file_location("expected_scaling", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_the_page_has_the_table():
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, SCRIPT], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("\n") == 7
    assert done.stdout in (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")


def test_the_shape_is_that_of_llama_3_8b(scaling):
    lm_head = 128_256 * 4_096
    norms = 65 * 4_096
    assert scaling.ALL + lm_head + norms == 8_030_261_248
    assert scaling.ADAPTERS == 41_943_040  # as peft counts them


def test_bytes_and_times_follow_from_the_formulas(scaling):
    shares = [[10_000, 4_100], [8_000]]
    seconds, moved, exposed = scaling.lora_step(shares, 2, 1.0)
    assert moved == 4 * scaling.ADAPTERS
    assert exposed == pytest.approx(moved / 450e9)
    slowest = scaling.seconds_of(10_000, 1.0) + 4_100 / scaling.MEASURED[4_100]
    assert seconds == pytest.approx(slowest + exposed)
    _, moved, _ = scaling.full_step(shares, 2, 1.0)
    assert moved == 2 * 3 * 4 * scaling.ALL / 2  # two passes in both processes
    assert scaling.bandwidth(8, 1.0) == 450e9
    assert scaling.bandwidth(64, 1.0) == 400e9


def test_slow_links_limit_sharded_weights_and_hardly_adapters(scaling):
    options = {"documents": 2, "micro_batch_tokens": 8_192}
    fast, slow = (Namespace(**options, efficiency=share) for share in (0.8, 0.05))
    for training, least, most in (("LoRA", 0.9, 1.0), ("full", 0.1, 0.4)):
        ratio = (
            scaling.expect(training, 16, slow).tokens_per_second
            / scaling.expect(training, 16, fast).tokens_per_second
        )
        assert least < ratio < most


def test_one_gpu_has_the_measured_speed_and_moves_nothing(scaling):
    one = scaling.expect("LoRA", 1, Namespace(documents=8, micro_batch_tokens=12_288, efficiency=1))
    speeds = scaling.MEASURED.values()
    assert min(speeds) <= one.tokens_per_second <= max(speeds)
    assert (one.efficiency, one.waiting, one.gigabytes_per_step) == (pytest.approx(1), 0, 0)
