"""The memory of a GPU grows in place, unless the user has set up the allocator."""

import sys

import pytest
import torch

from icdcli.distributed.devices import let_memory_grow


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("2.8.1+cu126", "PYTORCH_CUDA_ALLOC_CONF"),
        ("2.9.0", "PYTORCH_ALLOC_CONF"),
        ("2.13.0+cpu", "PYTORCH_ALLOC_CONF"),
    ],
)
def test_blocks_are_extended(monkeypatch, version, name):
    monkeypatch.setattr(torch, "__version__", version)
    monkeypatch.setattr(sys, "platform", "linux")
    environment = {"HOME": "/"}
    let_memory_grow(environment)
    assert environment == {"HOME": "/", name: "expandable_segments:True"}


@pytest.mark.parametrize("name", ["PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"])
def test_settings_of_the_user_are_kept(monkeypatch, name):
    monkeypatch.setattr(sys, "platform", "linux")
    environment = {name: "max_split_size_mb:128"}
    let_memory_grow(environment)
    assert environment == {name: "max_split_size_mb:128"}


def test_other_systems_do_not_support_it(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    environment: dict[str, str] = {}
    let_memory_grow(environment)
    assert not environment
