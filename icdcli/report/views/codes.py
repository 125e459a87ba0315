"""Coding systems on the terminal: editions, codes, search, differences, equivalents."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from icdcli.icd.codes import System
from icdcli.icd.editions.catalog import Found
from icdcli.icd.editions.differences import Differences
from icdcli.icd.editions.edition import About, Edition, NoteKind
from icdcli.icd.editions.look_up import CodeDetails
from icdcli.icd.equivalents import Equivalent
from icdcli.icd.rules.references import UnderstoodNotes
from icdcli.icd.search import Hit
from icdcli.report.formatting import one_line, plain

_NOTES: dict[NoteKind, str] = {
    "terms": "Terms",
    "includes": "Includes",
    "excludes1": "Excludes1 (not coded here)",
    "excludes2": "Excludes2 (may be coded, too)",
    "code_first": "Code first",
    "use_additional": "Use additional code",
    "code_also": "Code also",
    "seventh": "Seventh character",
    "notes": "Notes",
}
_SHOWN = 20


def editions_view(rows: Sequence[tuple[Found, Edition]]) -> RenderableType:
    """Render the editions at hand."""
    table = _table("name", "title", "valid from", "codes", "license")
    table.columns[3].justify = "right"
    for found, edition in rows:
        about = found.about
        table.add_row(
            about.name,
            one_line(about.title),
            about.valid_from.isoformat() if about.valid_from else "",
            f"{int(edition.assignable_R.sum()):,}",
            one_line(about.license),
        )
    return table


def code_view(found: CodeDetails) -> RenderableType:
    """Render what an edition says about a code."""
    title = found.title or "(no title in this edition)"
    parts: list[RenderableType] = [plain(f"{found.code}  {title}", "bold")]
    parts += map(plain, _states(found))
    parts += _listed("Now", [f"{code}  {title}" for code, title in found.became])
    parts += _listed("Above", [f"{code}  {title}" for code, title in found.above])
    parts += _listed("Below", [f"{code}  {title}" for code, title in found.below])
    parts += _listed("Synonyms", found.synonyms)
    for kind, heading in _NOTES.items():
        for place, texts in found.notes.get(kind, ()):
            where = "" if place == found.code else f", of {place}"
            parts += _listed(heading + where, texts)
    return Group(*parts)


def _states(found: CodeDetails) -> Iterator[str]:
    """Yield whether a code can be assigned, and since and until when."""
    if found.assignable:
        yield f"can be assigned; {found.edition.title}"
    elif found.retired_after is not None:
        yield f"can't be assigned any more; {found.edition.title}"
    elif found.new_after is not None:
        yield f"can't be assigned yet; {found.edition.title}"
    else:
        yield f"can't be assigned: it stands for others; {found.edition.title}"
    if found.valid_from is not None:
        yield (
            f"new: valid by {found.valid_from}, not in {found.new_after}"
            if found.new_after
            else f"valid since {found.valid_from}, or earlier"
        )
    if found.retired_after is not None:
        day = found.retired_by or "an unknown day"
        yield f"retired: last in {found.retired_after}, no longer valid on {day}"


def hits_view(hits: Sequence[Hit]) -> RenderableType:
    """Render the codes that a search found."""
    table = _table("code", "title", "found by")
    for one in hits:
        title = one.title if one.assignable else f"{one.title} …"
        table.add_row(one.code, one_line(title), one_line(one.term))
    return table


def notes_view(found: UnderstoodNotes, kind: NoteKind, edition: About) -> RenderableType:
    """Render the notes that refer to codes in words only."""
    share = found.understood / found.places if found.places else 1.0
    heading = (
        f"{_NOTES[kind]}: of {found.places:,} codes and groups of codes with such notes in "
        f"{edition.title}, all notes of {found.understood:,} ({share:.0%}) name codes"
    )
    table = _table("code", "note in words only")
    for code, text in found.in_words:
        table.add_row(code, plain(" ".join(text.split())))
    return Group(plain(heading, "bold"), *([table] if found.in_words else []))


def differences_view(found: Differences) -> RenderableType:
    """Render what changed between two editions; long lists are cut."""
    heading = (
        f"{found.older} to {found.newer}: {len(found.added):,} new, {len(found.retired):,} "
        f"retired, {len(found.renamed):,} renamed codes"
    )
    retired = [
        f"{one.code}  {one.title}"
        + (f" (now {', '.join(one.into[:4])}{' …' * (len(one.into) > 4)})" if one.into else "")
        for one in found.retired
    ]
    return Group(
        plain(heading, "bold"),
        *_listed("New", [f"{code}  {title}" for code, title in found.added]),
        *_listed("Retired", retired),
        *_listed(
            "Renamed", [f"{one.code}  {one.before}; now: {one.after}" for one in found.renamed]
        ),
    )


def equivalents_view(
    code: str, equivalents: Sequence[Equivalent], system: System
) -> RenderableType:
    """Render the equivalents of a code in another system."""
    name = {"icd9": "ICD-9-CM", "icd10": "ICD-10-CM"}[system]
    if not equivalents:
        return plain(f"{code} has no equivalent in {name}.")
    alone = [one for one in equivalents if not one.scenario]
    parts = _listed(f"{code} in {name}", [f"{one.code}{_about(one)}" for one in alone])
    for scenario in sorted({one.scenario for one in equivalents} - {0}):
        own = [one for one in equivalents if one.scenario == scenario]
        choices = [
            " or ".join(one.code for one in own if one.choice == choice)
            for choice in sorted({one.choice for one in own})
        ]
        parts += _listed(f"{code} in {name}, together", choices)
    return Group(*parts)


def _about(one: Equivalent) -> str:
    return " (approximately)" if one.approximate else " (the same)"


def _listed(heading: str, lines: Sequence[str]) -> list[RenderableType]:
    if not lines:
        return []
    shown = [f"  {one_line(line)}" for line in lines[:_SHOWN]]
    if len(lines) > _SHOWN:
        shown.append(f"  … and {len(lines) - _SHOWN:,} more (--json has all)")
    return [Text(), plain(heading, "bold"), *(plain(line) for line in shown)]


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table
