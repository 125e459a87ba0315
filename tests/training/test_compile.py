"""Layers that are compiled compute what they computed before."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from icdcli.config.loading import to_yaml
from icdcli.errors import ConfigError
from icdcli.model.backbone import compile_layers, layers_of
from icdcli.run_dir import read_rows

ROOT = Path(__file__).parents[2]


class Stacked(nn.Module):
    _no_split_modules = ("Linear",)

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        self.others = nn.ModuleList([nn.Tanh()])


def test_an_architectures_layers_are_those_that_it_names():
    stacked = Stacked()
    assert layers_of(stacked, "torch_compile: True") == list(stacked.layers)
    with pytest.raises(
        ConfigError,
        match=r"torch_compile: True: this architecture .*doesn't declare its layers. Leave",
    ):
        layers_of(nn.Sequential(nn.Linear(2, 2)), "torch_compile: True")


def test_a_machine_that_cannot_compile_says_what_is_missing(monkeypatch):
    def compile(*_):
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found")

    monkeypatch.setattr(torch, "compile", compile)
    with pytest.raises(
        ConfigError, match=r"nothing can be compiled here: .*Install a C.. compiler"
    ):
        compile_layers(Stacked())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_a_compiled_run_comes_to_the_same_numbers(config, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config(steps=26)))
    for name, compiled in (("plain", False), ("compiled", True)):
        words = ["train", str(path), f"torch_compile={compiled}", f"name={name}"]
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"),
        }
        command = [sys.executable, "-m", "icdcli", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr
    plain, compiled = (
        read_rows(tmp_path / "runs" / name / "results.csv") for name in ("plain", "compiled")
    )
    assert len(plain) == len(compiled) > 1
    for mine, theirs in zip(plain, compiled, strict=True):
        for column in set(mine) - {"seconds"}:
            assert float(theirs[column]) == pytest.approx(float(mine[column]), rel=1e-4, abs=1e-5)
