"""The documents are true: commands, keys, files, messages and generated pages match the program.

Commands are parsed by the command line itself, and their configurations are loaded. Those that are
also executed are in ``test_followed_pages.py``.
"""

import ast
import functools
import http.server
import importlib.util
import os
import re
import subprocess
import sys
import threading
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
import yaml
from typer.main import get_command

from icdcli.cli import app
from icdcli.config.loading import FIELDS, load_config
from icdcli.config.metric_names import METRICS

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def neighbor(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages = neighbor("pages")
ROOT, PAGES, DOCUMENTS = pages.ROOT, pages.PAGES, pages.DOCUMENTS
text_of, name_of, blocks, call_of = pages.text_of, pages.name_of, pages.blocks, pages.call_of
text_without_blocks, icdcode = pages.text_without_blocks, pages.icdcode


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
    known = get_command(app).commands
    for name, rest in re.findall(r"`icdcode ([a-z][a-z-]+)([^`]*)`", text_without_blocks(page)):
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
    korean = [
        blocks(ROOT / "docs" / "ko" / f"{name}.md", "yaml")[0].text
        for name in ("own-notes", "guide")
    ]
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


def site_configuration() -> dict:
    """Read mkdocs.yml, in which Python objects are named."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)
    return yaml.load(text_of(ROOT / "mkdocs.yml"), Loader)


def test_each_language_has_its_own_navigation() -> None:
    """The theme shows pages in ko/ the section of this title, and all other pages the rest."""
    site = site_configuration()
    *english, korean = site["nav"]
    [(title, entries)] = korean.items()
    assert f'section.title == "{title}"' in text_of(
        ROOT / "docs" / "theme" / "partials" / "nav.html"
    )
    assert all(page.startswith("ko/") for entry in entries for page in entry.values())
    assert "ko/" not in str(english)
    assert [one["link"] for one in site["extra"]["alternate"]] == ["index.html", "ko/index.html"]


def test_the_site_has_every_page_once() -> None:
    def pages(entries: list) -> list[str]:
        values = [value for entry in entries for value in entry.values()]
        return [
            page
            for value in values
            for page in (pages(value) if isinstance(value, list) else [value])
        ]

    nav = site_configuration()["nav"]
    assert sorted(pages(nav)) == sorted(
        page.relative_to(ROOT / "docs").as_posix() for page in PAGES
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site, without a warning and without a network, and return its folder."""
    pytest.importorskip("material", reason="the extra docs isn't installed")
    folder = tmp_path_factory.mktemp("built") / "site"
    build = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(folder),
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
    return folder


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    fetched = r'<(?:script|link|img)[^>]*(?:src|href)="?https?://'
    assert [page for page in site.rglob("*.html") if re.search(fetched, text_of(page))] == []


@pytest.mark.slow
def test_korean_pages_are_korean_all_over(site: Path) -> None:
    korean, english = (text_of(site / name) for name in ("ko/own-notes.html", "own-notes.html"))
    assert '<html lang="ko"' in korean
    assert '<html lang="en"' in english
    navigations = [
        page.partition("md-sidebar--primary")[2].partition("md-sidebar--secondary")[0]
        for page in (korean, english)
    ]
    assert ["문제 해결" in one for one in navigations] == [True, False]
    assert ["Getting started" in one for one in navigations] == [False, True]
    assert 'id="1-표-준비"' in korean  # as links to it say


@pytest.mark.slow
def test_copy_buttons_copy_commands_alone(site: Path, chromium: "Browser") -> None:
    context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"])
    serve = functools.partial(QuietHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/own-notes.html")
        block = page.locator(".highlight:has(.gp)").first
        block.hover()
        block.locator("button").first.click()
        page.wait_for_timeout(300)
        copied = page.evaluate("navigator.clipboard.readText()")
        server.shutdown()
    context.close()
    [(command, output)] = blocks(ROOT / "docs" / "own-notes.md", "console")[0].commands()
    assert output
    assert copied == command


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    def log_message(self, format: str, *args: object) -> None:
        pass


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
        # The page's picture is in Korean, too.
        re.findall(r"\]\(([^)]+)\)", korean.replace("_ko.png", ".png"))
    ) == {
        "README.md",
        "README.ko.md",
        "docs/ko/guide.md",
        "docs/original-tool.md",
        "docs/ko/original-tool.md",
        "docs/own-notes.md",
        "docs/ko/own-notes.md",
    }


def test_the_korean_page_for_users_of_the_original_tool_is_the_same_document() -> None:
    english, korean = (
        text_of(ROOT / "docs" / name) for name in ("original-tool.md", "ko/original-tool.md")
    )
    for what in (r"^#+", r"^\|[-|:]+\|$"):
        assert re.findall(what, english, re.MULTILINE) == re.findall(what, korean, re.MULTILINE)
    assert english.count("\n|") == korean.count("\n|")
    assert set(re.findall("`([^`]+)`", english)) == set(re.findall("`([^`]+)`", korean))


def test_what_is_not_reproduced_is_named() -> None:
    original, mimic = (
        " ".join(text_of(ROOT / "docs" / name).split()) for name in ("original-tool.md", "mimic.md")
    )
    assert "the cosine counts from step 0 and the warm-up multiplies it" in original
    assert "The original weighs its four metrics with .2, .3, .2 and .3" in original
    assert "Edin's files write an ICD-10 code of three characters with a dot, `I10.`" in mimic


def test_the_korean_page_shows_the_output_of_the_english_page() -> None:
    own_notes = text_of(ROOT / "docs" / "own-notes.md").splitlines()
    shown = blocks(ROOT / "docs" / "ko" / "own-notes.md", "text", "console")
    lines = [line for block in shown for line in block.text.splitlines()]
    assert len(lines) > 60
    assert [line for line in lines if line not in own_notes and not line.startswith("$ ")] == []


KOREAN = [page for page in DOCUMENTS if ".ko." in page.name or page.parent.name == "ko"]


@pytest.mark.parametrize("page", KOREAN, ids=name_of)
def test_korean_terms_are_those_of_the_field(page: Path) -> None:
    text = re.sub("`[^`]*`", "", text_without_blocks(page))
    other = r"시험 (?:분할|세트|문서)|대응 구간|주석자|누출|말뭉치|원래 도구|\d %"
    assert re.findall(other, text) == []


@pytest.mark.parametrize("name", ["which-model", "what-it-costs"])
def test_figures_of_advice_are_measured(name: str) -> None:
    """Figures of rows that aren't marked as computed or estimated are those of the benchmarks."""
    sources = ("benchmarks", "scaling", "memory")
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
