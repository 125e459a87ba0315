"""The documents are true: commands, keys, files, messages and generated pages match the program.

A fenced block after ``<!-- run -->`` is executed, page by page in an empty folder, on smaller data.
Each line of output that the page shows, apart from numbers, must be in the program's output (not
after ``<!-- run, other output -->``). All other commands are parsed by the command line itself, and
their configurations are loaded.
"""

import ast
import contextlib
import importlib.util
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from typer.main import get_command

from icdcli.cli import app, main
from icdcli.config.loading import FIELDS, load_config
from icdcli.config.metric_names import METRICS

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "README.ko.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *PAGES,
]
SMALLER = {"--admissions 2000": "--admissions 60", "--admissions 300": "--admissions 60"}
SMALLER |= {f"steps={steps}": "steps=4 warmup_steps=1" for steps in (120, 388)} | {
    '"steps=40"': '"steps=4"'
}
_BLOCK = re.compile(
    r"(?:^<!-- ([^\n]*?) -->\n)?^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A fenced block: the comment before it, its language and its lines."""

    note: str
    kind: str
    text: str

    @property
    def runs(self) -> bool:
        return self.note.startswith("run")

    @property
    def exit_code(self) -> int:
        return int(found[1]) if (found := re.search(r"exit code (\d+)", self.note)) else 0

    def commands(self) -> list[tuple[str, list[str]]]:
        """Return its commands, each with the lines of output that the page shows."""
        if self.kind == "bash":
            lines = map(str.strip, self.text.replace("\\\n", " ").splitlines())
            return [(line, []) for line in lines if line and not line.startswith("#")]
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
        return found


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *kinds: str) -> list[Block]:
    found = [Block(*match) for match in _BLOCK.findall(text_of(page))]
    return [block for block in found if block.kind in kinds or not kinds]


def call_of(line: str) -> list[str] | None:
    """Return the arguments of a line that calls ``icdcode``, or None."""
    call = re.match(r"(?:srun )?(?:icdcode|torchrun .*-m icdcli) (.*)", line)
    return shlex.split(call[1].split(" > ")[0]) if call else None


def parsed(words: list[str]) -> tuple[str, dict]:
    """Parse arguments with the command line itself; raise its usage error if they are wrong."""
    command, context, rest = get_command(app), None, words
    while hasattr(command, "commands"):
        group = command.make_context("icdcode", rest[:0], parent=context, resilient_parsing=True)
        _name, command, rest = command.resolve_command(group, rest)
        context = group
    return command.name, command.make_context(command.name, list(rest), parent=context).params


def generator(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Checks that read the pages


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_every_call_is_one_that_the_command_line_takes(page: Path) -> None:
    calls = [
        (call, block.exit_code)
        for block in blocks(page, "bash", "console")
        for line, _ in block.commands()
        if (call := call_of(line))
    ]
    calls += [
        (call, 0)
        for line in re.findall(r"^ {4}(\S.+)$", _BLOCK.sub("", text_of(page)), re.M)
        if (call := call_of(line))
    ]
    for words, exit_code in calls:
        command, options = parsed(words)
        config = (
            options.get("config")
            if command in ("train", "doctor", "show", "plot-lr", "prepare-data", "describe")
            else None
        )
        shipped = (
            ROOT / config if config is not None and str(config).startswith("configs/") else None
        )
        if not exit_code:
            load_config(shipped, list(options.get("overrides") or ()))


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_commands_and_options_named_in_passing_exist(page: Path) -> None:
    known = get_command(app).commands
    for name, rest in re.findall(r"`icdcode ([a-z][a-z-]+)([^`]*)`", _BLOCK.sub("", text_of(page))):
        assert name in known, f"icdcode {name}"
        command = known[name]
        if hasattr(command, "commands"):
            assert rest.split()[0] in command.commands, f"icdcode {name}{rest}"
            command = command.commands[rest.split()[0]]
        options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest)) <= options, f"icdcode {name}{rest}"
        assert set(re.findall(r"(?<!\S)(\w+)=", rest)) <= FIELDS.keys(), f"icdcode {name}{rest}"


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_metrics_that_are_named_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:f1|aucroc|aucprc|precision|recall|map|exact|r_precision)\w*)`", text_of(page)
    )
    assert set(named) <= METRICS.keys()


@pytest.mark.parametrize("page", [page for page in DOCUMENTS if blocks(page, "yaml")], ids=name_of)
def test_every_configuration_loads(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(page, "yaml")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block.text, encoding="utf-8")
        load_config(path)


def test_the_configurations_written_out_are_those_they_are_said_to_be(tmp_path: Path) -> None:
    guide, own = tmp_path / "guide.yaml", tmp_path / "own.yaml"
    korean = [block.text for block in blocks(ROOT / "docs" / "ko" / "guide.md", "yaml")]
    guide.write_text(korean[1], encoding="utf-8")
    assert load_config(guide) == load_config(ROOT / "configs" / "config.yaml")
    page = ROOT / "docs" / "own-notes.md"
    own.write_text(blocks(page, "yaml")[0].text, encoding="utf-8")
    guide.write_text(korean[0], encoding="utf-8")
    assert load_config(guide) == load_config(own)
    train = next(
        call
        for block in blocks(page, "console")
        for line, _ in block.commands()
        if (call := call_of(line))[0] == "train"
    )
    assert load_config(own) == load_config(ROOT / train[1], train[2:])


@pytest.mark.parametrize(
    "page", [page for page in DOCUMENTS if blocks(page, "python")], ids=name_of
)
def test_what_python_examples_import_is_there(page: Path) -> None:
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block.text)):
            if (
                isinstance(node, ast.ImportFrom)
                and node.module
                and node.module.startswith("icdcli")
            ):
                module = importlib.import_module(node.module)
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of a document, as both GitHub and the site name them."""
    titles = re.findall(r"^#+ (.+)$", _BLOCK.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles}


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if "://" not in link:
            target, _, anchor = link.partition("#")
            file = (page.parent / target).resolve() if target else page
            assert file.exists(), link
            assert not anchor or anchor in anchors(file), link


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_files_of_the_project_that_are_named_exist(page: Path) -> None:
    named = re.findall(
        r"(?<![\w/.<-])((?:icdcli|tests|docs|benchmarks|configs|\.ci)/[\w./-]*)", text_of(page)
    )
    assert [name for name in named if not (ROOT / name.rstrip(".,:")).exists()] == []


def test_classes_of_the_naming_guide_exist() -> None:
    table = text_of(ROOT / "CONTRIBUTING.md").partition("| class | variable |")[2].split("\n\n")[0]
    named = re.findall(r"`([A-Z]\w+)`", re.sub(r"\|[^|]*\|$", "", table, flags=re.MULTILINE))
    defined = re.findall(
        r"^class (\w+)",
        "\n".join(text_of(path) for path in (ROOT / "icdcli").rglob("*.py")),
        re.MULTILINE,
    )
    assert len(named) > 10
    assert set(named) - set(defined) == {"Path"}


def test_the_site_has_every_page_once() -> None:
    def pages(entries: list) -> list[str]:
        values = [value for entry in entries for value in entry.values()]
        return [
            page
            for value in values
            for page in (pages(value) if isinstance(value, list) else [value])
        ]

    nav = yaml.safe_load(text_of(ROOT / "mkdocs.yml"))["nav"]
    assert sorted(pages(nav)) == sorted(
        page.relative_to(ROOT / "docs").as_posix() for page in PAGES
    )


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="the extra docs isn't installed")
    build = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(tmp_path / "site"),
    ]
    environment = os.environ | {
        "NO_MKDOCS_2_WARNING": "1",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        build, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    fetched = r'<(?:script|link|img)[^>]*(?:src|href)="?https?://'
    assert [
        page for page in (tmp_path / "site").rglob("*.html") if re.search(fetched, text_of(page))
    ] == []


# Generated pages, and pages that must be complete


def test_the_configuration_page_is_up_to_date() -> None:
    made = generator("make_configuration").page()
    assert text_of(ROOT / "docs" / "configuration.md") == made, (
        "run .venv/bin/python docs/make_configuration.py"
    )


def test_the_file_tree_has_every_module_and_no_other() -> None:
    made = generator("make_tree").page()
    assert text_of(ROOT / "docs" / "architecture.md") == made, (
        "run .venv/bin/python docs/make_tree.py"
    )
    assert all(made.count(f" {path.name}") for path in (ROOT / "icdcli").rglob("[a-z]*.py"))


def test_the_commands_page_is_up_to_date() -> None:
    pinned = re.search(r"^typer==(.+)$", text_of(ROOT / "constraints.txt"), re.MULTILINE)
    if version("typer") != pinned[1]:
        pytest.skip("another version of typer formats the help in another way")
    page = text_of(ROOT / "docs" / "commands.md")
    assert page == generator("make_commands").page(), (
        "run PYTHONPATH=. .venv/bin/python docs/make_commands.py"
    )
    code, said = icdcode(["train", "--help"])
    assert code == 0
    assert said.partition("[OPTIONS]")[2] + "```" in page


@pytest.mark.slow
def test_the_memory_page_is_up_to_date() -> None:
    made = generator("make_memory")
    fits = made.estimate(made.MODELS["BERT base"], 32, made.LENGTHS[0], lora=False).total / 1e9
    row = next(
        line
        for line in text_of(ROOT / "docs" / "memory.md").splitlines()
        if line.startswith("| BERT base | 32, all weights ")
    )
    assert row.split("|")[3].strip() == f"{fits:.1f}", "run .venv/bin/python docs/make_memory.py"


def test_every_metric_is_explained_with_whose_convention_it_is() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (?:.+) \| ([^|]+) \|$",
        text_of(ROOT / "docs" / "evaluation.md"),
        re.MULTILINE,
    )
    assert dict(rows) == {
        name: re.search(r"\(([^()]+)\)$", told)[1] for name, told in METRICS.items()
    }


@cache
def messages() -> str:
    """Return every string of the program, with … for each inserted value."""
    found = []
    for path in (ROOT / "icdcli").rglob("*.py"):
        for node in ast.walk(ast.parse(text_of(path))):
            if isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(
                        str(part.value) if isinstance(part, ast.Constant) else "…"
                        for part in node.values
                    )
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def test_the_messages_that_are_explained_are_the_programs_own() -> None:
    quoted = [
        line
        for block in blocks(ROOT / "docs" / "troubleshooting.md", "text")
        for line in block.text.splitlines()
    ]
    parts = [part.strip(" .;:") for line in quoted for part in line.split("…")]
    assert len(quoted) > 30
    assert [part for part in parts if part and part not in messages()] == []


def test_the_korean_readme_is_the_same_document() -> None:
    english, korean = (text_of(page) for page in DOCUMENTS[:2])
    assert re.findall(r"^#+", english, re.MULTILINE) == re.findall(r"^#+", korean, re.MULTILINE)
    assert blocks(DOCUMENTS[0]) == blocks(DOCUMENTS[1])
    for what in (
        r"^ {4}\S.*$",
        r"^\| `(icdcode [^`]+)`",
        r"^\|[-|:]+\|$",
        r"`(\.venv/bin/python [^`]+)`",
    ):
        assert re.findall(what, english, re.MULTILINE) == re.findall(what, korean, re.MULTILINE)
    assert set(re.findall(r"\]\(([^)]+)\)", english)) ^ set(
        re.findall(r"\]\(([^)]+)\)", korean)
    ) == {
        "README.md",
        "README.ko.md",
        "docs/ko/guide.md",
        "docs/original-tool.md",
        "docs/ko/original-tool.md",
    }


def test_the_korean_page_for_users_of_the_original_tool_is_the_same_document() -> None:
    english, korean = (
        text_of(ROOT / "docs" / name) for name in ("original-tool.md", "ko/original-tool.md")
    )
    for what in (r"^#+", r"^\|[-|:]+\|$"):
        assert re.findall(what, english, re.MULTILINE) == re.findall(what, korean, re.MULTILINE)
    assert english.count("\n|") == korean.count("\n|")
    assert set(re.findall("`([^`]+)`", english)) == set(re.findall("`([^`]+)`", korean))


def test_the_korean_guide_shows_the_output_of_the_english_page() -> None:
    own_notes = text_of(ROOT / "docs" / "own-notes.md").splitlines()
    shown = blocks(ROOT / "docs" / "ko" / "guide.md", "text")
    assert len(shown) == 4
    assert [
        line for block in shown for line in block.text.splitlines() if line not in own_notes
    ] == []


@pytest.mark.parametrize("readme", DOCUMENTS[:2], ids=name_of)
def test_figures_of_the_readme_are_those_of_the_benchmarks(readme: Path) -> None:
    rows = re.findall(
        r"^\| [^|]+ \| ([^|]+) \| `\.venv/bin/python benchmarks/", text_of(readme), re.MULTILINE
    )
    figures = {figure for row in rows for figure in re.findall(r"\d*\.\d+|\d[\d,]*(?= MB)", row)}
    measured = set(re.findall(r"\d*\.\d+|\d[\d,]*", text_of(ROOT / "docs" / "benchmarks.md")))
    assert len(rows) > 4
    assert figures <= measured


# Checks that follow the pages


def icdcode(words: list[str]) -> tuple[int, str]:
    """Run a command in this process, 80 columns wide; return its exit code and its output."""
    said, code = io.StringIO(), 0
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        patch.setattr(sys, "argv", ["icdcode", *words])
        patch.setenv("COLUMNS", "80")
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return code, said.getvalue()


def without_figures(text: str) -> str:
    """Return the words of a text, except those with digits, which differ with the data."""
    return " ".join(word for word in text.split() if not re.search(r"[\d…─]", word))


def run_page(page: Path) -> None:
    """Follow a page in the working folder, on less data and with fewer steps."""
    os.symlink(ROOT / "configs", "configs")
    names: dict[str, object] = {}  # the Python blocks of a page continue each other
    for block in blocks(page):
        if block.note.startswith("file: "):
            Path(block.note.removeprefix("file: ")).write_text(block.text, encoding="utf-8")
        elif block.runs and block.kind == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(smaller(block.text), name_of(page), "exec"), names)
        elif block.runs:
            for line, shown in block.commands():
                code, said = icdcode(call_of(smaller(line)))
                assert code == block.exit_code, said
                if "other output" not in block.note:
                    assert [
                        part for part in shown if without_figures(part) not in without_figures(said)
                    ] == [], said


def smaller(text: str) -> str:
    for given, instead in SMALLER.items():
        text = text.replace(given, instead)
    return text


@pytest.mark.parametrize(
    "name", ["README.md", "docs/getting-started.md", "docs/evaluation.md", "docs/python.md"]
)
def test_a_page_can_be_followed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(ROOT / name)


@pytest.mark.slow
def test_the_korean_guide_can_be_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(ROOT / "docs" / "ko" / "guide.md")
    assert (
        tmp_path / "outputs" / "demo" / "tiny" / "evaluation" / "test" / "metrics.json"
    ).is_file()


@pytest.mark.slow
def test_a_table_of_ones_own_comes_to_predictions_with_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(ROOT / "docs" / "own-notes.md")
    assert (tmp_path / "codes.jsonl").read_text(encoding="utf-8").count("\n") > 40
    code, said = icdcode(["predict", "outputs/notes", "new_note.txt", "--top", "3", "--evidence"])
    assert code == 0
    assert said.count("**") >= 6


def test_every_page_that_runs_is_run() -> None:
    run = {"README.md", "README.ko.md"}  # whose blocks are the same
    run |= {
        f"docs/{name}.md"
        for name in ("getting-started", "evaluation", "python", "ko/guide", "own-notes")
    }
    assert {name_of(page) for page in DOCUMENTS if any(block.runs for block in blocks(page))} == run
