"""The English of code and documents is that of the field: its words are counted, see prose.py."""

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


prose = neighbor("prose")
FILES = [
    ("docstring", prose.package_files()),
    ("comment", prose.package_files()),
    ("message", prose.package_files()),
    ("page", prose.page_files()),
]


@pytest.mark.parametrize(("kind", "paths"), FILES, ids=[kind for kind, _ in FILES])
def test_texts_use_if_for_conditions_and_report_for_messages(kind: str, paths: list[Path]) -> None:
    counts = prose.total(paths, [kind])
    assert counts.words > 2000
    assert counts.where_rate <= prose.WHERE_PER_1000, prose.worst(paths, [kind])
    assert counts.tell_rate <= prose.TELL_PER_1000, prose.worst(paths, [kind])


@pytest.mark.parametrize("page", prose.page_files(), ids=prose.name_of)
def test_lines_of_pages_are_at_most_100_characters_long(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    lines = [line for line in text.splitlines() if not line.startswith(("|", "![", "    "))]
    assert [line for line in lines if len(line) > 100 and " " in line.strip()] == []


def test_docstrings_of_functions_start_with_an_imperative_verb() -> None:
    counts = prose.total(prose.package_files(), ["docstring"])
    assert counts.functions > 500
    assert counts.imperative_share >= prose.IMPERATIVE_SHARE, "\n".join(counts.not_imperative)


@pytest.mark.parametrize(
    ("docstring", "imperative"),
    [
        ("Return the codes of a document.", True),
        ("Yield each step's events.", True),
        ("Sum the losses.", True),
        ("Sum of the losses.", False),
        ("Name of the file.", False),
        ("Returns the codes of a document.", False),
        ("The codes of a document.", False),
        ("Whether the file is complete.", False),
        ("What a model can do.", False),
        ("``True`` if the file is complete.", False),
        ("", False),
    ],
)
def test_an_imperative_is_distinguished_from_a_noun(docstring: str, imperative: bool) -> None:
    assert prose.is_imperative(docstring) is imperative


def test_code_is_not_counted_and_messages_are(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        '"""Select with `np.where`, where that is faster."""\n'
        "def f(on_warning):\n"
        '    """Tell x."""\n'
        "    on_warning(f'told {f} where')  # where it goes\n"
        "    raise ValueError('nothing is there where')\n"
        "    return 'where of no message'\n",
        encoding="utf-8",
    )
    counts = prose.count(path)
    assert (counts.where, counts.tell, counts.functions) == (4, 2, 1)
    page = tmp_path / "page.md"
    page.write_text("Where?\n```python\nnp.where(x)\n```\n`told`\n", encoding="utf-8")
    assert prose.count(page) == prose.Counts(words=2, where=1)
