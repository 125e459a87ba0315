"""The documents are true: commands, keys, files, messages and generated pages match the program.

Commands are parsed by the command line itself, and their configurations are loaded. Those that are
also executed are in ``test_followed_pages.py``.
"""

import ast
import importlib.util
import re
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from icdcli import cli
from icdcli.cli import app
from icdcli.config.loading import FIELDS, load_config
from icdcli.config.metric_names import METRICS

if TYPE_CHECKING:
    pass


def neighbor(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages = neighbor("pages")
ROOT, PAGES, DOCUMENTS = pages.ROOT, pages.PAGES, pages.DOCUMENTS
text_of, name_of, blocks, call_of = pages.text_of, pages.name_of, pages.blocks, pages.call_of
text_without_blocks, icdcode = pages.text_without_blocks, pages.icdcode


@cache
def command_line() -> TyperGroup:
    return get_command(app)


def parsed(words: list[str]) -> tuple[str, dict]:
    """Parse arguments with the command line itself; raise its usage error if they are wrong."""
    rest = [word for word in words if word != "--offline"]  # which every command takes
    command, context = command_line(), None
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
        for line in re.findall(r"^ {4}(\S.+)$", text_without_blocks(page), re.M)
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
    known = command_line().commands
    for name, rest in re.findall(r"`icdcode ([a-z][a-z-]+)([^`]*)`", text_without_blocks(page)):
        assert name in known, f"icdcode {name}"
        command = known[name]
        if hasattr(command, "commands"):
            assert rest.split()[0] in command.commands, f"icdcode {name}{rest}"
            command = command.commands[rest.split()[0]]
        options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest)) <= options, f"icdcode {name}{rest}"
        assert set(re.findall(r"(?<!\S)(\w+)=", rest)) <= FIELDS.keys(), f"icdcode {name}{rest}"


@pytest.mark.parametrize("readme", DOCUMENTS[:2], ids=name_of)
def test_the_readme_lists_commands_in_the_order_of_the_help(readme: Path) -> None:
    listed = re.findall(r"^\| `icdcode ([a-z-]+)", text_of(readme), re.MULTILINE)
    grouped = [name for commands in cli._GROUPS.values() for name in commands]
    assert list(dict.fromkeys(listed)) == grouped


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
    korean = [
        blocks(ROOT / "docs" / "ko" / f"{name}.md", "yaml")[0].text
        for name in ("own-notes", "guide")
    ]
    guide.write_text(korean[1], encoding="utf-8")
    assert load_config(guide) == load_config(ROOT / "configs" / "config.yaml")
    page = ROOT / "docs" / "own-notes.md"
    texts = [block.text for block in blocks(page, "yaml")]
    [complete] = [text for text in texts if text.startswith("data_path")]
    own.write_text(complete, encoding="utf-8")
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
    titles = re.findall(r"^#+ (.+)$", text_without_blocks(page), re.MULTILINE)
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
def test_no_page_has_the_marks_of_a_merge(page: Path) -> None:
    assert re.findall(r"^(?:<{7}|={7}$|>{7}).*", text_of(page), re.MULTILINE) == []


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
        name: re.search(r"\(([^()]+)\)$", description)[1] for name, description in METRICS.items()
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


@pytest.mark.parametrize("name", ["troubleshooting", "ko/troubleshooting"])
def test_the_messages_that_are_explained_are_the_programs_own(name: str) -> None:
    quoted = [
        line
        for block in blocks(ROOT / "docs" / f"{name}.md", "text")
        for line in block.text.splitlines()
    ]
    parts = [part.strip(" .;:") for line in quoted for part in line.split("…")]
    assert len(quoted) > 20
    assert [part for part in parts if part and part not in messages()] == []


def test_what_is_not_reproduced_is_named() -> None:
    original, mimic = (
        " ".join(text_of(ROOT / "docs" / name).split()) for name in ("original-tool.md", "mimic.md")
    )
    assert "the cosine counts from step 0 and the warm-up multiplies it" in original
    assert "The original weighs its four metrics with .2, .3, .2 and .3" in original
    assert "Edin's files write an ICD-10 code of three characters with a dot, `I10.`" in mimic


@pytest.mark.parametrize("name", ["which-model", "what-it-costs"])
def test_figures_of_advice_are_measured(name: str) -> None:
    """Figures of rows that aren't marked as computed or estimated are those of the benchmarks."""
    sources = ("benchmarks", "scaling", "memory", "models")
    measured = set(
        re.findall(
            r"\d*\.\d+|\d[\d,]*",
            "".join(text_of(ROOT / "docs" / f"{source}.md") for source in sources),
        )
    )
    lines = [
        line
        for line in text_of(ROOT / "docs" / f"{name}.md").splitlines()
        if "(*computed*)" not in line and "(estimated)" not in line
    ]
    figures = {
        figure
        for line in lines
        for figure in re.findall(r"(?<![\w-])(?:\d*\.\d+|\d[\d,]+\d)(?![\w])", line)
    }
    assert len(figures) > 15
    assert figures - measured == set()


@pytest.mark.parametrize("readme", DOCUMENTS[:2], ids=name_of)
def test_figures_of_the_readme_are_those_of_the_benchmarks(readme: Path) -> None:
    rows = re.findall(
        r"^\| [^|]+ \| ([^|]+) \| `\.venv/bin/python benchmarks/", text_of(readme), re.MULTILINE
    )
    figures = {figure for row in rows for figure in re.findall(r"\d*\.\d+|\d[\d,]*(?= MB)", row)}
    measured = set(re.findall(r"\d*\.\d+|\d[\d,]*", text_of(ROOT / "docs" / "benchmarks.md")))
    assert len(rows) > 4
    assert figures <= measured
