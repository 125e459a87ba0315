import json
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch

from icdcli.model.section import QUANTIZED
from icdcli.profiling import check_machine as module
from icdcli.profiling.check_machine import (
    PACKAGES,
    PUBLISHED,
    check_disk,
    check_features,
    check_machine,
    check_split_lists,
    package_versions,
    why_not_quantized,
)

CPU = torch.device("cpu")


def test_a_machine_is_described_in_plain_values(tmp_path):
    check = check_machine(tmp_path)
    content = json.loads(json.dumps(check.to_json(), default=str))
    assert list(content) == ["machine", "packages", "works", "disk", "split_lists"]
    assert content["machine"]["python"] == sys.version.split()[0]
    assert check.machine.cores >= 1
    assert 0 < check.machine.memory_free <= check.machine.memory_total


def test_packages_have_versions_and_missing_ones_are_none(monkeypatch):
    real = module.version

    def version(name):
        if name == "isal":
            raise PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(module, "version", version)
    found = package_versions()
    assert list(found) == list(PACKAGES)
    assert found["torch"] == real("torch")
    assert found["isal"] is None


def test_each_feature_is_tried(tmp_path):
    found = {feature.name: feature for feature in check_features(tmp_path)}
    assert list(found) == [
        "bfloat16",
        "4 bit",
        "8 bit",
        "padding-free batches",
        "ISA-L",
        "symbolic links",
    ]
    assert all(feature.note and isinstance(feature.works, bool) for feature in found.values())
    assert found["bfloat16"].works
    assert found["symbolic links"].works
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_emulates_bfloat16_uses_float16(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "half_precision", lambda device: torch.float16)
    [feature] = [each for each in check_features(tmp_path) if each.name == "bfloat16"]
    assert not feature.works
    assert feature.note == (
        "this GPU computes it slowly or not at all; half precision is float16 with loss scaling"
    )


@pytest.mark.parametrize("bit", QUANTIZED)
def test_why_quantized_weights_do_not_work_and_what_to_do(monkeypatch, tmp_path, bit):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    reason = why_not_quantized(bit, CPU)
    assert reason.startswith("ModuleNotFoundError: ")
    assert "\n" not in reason
    [feature] = [feature for feature in check_features(tmp_path) if feature.name == f"{bit} bit"]
    assert not feature.works
    assert feature.note == f"{reason}; use bit: 16 or 32"


@pytest.mark.parametrize("bit", QUANTIZED)
def test_quantized_weights_work_if_the_package_does(bit):
    pytest.importorskip("bitsandbytes")
    assert why_not_quantized(bit, CPU) is None


def test_a_folder_without_links_is_reported(tmp_path, monkeypatch):
    def refuse(link, target):
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    found = {feature.name: feature for feature in check_features(tmp_path)}
    assert not found["symbolic links"].works
    assert "folders instead" in found["symbolic links"].note


def test_the_disk_is_that_of_the_nearest_folder_above(tmp_path):
    disk = check_disk(tmp_path / "runs" / "mine")
    assert disk.folder == tmp_path
    assert 0 <= disk.free < disk.total
    assert list(tmp_path.iterdir()) == []


def test_split_lists_count_only_if_complete(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "splits_home", lambda: tmp_path)
    assert not any(check_split_lists().protocols.values())
    protocol, lists = next(iter(PUBLISHED.items()))
    for file in lists[0].files:
        (tmp_path / file.name).write_text("something else")
    assert not check_split_lists().protocols[protocol]
    right = {file.name: file.sha256 for file in lists[0].files}
    monkeypatch.setattr(module, "sha256_of", lambda path: right.get(path.name))
    assert check_split_lists().protocols[protocol]
