import json
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch

from icdcli.model.section import QUANTIZED
from icdcli.profiling import check_machine as checkup

CPU = torch.device("cpu")


def test_the_machine_is_told_in_plain_values():
    about = checkup.about_machine()
    assert json.loads(json.dumps(about)) == about
    assert about["python"] == sys.version.split()[0]
    assert about["cores"] >= 1
    assert 0 < about["memory_free"] <= about["memory_total"]


def test_packages_have_versions_and_missing_ones_are_none(monkeypatch):
    real = checkup.version

    def version(name):
        if name == "isal":
            raise PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(checkup, "version", version)
    found = checkup.about_packages()
    assert list(found) == list(checkup.PACKAGES)
    assert found["torch"] == real("torch")
    assert found["isal"] is None


def test_each_ability_is_tried_and_noted(tmp_path):
    found = {ability["name"]: ability for ability in checkup.what_works(tmp_path)}
    assert list(found) == [
        "bfloat16",
        "4 bit",
        "8 bit",
        "varlen attention",
        "ISA-L",
        "symbolic links",
    ]
    assert all(ability["note"] and isinstance(ability["works"], bool) for ability in found.values())
    assert found["bfloat16"]["works"]
    assert found["symbolic links"]["works"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bit", QUANTIZED)
def test_quantised_weights_that_cannot_be_used_say_why_and_what_to_do(monkeypatch, tmp_path, bit):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    reason = checkup.why_not_quantized(bit, CPU)
    assert reason.startswith("ModuleNotFoundError: ")
    assert "\n" not in reason
    [ability] = [
        ability for ability in checkup.what_works(tmp_path) if ability["name"] == f"{bit} bit"
    ]
    assert not ability["works"]
    assert ability["note"] == f"{reason}; use bit: 16 or 32"


@pytest.mark.parametrize("bit", QUANTIZED)
def test_quantised_weights_work_where_the_package_does(bit):
    pytest.importorskip("bitsandbytes")
    assert checkup.why_not_quantized(bit, CPU) is None


def test_a_folder_without_links_is_told(tmp_path, monkeypatch):
    def refuse(link, target):
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    found = {ability["name"]: ability for ability in checkup.what_works(tmp_path)}
    assert not found["symbolic links"]["works"]
    assert "folders instead" in found["symbolic links"]["note"]


def test_the_disk_is_that_of_the_nearest_folder_above(tmp_path):
    about = checkup.about_disk(tmp_path / "runs" / "mine")
    assert about["folder"] == tmp_path
    assert 0 <= about["free"] < about["total"]
    assert list(tmp_path.iterdir()) == []


def test_split_lists_count_only_when_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(checkup, "splits_home", lambda: tmp_path)
    assert not any(checkup.about_split_lists()["protocols"].values())
    protocol, lists = next(iter(checkup.PUBLISHED.items()))
    for file in lists[0].files:
        (tmp_path / file.name).write_text("something else")
    assert not checkup.about_split_lists()["protocols"][protocol]
    right = {file.name: file.sha256 for file in lists[0].files}
    monkeypatch.setattr(checkup, "sha256_of", lambda path: right.get(path.name))
    assert checkup.about_split_lists()["protocols"][protocol]
