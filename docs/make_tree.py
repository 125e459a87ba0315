"""Write the file tree of architecture.md: each module with the first line of its docstring.

    .venv/bin/python docs/make_tree.py

`tests/docs/test_docs.py` compares the committed page with this.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).parent / "architecture.md"
PACKAGE = Path(__file__).parents[1] / "icdcli"
WIDTH = 98
FIRST, LAST = "<!-- tree: written by docs/make_tree.py -->\n", "<!-- end of the tree -->\n"
# From left to right, as imports point; tests/test_package.py has the complete rule.
ORDER = (
    "config", "io", "icd", "metrics", "data", "lexical", "model", "explain", "distributed",
    "predict", "evaluation", "training", "migration", "profiling", "review", "service",
    "review_page", "report", "cli",
)  # fmt: skip


def summary(path: Path, width: int) -> str:
    """Return the first sentence of a module's docstring, shortened at a punctuation mark to fit."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    line = docstring.partition("\n\n")[0].replace("\n", " ").replace("`", "")
    line = re.split(r"(?<=[^.])\.(?= [A-Z]|$)", line)[0]
    while (
        len(line) > width and (mark := max(line.rfind(mark) for mark in (":", ";", ",", " ("))) > 0
    ):
        line = line[:mark].rstrip()
    return line


def entries(folder: Path, depth: int = 1) -> Iterator[tuple[int, str, Path]]:
    """Yield depth, name and describing file of each module and package: modules first."""
    for path in sorted(folder.glob("*.py")):
        if path.name != "__init__.py" or folder == PACKAGE:
            yield depth, path.name, path
    inner = [path.parent for path in folder.glob("*/__init__.py")]
    places = {name: place for place, name in enumerate(ORDER)}
    for child in sorted(inner, key=lambda path: (places.get(path.name, len(ORDER)), path.name)):
        yield depth, f"{child.name}/", child / "__init__.py"
        yield from entries(child, depth + 1)


def tree() -> str:
    """Return the tree as a fenced block."""
    found = list(entries(PACKAGE))
    column = max(2 * depth + len(name) for depth, name, _ in found) + 2
    lines = ["icdcli/"]
    for depth, name, path in found:
        lines.append(f"{'  ' * depth + name:{column}}{summary(path, WIDTH - column)}".rstrip())
    return "```text\n" + "\n".join(lines) + "\n```\n"


def page() -> str:
    """Return the page with a new tree."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(FIRST)
    return before + FIRST + tree() + LAST + rest.partition(LAST)[2]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
