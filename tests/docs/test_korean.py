"""The Korean pages say what the English ones say, in the words of the field."""

import importlib.util
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
text_of, name_of, blocks = pages.text_of, pages.name_of, pages.blocks
text_without_blocks = pages.text_without_blocks


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
        "docs/ko/index.md",
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
