"""A bundle is checked before anything is installed from it."""

import platform
import sys
from pathlib import Path

import pytest

from icdcli.bundling.bundle import BundleTarget, check_bundle
from icdcli.bundling.install import (
    BundleError,
    about_bundle,
    require_machine,
    sha256_of_file,
    verify_sums,
)
from icdcli.errors import ConfigError, DataError

HERE = {
    "system": platform.system(),
    "machine": platform.machine(),
    "python": f"{sys.version_info.major}.{sys.version_info.minor}",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with checksums."""
    for name in ("bundle.json", "wheels/a-1-py3-none-any.whl", "model/coder.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    (tmp_path / "SHA256SUMS").write_text(
        "".join(f"{sha256_of_file(path)}  {path.relative_to(tmp_path)}\n" for path in files)
    )
    return tmp_path


def test_files_are_compared_with_their_checksums(folder: Path) -> None:
    assert verify_sums(folder) == 3
    (folder / "model" / "coder.json").write_text("{ }")
    with pytest.raises(BundleError, match=r"coder\.json: was changed, its SHA-256"):
        verify_sums(folder)
    with pytest.raises(DataError, match=r"coder\.json: was changed, its SHA-256"):
        check_bundle(folder)


def test_a_missing_and_a_foreign_wheel_are_named(folder: Path) -> None:
    wheel = folder / "wheels" / "a-1-py3-none-any.whl"
    wheel.rename(wheel.with_name("b-1-py3-none-any.whl"))
    with pytest.raises(BundleError, match=r"a-1-py3-none-any\.whl: is missing"):
        verify_sums(folder)
    wheel.write_text("{}")
    with pytest.raises(BundleError, match=r"b-1-py3-none-any\.whl: isn't in SHA256SUMS"):
        verify_sums(folder)


def test_another_folder_is_no_bundle(tmp_path: Path) -> None:
    for function in (about_bundle, verify_sums):
        with pytest.raises(BundleError, match="isn't a bundle, or is damaged"):
            function(tmp_path)


def test_another_machine_is_refused() -> None:
    require_machine(HERE)
    for name, other in (("python", "3.9"), ("machine", "sparc"), ("system", "Plan9")):
        with pytest.raises(BundleError, match=f"the bundle is for .*{other}.*, but this is"):
            require_machine({**HERE, name: other})


@pytest.mark.parametrize(
    ("name", "system", "machine"),
    [
        ("manylinux_2_28_x86_64", "Linux", "x86_64"),
        ("manylinux2014_aarch64", "Linux", "aarch64"),
        ("macosx_14_0_arm64", "Darwin", "arm64"),
        ("win_amd64", "Windows", "AMD64"),
    ],
)
def test_a_platform_is_named_as_pip_names_it(name: str, system: str, machine: str) -> None:
    expected = {"system": system, "machine": machine, "python": "3.12"}
    assert BundleTarget(name, "3.12").parts() == expected


@pytest.mark.parametrize(
    ("platform_name", "python", "says"),
    [
        ("linux", "3.12", "--platform: 'linux' isn't a platform"),
        ("plan9_x86_64", "3.12", "--platform: 'plan9_x86_64' isn't a platform"),
        ("win_amd64", "312", "--python: expected a version such as 3.12"),
    ],
)
def test_other_names_are_refused(platform_name: str, python: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        BundleTarget(platform_name, python).parts()


def test_the_installer_needs_nothing_but_python() -> None:
    from icdcli.bundling import install

    source = Path(install.__file__).read_text(encoding="utf-8")
    imported = {
        line.split()[1].partition(".")[0]
        for line in source.splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imported <= sys.stdlib_module_names
