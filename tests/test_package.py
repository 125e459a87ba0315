"""Tests of the complete package: its layout, its imports, its commands, and its README."""

import ast
import re
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml

import icdcli

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "icdcli"
# Imports point from a package to those above it, never below. A package's `section.py`, its part of
# the configuration, counts as `config`; so does a `names.py`, which lists the modules of a folder.
LAYERS = (
    {
        "errors",
        "extras",
        "config",
        "io",
        "garbage",
        "light_transformers",
        "lost_links",
        "run_dir",
        "checkpoint_path",
        "moved",
        "offline",
    },
    {"icd", "metrics"},
    {"boosting"},
    {"data"},
    {"lexical"},
    {"model"},
    {"explain", "distributed"},
    {"predict"},
    {"evaluation"},
    {"training"},
    {"cross_fitting"},
    {"refit", "ensembles", "audit", "drift", "bundling"},
    {"migration"},
    {"profiling"},
    {"review"},
    {"service"},
    {"review_page"},
    {"report"},
    {"cli"},
)
LAYER = {name: layer for layer, names in enumerate(LAYERS) for name in names}
HEAVY = {
    "accelerate",
    "alembic",
    "argon2",
    "bitsandbytes",
    "fastapi",
    "fsspec",
    "jinja2",
    "matplotlib",
    "pandas",
    "peft",
    "prometheus_client",
    "pyarrow",
    "pypdf",
    "ray",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "torch",
    "transformers",
    "uvicorn",
}
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def own_files(*endings: str) -> list[Path]:
    folders = (PACKAGE, ROOT / "tests", ROOT / "benchmarks", ROOT / "docs", ROOT / "configs")
    return sorted(
        path for folder in folders for path in folder.rglob("*") if path.suffix in endings
    )


@dataclass
class Parsed:
    """What the tests ask of a file, which is parsed once.

    Attributes:
        imported: Every name that it imports, as ``module.name``, lazy and type-only imports too.
        defined: The public classes and functions at its top level.
        has_docstring: Whether it begins with a docstring.
        prints: The lines with ``print``, ``sys.stdout`` or ``sys.stderr``.
        lengths: The lines of each function, without its docstring.
    """

    imported: list[str] = field(default_factory=list)
    defined: list[str] = field(default_factory=list)
    has_docstring: bool = False
    prints: list[int] = field(default_factory=list)
    lengths: list[tuple[str, int]] = field(default_factory=list)


@cache
def parsed(path: Path) -> Parsed:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = Parsed(has_docstring=bool(ast.get_docstring(tree)))
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            found.defined.append(node.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.imported += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.FunctionDef):
            if body := node.body[1 if ast.get_docstring(node) else 0 :]:
                lines = body[-1].end_lineno - body[0].lineno + 1
                found.lengths.append((node.name, lines))
        elif (isinstance(node, ast.Name) and node.id == "print") or (
            isinstance(node, ast.Attribute)
            and node.attr in ("stdout", "stderr")
            and isinstance(node.value, ast.Name)
            and node.value.id == "sys"
        ):
            found.prints.append(node.lineno)
    return found


@cache
def modules() -> dict[str, Path]:
    """Return the file of every module of the package, by dotted name."""
    dotted = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }
    return dict(sorted(dotted.items()))


@cache
def import_graph() -> dict[str, set[str]]:
    """Return the modules that each module imports; the package itself, the public API, aside."""
    known, graph = modules(), {}
    for module, path in known.items():
        graph[module] = set()
        for name in parsed(path).imported:
            while name.startswith("icdcli.") and name not in known:
                name = name.rpartition(".")[0]
            if name.startswith("icdcli.") and name != module:
                graph[module].add(name)
    graph.pop("icdcli")
    return graph


def layer_of(module: str) -> str:
    return "config" if module.endswith((".section", ".names")) else module.split(".")[1]


# The layout


def test_every_module_belongs_to_a_layer() -> None:
    assert {layer_of(module) for module in modules() if "." in module} - {
        "__main__"
    } <= LAYER.keys()


def test_imports_only_point_left() -> None:
    wrong = [
        f"{module} imports {target}"
        for module, targets in import_graph().items()
        for target in sorted(targets)
        if module != "icdcli.__main__"
        and LAYER[layer_of(target)] > LAYER[layer_of(module)]
        # A section of the configuration may know its own package, e.g. the registered names.
        and not (module.endswith(".section") and target.split(".")[1] == module.split(".")[1])
    ]
    assert wrong == []


def test_sections_of_the_configuration_know_only_those_further_left() -> None:
    wrong = []
    for module, targets in import_graph().items():
        if module.endswith(".section"):
            own = LAYER[module.split(".")[1]]
            sections = [target for target in targets if target.endswith(".section")]
            wrong += [(module, other) for other in sections if LAYER[other.split(".")[1]] > own]
    assert wrong == []


def test_there_are_no_import_cycles() -> None:
    TopologicalSorter(import_graph()).prepare()  # its error names a cycle


def test_modules_import_names_from_their_definition() -> None:
    allowed = {"icdcli.__version__", "icdcli.moved"}
    public = {f"icdcli.{name}" for name in icdcli.__all__} - allowed
    wrong = [
        f"{module} imports {name}"
        for module, path in modules().items()
        for name in parsed(path).imported
        if name in public
    ]
    assert wrong == []


def test_lexical_parts_are_imported_by_their_registry_alone() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, path in modules().items()
        for name in parsed(path).imported
        if name.startswith("icdcli.lexical.parts.")
    ]
    assert wrong == []


def test_no_folder_has_more_than_18_modules() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE / "cli"}
    counts = {folder.name: len(list(folder.glob("*.py"))) for folder in folders}
    assert {name: count for name, count in counts.items() if count > 18} == {}


def test_a_public_name_is_defined_once() -> None:
    places: dict[str, list[str]] = {}
    for module, path in modules().items():
        if module.startswith("icdcli.cli."):
            continue  # a command has the name of the library function that it calls
        for name in parsed(path).defined:
            places.setdefault(name, []).append(module)
    twice = {name: sorted(set(found)) for name, found in places.items() if len(set(found)) > 1}
    assert twice == {}


def test_commands_are_thin() -> None:
    long = [
        f"{path.name} {name}: {lines} lines"
        for path in (PACKAGE / "cli").glob("*.py")
        for name, lines in parsed(path).lengths
        if lines > 40
    ]
    assert long == []


def test_only_report_and_cli_print() -> None:
    printing = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] not in ("report", "cli")
        and path != PACKAGE / "bundling" / "install.py"  # which runs without the package
        for line in parsed(path).prints
    ]
    assert not printing


def test_no_file_has_more_than_400_lines() -> None:
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines())
        for path in own_files(".py", ".js", ".css", ".html")
    }
    assert {
        str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > 400
    } == {}


def test_every_module_has_a_docstring() -> None:
    silent = [path for path in PACKAGE.rglob("*.py") if not parsed(path).has_docstring]
    assert not silent


def test_nothing_names_a_machine() -> None:
    files = [
        *own_files(".py", ".md", ".yaml"),
        *DOCUMENTS,
        ROOT / "Makefile",
        ROOT / "pyproject.toml",
        ROOT / ".ci" / "run",
    ]
    # Absolute paths of one person's machine; put together so that this file contains none.
    places = re.compile(
        r"(?<![\w.$}/])/(?:"
        + "|".join(["ho" + "me", "ro" + "ot", "wo" + "rk", "Us" + "ers"])
        + r")/"
    )
    named = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if places.search(line)
    ]
    assert not named


# The command line


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["config", "schema"], ["train", "missing.yaml"]]
)
def test_help_and_config_errors_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from icdcli.cli import main\n"
        f"sys.argv = ['icdcode', *{arguments!r}]\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    status = end.code or 0\n"
        f"print(status, sorted({HEAVY!r} & sys.modules.keys()), file=sys.stderr)\n"
    )
    last = python("-c", code).stderr.splitlines()[-1]
    assert last == f"{2 if 'missing.yaml' in arguments else 0} []"


def test_importing_the_package_imports_nothing_heavy() -> None:
    done = python("-c", f"import icdcli, sys; print(sorted({HEAVY!r} & sys.modules.keys()))")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_module_answers_like_the_command() -> None:
    done = python("-m", "icdcli", "--version")
    assert (done.returncode, done.stdout) == (0, f"icdcode {icdcli.__version__}\n")


# The documents


def test_the_readme_knows_every_command() -> None:
    from icdcli.cli import app

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = [command.name for command in app.registered_commands] + [
        group.name for group in app.registered_groups
    ]
    assert [name for name in commands if f"`icdcode {name}" not in text] == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name
)
def test_shipped_configurations_are_valid(path: Path) -> None:
    from icdcli.config.loading import load_config

    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert given.keys() <= load_config(path).flat().keys()
