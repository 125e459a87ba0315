"""Wheels are made again from what is installed, so that an installation of them is the same."""

import hashlib
import sys
from base64 import urlsafe_b64encode
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from itertools import pairwise
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.utils import parse_wheel_filename

from icdcli.bundling import wheels
from icdcli.bundling.wheels import (
    compatible_platforms,
    download_wheels,
    needed_distributions,
    repack_wheel,
    require_known_extras,
)
from icdcli.errors import ConfigError, DataError


def encoded(content: bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def record_of(wheel: Path) -> dict[str, str]:
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        lines = archive.read(name).decode().splitlines()
    return {line.rsplit(",", 2)[0].strip('"'): line.rsplit(",", 2)[1] for line in lines}


@pytest.mark.parametrize("name", ["typer", "xxhash"])
def test_a_wheel_lists_its_files_with_their_hashes(name: str, tmp_path: Path) -> None:
    installed = distribution(name)
    wheel = repack_wheel(installed, tmp_path)
    found, version, _, tags = parse_wheel_filename(wheel.name)
    assert (found, str(version)) == (name, installed.version)
    assert {f"Tag: {tag}" for tag in tags} == {
        line for line in installed.read_text("WHEEL").splitlines() if line.startswith("Tag")
    }
    record = record_of(wheel)
    with ZipFile(wheel) as archive:
        assert sorted(record) == sorted(archive.namelist())
        for file, digest in record.items():
            if not file.endswith("RECORD"):
                assert digest == f"sha256={encoded(archive.read(file))}"
    assert not [file for file in record if file.endswith((".pyc", "INSTALLER", "REQUESTED"))]
    (tmp_path / "again").mkdir()
    assert repack_wheel(installed, tmp_path / "again").read_bytes() == wheel.read_bytes()


@pytest.fixture
def invented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the metadata of an installed package with a script, data and a command."""
    prefix = tmp_path / "environment"
    site, scripts = prefix / "lib" / "python3" / "site-packages", prefix / "bin"
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.setattr(wheels.sysconfig, "get_path", lambda _: str(scripts))
    shebang = f"#!{scripts}/python3.11\n"
    contents = {
        site / "invented" / "__init__.py": "VALUE = 1\n",
        site / "invented" / "__pycache__" / "x.pyc": "compiled",
        scripts / "invented-script": f"{shebang}print('ran')\n",
        scripts / "invented": f"{shebang}made by the installation\n",
        prefix / "share" / "invented.txt": "data\n",
        site / "invented-1.dist-info" / "METADATA": (
            "Metadata-Version: 2.1\nName: invented\nVersion: 1\n"
        ),
        site / "invented-1.dist-info" / "WHEEL": (
            "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
        site / "invented-1.dist-info" / "INSTALLER": "pip\n",
        site / "invented-1.dist-info" / "entry_points.txt": "[console_scripts]\ninvented = x:y\n",
    }
    lines = []
    for path, content in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        place = path.relative_to(site, walk_up=True) if sys.version_info >= (3, 12) else None
        name = place or (
            path.relative_to(site)
            if path.is_relative_to(site)
            else Path("../../..") / path.relative_to(prefix)
        )
        lines.append(f"{name.as_posix()},sha256={encoded(content.encode())},{len(content)}\n")
    (site / "invented-1.dist-info" / "RECORD").write_text("".join(lines))
    return site / "invented-1.dist-info"


def test_scripts_and_data_are_installed_where_they_were(invented: Path, tmp_path: Path) -> None:
    wheel = repack_wheel(Distribution.at(invented), tmp_path)
    assert wheel.name == "invented-1-py3-none-any.whl"
    with ZipFile(wheel) as archive:
        script = archive.read("invented-1.data/scripts/invented-script")
    assert script == b"#!python\nprint('ran')\n"
    assert set(record_of(wheel)) == {
        "invented/__init__.py",
        "invented-1.data/scripts/invented-script",
        "invented-1.data/data/share/invented.txt",
        *(f"invented-1.dist-info/{name}" for name in ("METADATA", "RECORD", "WHEEL")),
        "invented-1.dist-info/entry_points.txt",
    }


def test_a_changed_or_missing_file_is_refused(invented: Path, tmp_path: Path) -> None:
    file = invented.parent / "invented" / "__init__.py"
    file.write_text("VALUE = 2\n")
    with pytest.raises(DataError, match=r"__init__\.py: was changed .*--no-deps 'invented==1'"):
        repack_wheel(Distribution.at(invented), tmp_path)
    file.unlink()
    with pytest.raises(DataError, match=r"__init__\.py: can't be read \(No such file"):
        repack_wheel(Distribution.at(invented), tmp_path)


def test_a_package_without_a_wheel_is_refused(invented: Path, tmp_path: Path) -> None:
    (invented / "direct_url.json").write_text('{"dir_info": {"editable": true}, "url": "file:///"}')
    with pytest.raises(ConfigError, match="invented: wasn't installed from a wheel"):
        repack_wheel(Distribution.at(invented), tmp_path)
    (invented / "direct_url.json").unlink()
    (invented / "WHEEL").unlink()
    with pytest.raises(ConfigError, match="invented: wasn't installed from a wheel"):
        repack_wheel(Distribution.at(invented), tmp_path)


def test_the_dependencies_are_those_of_this_machine_and_the_extras(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, serving = (
        {one.metadata["Name"].lower() for one in needed_distributions(extras)}
        for extras in ((), ("serve",))
    )
    assert {"torch", "typer", "packaging", "numpy"} <= plain
    assert not {"pytest", "uvicorn", "icdcode"} & plain
    assert {"uvicorn", "starlette", "click"} <= serving
    with pytest.raises(ConfigError, match="isn't installed, but the bundle needs it"):
        needed_distributions(["gpu"])
    says = r"no extra 'serv' \(did you mean 'serve'\?\)\. It has .*minilm.*serve"
    with pytest.raises(ConfigError, match=says):
        needed_distributions(["serv"])

    def missing(name: str) -> Distribution:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("icdcli.bundling.wheels.distribution", missing)
    require_known_extras(())
    for extras in ((), ("serve",)):
        with pytest.raises(ConfigError, match=r"icdcode.*isn't installed, but"):
            needed_distributions(extras)


def test_pip_gets_each_platform_whose_wheels_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []
    monkeypatch.setattr(wheels, "_pip", lambda *words: given.extend(words))
    own = tmp_path / "icdcode-1-py3-none-any.whl"
    download_wheels(
        own, needed_distributions(["serve"]), ["serve"], "manylinux_2_28_x86_64", "3.12"
    )
    named = [word for before, word in pairwise(given) if before == "--platform"]
    assert named == [
        *(f"manylinux_2_{number}_x86_64" for number in range(28, 4, -1)),
        "manylinux2014_x86_64",
    ]
    assert given[0] == "download" and given[-1] == f"{own}[serve]"
    assert given[given.index("--python-version") + 1] == "3.12"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("platform", "first", "last", "count"),
    [
        ("manylinux_2_12_x86_64", "manylinux_2_12_x86_64", "manylinux_2_5_x86_64", 8),
        ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64", 14),
        ("musllinux_1_2_aarch64", "musllinux_1_2_aarch64", "musllinux_1_1_aarch64", 2),
        ("macosx_14_0_arm64", "macosx_14_0_arm64", "macosx_14_0_arm64", 1),
        ("win_amd64", "win_amd64", "win_amd64", 1),
    ],
)
def test_wheels_for_older_systems_work_on_newer_ones(
    platform: str, first: str, last: str, count: int
) -> None:
    found = compatible_platforms(platform)
    assert (found[0], found[-1], len(found)) == (first, last, count)
