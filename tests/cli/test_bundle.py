"""`icdcode bundle`: what it writes installs without a network, and passes its own check."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy
import pytest

from icdcli.bundling import wheels
from icdcli.bundling.install import sha256_of_file

# No socket at all, as `test_offline.py` does it: Python imports it when it starts.
FORBIDS = """\
import socket, sys

def forbid(event, given):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo"):
        if event == "socket.getaddrinfo" or given[0].family != socket.AF_UNIX:
            raise RuntimeError(f"{event} {given}")

sys.addaudithook(forbid)
"""


@pytest.fixture(scope="module")
def made(icdcode, trained, tmp_path_factory):
    """Return a bundle without the wheels of the dependencies; read only."""
    bundle = tmp_path_factory.mktemp("bundles") / "bundle"
    answer = icdcode("bundle", trained, bundle, "--own-wheel-only", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["wheels"] == 1
    return bundle


def install(bundle, folder, **variables):
    """Run the installer with the dependencies of this environment, and no network."""
    (folder / "forbids").mkdir(exist_ok=True)
    (folder / "forbids" / "sitecustomize.py").write_text(FORBIDS)
    dependencies = Path(numpy.__file__).parents[1]
    paths = os.pathsep.join([str(folder / "forbids"), str(dependencies)])
    return subprocess.run(
        [sys.executable, str(bundle / "install.py"), str(folder / "environment")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "COLUMNS": "100", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.slow
def test_a_bundle_installs_without_a_network_and_passes_its_check(made, tmp_path):
    done = install(made, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "have their checksums, and the model gives its scores" in done.stdout
    program = tmp_path / "environment" / "bin" / "icdcode"
    assert program.is_file()
    assert "icdcli" in os.listdir(next((tmp_path / "environment" / "lib").glob("*/site-packages")))
    again = install(made, tmp_path)
    assert again.returncode == 1
    assert again.stderr == (
        f"error: {tmp_path / 'environment'}: exists already. Remove it, or name another folder.\n"
    )


@pytest.mark.slow
def test_a_bundle_that_lacks_wheels_is_not_installed(made, tmp_path):
    bundle = Path(shutil.copytree(made, tmp_path / "bundle"))
    about = json.loads((bundle / "bundle.json").read_text())
    sums, before = (bundle / "SHA256SUMS").read_text(), sha256_of_file(bundle / "bundle.json")
    (bundle / "bundle.json").write_text(json.dumps({**about, "wheels": "all"}))
    damaged = install(bundle, tmp_path)
    assert damaged.returncode == 1
    assert "bundle.json: was changed" in damaged.stderr
    assert not (tmp_path / "environment").exists()
    after = sha256_of_file(bundle / "bundle.json")
    (bundle / "SHA256SUMS").write_text(sums.replace(before, after))
    done = install(bundle, tmp_path, PYTHONPATH=str(tmp_path / "forbids"))
    assert done.returncode == 1
    assert "No matching distribution found for" in done.stderr
    assert "error: the installation failed; the reason is above" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_icdcodes_own_wheel_has_all_files_of_the_package(made):
    (wheel,) = (made / "wheels").iterdir()
    with ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    of_git = subprocess.run(
        ["git", "ls-files", "icdcli", "configs"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    wanted = {name.replace("configs/", "icdcli/configs/", 1) for name in of_git}
    for some in (
        "icdcli/configs/laptop.yaml",
        "icdcli/icd/editions/tables/",
        "static/",
        "install.py",
    ):
        assert any(some in name for name in wanted)
    assert wanted - packed == set()


@pytest.mark.slow
def test_the_check_finds_another_model(icdcode, refused, made, tmp_path):
    answer = icdcode("bundle", "--check", made, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["passed"] is True
    bundle = Path(shutil.copytree(made, tmp_path / "bundle"))
    path, sums = bundle / "check.json", (bundle / "SHA256SUMS").read_text()
    content, before = json.loads(path.read_text()), sha256_of_file(path)
    code = next(iter(content["scores"]))
    content["scores"][code] += 0.02
    path.write_text(json.dumps(content))
    (bundle / "SHA256SUMS").write_text(sums.replace(before, sha256_of_file(path)))
    refused(3, "bundle", "--check", bundle, says=f"gives {code} the score")
    (bundle / "wheels").rename(bundle / "other")
    refused(3, "bundle", "--check", bundle, says=".whl: is missing. Copy the bundle again.")


def test_wheels_of_another_platform_need_pip(refused, tmp_path, monkeypatch):
    found = wheels.find_spec
    monkeypatch.setattr(wheels, "find_spec", lambda name: None if name == "pip" else found(name))
    words = ("--platform", "manylinux_2_28_aarch64", "--python", "3.12")
    refused(2, "bundle", "run", tmp_path / "out", *words, says="has no pip. Install it there:")
    assert list(tmp_path.iterdir()) == []


def test_wrong_arguments_are_refused(refused, tmp_path):
    refused(2, "bundle", says="RUN_DIR and OUT are needed")
    refused(2, "bundle", "run", "--check", "bundle", says="--check: takes a bundle only")
    refused(2, "bundle", "run", tmp_path / "out", "--python", "3.12", says="give both")
    refused(2, "bundle", "run", tmp_path, says="exists already")
    refused(2, "bundle", "run", tmp_path / "no" / "out", says="there is no folder")
    for words in ((), ("--own-wheel-only",)):  # before the run is looked for
        refused(2, "bundle", "run", tmp_path / "o", "--extra", "serv", *words, says="extra 'serv'")
    says = "isn't installed, but the bundle needs it"
    refused(2, "bundle", "run", tmp_path / "o", "--extra", "gpu", says=says)
    assert list(tmp_path.iterdir()) == []
