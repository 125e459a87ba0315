"""Measure the English of the project: docstrings, comments and messages of icdcli, README and docs.

    PYTHONPATH=. .venv/bin/python tests/docs/prose.py [PATH...]

prints for each file (default: the package, README.md and docs/*.md) the number of words, how often
it has "where" and "tell", and the function docstrings that don't start with an imperative verb.
With a PATH it also prints these lines.
`tests/docs/test_prose.py` holds the totals to the limits below.

The counts are of words that a reader reads: code in backticks, fenced blocks and doctests don't
count.
"""

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
WHERE_PER_1000 = 3.0
TELL_PER_1000 = 0.3
IMPERATIVE_SHARE = 0.95

KINDS = ("docstring", "comment", "message", "page")
# Calls and keywords whose string literals a user reads.
SPEAKING_CALLS = {"warn", "warning", "on_warning", "say", "print", "note", "fail", "echo", "Option",
                  "Argument", "Field"}  # fmt: skip
SPEAKING_KEYWORDS = {"help", "short_help", "epilog", "description", "title", "message"}

# Verbs in base form. A docstring whose first word isn't among them doesn't count as imperative: add
# the word if it is a verb and the sentence an instruction.
VERBS = frozenset(
    """
    abort accept accumulate act adapt add adjust advance align allocate allow announce answer append
    apply approximate arrange ask assemble assert assign attach attend average avoid await
    backpropagate balance batch begin bin bind block bound break bring broadcast build bundle
    calculate calibrate call cancel cap capture cast catch change check choose chunk classify clean
    clear clip clone close code collapse collect color combine compare compile complete
    compose compress compute concatenate configure connect construct consume continue convert copy
    correct count cover create cross cut
    deactivate decide declare decode deduplicate define delete deliver derive describe deserialize
    detach detect determine disable discard discover dispatch display distribute divide do download
    drain draw drop dump
    embed emit empty enable encode end ensure enter enumerate erase escape estimate evaluate exclude
    exchange execute exit expand expect explain export express extend extract
    fail fall feed fetch fill filter find finish fit flag flatten flush fold follow force format
    forward free freeze fuse
    gather generate get give go group grow guess
    halve handle hash have hide highlight hold
    identify ignore implement import include increase index infer inherit initialize insert install
    inspect instantiate interpolate interpret intersect invert iterate
    join judge
    keep kill know
    label launch lay leave let limit link list listen load locate lock log look lower
    make map mark mask match materialize measure merge mix modify monitor move multiply
    name narrow normalize notify number
    obtain offer omit open optimize order overwrite
    pack pad parse partition pass patch pause permute pick place plan plot point pool pop populate
    predict prefetch prefer prepare present preserve print probe process produce project propagate
    protect prove provide prune publish pull push put
    quantize query quote
    raise rank read rebuild receive recognize record recover reduce refer refresh refuse register
    reject release remember remove rename render repeat replace report represent request require
    resample reserve reset reshape resolve respond restart restore restrict resume retry return
    reuse reverse rewrite round route run
    sample save say scale scan schedule score search see seed select send separate serialize set
    shard share shift shorten show shrink shuffle shut sign silence simulate skip slice smooth sort
    spawn split spread stack start stop store stream strip subtract suggest sum summarize support
    suppress switch synchronize
    take terminate test throw tie time toggle tokenize touch trace track train transform translate
    transpose traverse treat trim truncate try tune turn
    undo unfreeze unload unlock unpack update upload use
    validate verify view visit
    wait walk warm warn watch weigh weight wrap write
    yield zero zip
    """.split()
)


@dataclass(frozen=True)
class Text:
    """One piece of prose: its file, line and kind, and whether it is a function's docstring."""

    path: Path
    line: int
    kind: str
    words: str
    of_function: bool = False


@dataclass
class Counts:
    """Words and slips of one file, or of several."""

    words: int = 0
    where: int = 0
    tell: int = 0
    functions: int = 0
    not_imperative: list[str] = field(default_factory=list)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.words + other.words,
            self.where + other.where,
            self.tell + other.tell,
            self.functions + other.functions,
            self.not_imperative + other.not_imperative,
        )

    @property
    def where_rate(self) -> float:
        return 1000 * self.where / max(self.words, 1)

    @property
    def tell_rate(self) -> float:
        return 1000 * self.tell / max(self.words, 1)

    @property
    def imperative_share(self) -> float:
        return 1 - len(self.not_imperative) / max(self.functions, 1)


def prose(text: str) -> str:
    """Return a text without its code: backticks, doctests, links' targets, HTML comments."""
    text = re.sub(r"<!--.*?-->", " ", text, flags=re.DOTALL)
    text = re.sub(r"^(```|~~~).*?^\1", " ", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^ *(>>>|\.\.\.|:::) .*$", " ", text, flags=re.MULTILINE)
    text = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", " code ", text, flags=re.DOTALL)
    return re.sub(r"\]\([^)]*\)", "] ", text)


def is_imperative(docstring: str) -> bool:
    """Check whether a docstring starts with a verb in base form, as an instruction does."""
    words = re.findall(r"[A-Za-z'-]+", docstring.lstrip()[:80])
    if not words or not docstring.lstrip().startswith(words[0]):
        return False
    # "Name of the file" and "Sum of losses" are nouns.
    return words[0].lower() in VERBS and (len(words) < 2 or words[1] != "of")


def docstrings(nodes: Iterable[ast.AST]) -> Iterator[tuple[ast.AST, ast.Constant]]:
    """Yield the modules, classes and functions of a file that have a docstring, and its node."""
    for node in nodes:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                yield node, first.value


def strings(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the string literals under a node; what an f-string puts in reads as ``…``."""
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
        yield node.lineno, "".join(map(str, parts))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.lineno, node.value
    else:
        for child in ast.iter_child_nodes(node):
            yield from strings(child)


def messages(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Yield the strings that users read: raised, warned, printed, or a help text."""
    seen: set[tuple[int, str]] = set()
    for node in nodes:
        spoken: list[ast.AST] = []
        if isinstance(node, ast.Raise) and node.exc is not None:
            spoken = [node.exc]
        elif isinstance(node, ast.Call):
            called = node.func
            name = (
                called.attr
                if isinstance(called, ast.Attribute)
                else called.id
                if isinstance(called, ast.Name)
                else ""
            )
            speaks = name in SPEAKING_CALLS or name.endswith(("Error", "Warning"))
            spoken = list(node.args) if speaks else []
            spoken += [word.value for word in node.keywords if word.arg in SPEAKING_KEYWORDS]
        for part in spoken:
            for found in strings(part):
                if found not in seen and " " in found[1]:
                    seen.add(found)
                    yield found


@cache
def texts_of(path: Path) -> tuple[Text, ...]:
    """Return the prose of a Python file or of a page."""
    return tuple(find_texts(path))


def find_texts(path: Path) -> Iterator[Text]:
    """Yield the prose of a Python file or of a page."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield Text(path, 1, "page", source)
        return
    nodes = list(ast.walk(ast.parse(source)))
    for node, docstring in docstrings(nodes):
        of_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        yield Text(path, docstring.lineno, "docstring", str(docstring.value), of_function)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Text(path, token.start[0], "comment", token.string.lstrip("# "))
    for line, words in messages(nodes):
        yield Text(path, line, "message", words)


def count(path: Path, kinds: Sequence[str] = KINDS) -> Counts:
    """Count the words and slips of a file.

    Args:
        path: A Python file or a Markdown page.
        kinds: The kinds of text to count, of `KINDS`.
    """
    counts = Counts()
    for text in texts_of(path):
        if text.kind in kinds:
            words = re.findall(r"[a-z][a-z'’-]*", prose(text.words).lower())
            counts.words += len(words)
            counts.where += words.count("where")
            counts.tell += sum(word in ("tell", "tells", "told") for word in words)
            if text.of_function:
                counts.functions += 1
                if not is_imperative(text.words):
                    first = text.words.strip().splitlines()[0]
                    counts.not_imperative.append(f"{name_of(path)}:{text.line}: {first}")
    return counts


def name_of(path: Path) -> str:
    """Return a path as it reads from the root of the repository."""
    return (
        str(path.resolve().relative_to(ROOT)) if path.resolve().is_relative_to(ROOT) else path.name
    )


def package_files() -> list[Path]:
    """Return the Python files of icdcli."""
    return sorted((ROOT / "icdcli").rglob("*.py"))


def page_files() -> list[Path]:
    """Return README and the English pages."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def total(paths: Sequence[Path], kinds: Sequence[str] = KINDS) -> Counts:
    """Sum the counts of files."""
    return sum((count(path, kinds) for path in paths), Counts())


def worst(paths: Sequence[Path], kinds: Sequence[str] = KINDS, n: int = 10) -> str:
    """Name the files with most slips."""
    slips: Counter[str] = Counter()
    for path in paths:
        counts = count(path, kinds)
        slips[name_of(path)] = counts.where + counts.tell + len(counts.not_imperative)
    return ", ".join(f"{name} ({number})" for name, number in slips.most_common(n) if number)


def lines_of(name: str, counts: Counts, details: bool) -> Iterator[str]:
    """Yield the lines that report the counts of a file."""
    yield (
        f"{name}: {counts.words:,} words, where {counts.where} "
        f"({counts.where_rate:.1f} per 1,000), tell {counts.tell} ({counts.tell_rate:.1f}), not "
        f"imperative {len(counts.not_imperative)} of {counts.functions}"
    )
    if details:
        yield from (f"    {line}" for line in counts.not_imperative)


def slips_of(path: Path) -> Iterator[str]:
    """Yield the lines of a file that have "where" or "tell"."""
    for text in texts_of(path):
        for number, line in enumerate(
            prose(text.words).splitlines() if text.kind != "page" else text.words.splitlines()
        ):
            for word in re.findall(r"\b(?:where|told|tells?)\b", line, re.IGNORECASE):
                yield f"    {name_of(path)}:{text.line + number}: {word}: {line.strip()}"


def main(arguments: Sequence[str]) -> None:
    """Print the counts of the files, or of all files in the folders, that are given."""
    given = [Path(argument) for argument in arguments]
    paths = [
        path
        for one in given
        for path in (sorted([*one.rglob("*.py"), *one.rglob("*.md")]) if one.is_dir() else [one])
    ] or [*package_files(), *page_files()]
    everything = Counts()
    for path in paths:
        counts = count(path)
        everything += counts
        if counts.where or counts.tell or counts.not_imperative:
            sys.stdout.write("\n".join(lines_of(name_of(path), counts, bool(given))) + "\n")
            if given:
                sys.stdout.writelines(f"{line}\n" for line in slips_of(path))
    sys.stdout.write("\n".join(lines_of("total", everything, False)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
