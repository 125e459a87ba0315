"""Pages can be followed: their commands run, and print what the pages show.

A fenced block after ``<!-- run -->`` is executed, page by page in an empty folder, on smaller data.
Each line of output that the page shows, apart from numbers, must be in the program's output (not
after ``<!-- run, other output -->``). Other pages are read by ``test_docs.py``.
"""

import contextlib
import importlib.util
import io
import os
import re
from pathlib import Path
from types import ModuleType

import pytest


def neighbor(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages = neighbor("pages")
ROOT, DOCUMENTS = pages.ROOT, pages.DOCUMENTS
name_of, blocks, call_of, icdcode = pages.name_of, pages.blocks, pages.call_of, pages.icdcode

SMALLER = {"--admissions 2000": "--admissions 60", "--admissions 300": "--admissions 60"}
SMALLER |= {f"steps={steps}": "steps=4 warmup_steps=1" for steps in (120, 291)}


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
    "name",
    [
        "README.md",
        "docs/codes.md",
        pytest.param("docs/getting-started.md", marks=pytest.mark.slow),
        "docs/evaluation.md",
        "docs/formats.md",
        pytest.param("docs/python.md", marks=pytest.mark.slow),
        "docs/review.md",
        "docs/score.md",
    ],
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
@pytest.mark.parametrize("name", ["own-notes", "ko/own-notes"])
def test_a_table_of_ones_own_comes_to_predictions_with_evidence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(ROOT / "docs" / f"{name}.md")
    assert (tmp_path / "codes.jsonl").read_text(encoding="utf-8").count("\n") > 40
    code, said = icdcode(["predict", "outputs/notes", "new_note.txt", "--top", "3", "--evidence"])
    assert code == 0
    assert said.count("**") >= 6


def test_every_page_that_runs_is_run() -> None:
    run = {"README.md", "README.ko.md"}  # whose blocks are the same
    names = "codes formats getting-started evaluation python review own-notes score".split()
    names += ["ko/guide", "ko/own-notes"]
    run |= {f"docs/{name}.md" for name in names}
    assert {name_of(page) for page in DOCUMENTS if any(block.runs for block in blocks(page))} == run
