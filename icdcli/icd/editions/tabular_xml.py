"""Reads NCHS's tabular list of ICD-10-CM, an XML file.

It has chapters, sections, categories and codes, each with its notes. Codes with a seventh character
aren't listed but defined: the characters of the nearest code above apply to every code that has
none below it; ``X`` fills missing positions (ICD-10-CM Official Guidelines, I.A.4 and I.A.5).
"""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import IO, NamedTuple

from icdcli.errors import DataError
from icdcli.icd.editions.edition import Entry, Level, NoteKind
from icdcli.icd.editions.xml_root import xml_root

_NOTES: dict[str, NoteKind] = {
    "inclusionTerm": "terms",
    "includes": "includes",
    "excludes1": "excludes1",
    "excludes2": "excludes2",
    "codeFirst": "code_first",
    "useAdditionalCode": "use_additional",
    "codeAlso": "code_also",
    "notes": "notes",
    "sevenChrNote": "notes",
}
_CHARACTERS = 6  # before a seventh
_TITLE = re.compile(r"(?P<title>.+?) ?\((?P<range>[A-Z0-9]{3}(?:-[A-Z0-9]{3})?)\)")
# "7th characters D and S do not apply to codes in category S06 with 6th character 7 - …, or 8 - …"
_EXCEPTION = re.compile(
    r"7th characters? (?P<seventh>.+?) (?:do|does) not apply to codes .* "
    r"6th characters? (?P<sixth>.+)"
)


class _Seventh(NamedTuple):
    """A seventh character that a code defines for those below it.

    Attributes:
        character: The character.
        words: What it means.
        terms: Inclusion terms of the codes with it.
        not_after: Sixth characters that it doesn't follow.
    """

    character: str
    words: str
    terms: list[str]
    not_after: str = ""


def read_tabular_xml(file: IO[bytes], name: str) -> Iterator[Entry]:
    """Yield the entries of a tabular list, in its order.

    Args:
        file: The XML file.
        name: Its name, for messages.

    Raises:
        DataError: If it isn't a tabular list of ICD-10-CM, or is cut short.
    """
    for chapter in xml_root(file, name, "ICD10CM.tabular").iter("chapter"):
        title = _TITLE.fullmatch(_text(chapter, "desc", name))
        if title is None:
            raise DataError(f"{name}: a chapter's title doesn't end with its range of codes.")
        identifier = f"Chapter {title['range']}"
        yield _entry(chapter, identifier, title["title"], "chapter")
        # Sections within sections (C00-C75 within C00-C96) are listed one after another.
        opened = [(identifier, title["range"])]
        for section in chapter.iter("section"):
            block = _TITLE.fullmatch(_text(section, "desc", name))
            frame: ElementTree.Element | None = None
            if block is not None and "-" in block["range"]:
                while len(opened) > 1 and not _within(block["range"], opened[-1][1]):
                    opened.pop()
                above = opened[-1][0]
                yield _entry(section, block["range"], block["title"], "block", above)
                opened.append((block["range"], block["range"]))
            else:  # the frame of one category, whose notes it may have
                del opened[1:]
                frame = section
            for category in section.findall("diag"):
                first, *below = _codes(category, opened[-1][0], [], name)
                yield first if frame is None else _with_notes_of(frame, first)
                yield from below


def _with_notes_of(frame: ElementTree.Element, category: Entry) -> Entry:
    notes = {kind: list(own) for kind, own in category.notes.items()}
    for kind, more in _entry(frame, category.code, "", "category").notes.items():
        notes[kind] = [*more, *notes.get(kind, ())]
    return category._replace(notes=notes)


def _within(inner: str, outer: str) -> bool:
    """Return if a range of categories is within another one."""
    first, _, last = inner.partition("-")
    start, _, end = outer.partition("-")
    return start <= first and last <= (end or start)


def _codes(
    diagnosis: ElementTree.Element, above: str, seventh: list[_Seventh], name: str
) -> Iterator[Entry]:
    code, title = _text(diagnosis, "name", name), _text(diagnosis, "desc", name)
    seventh = _seventh(diagnosis) or seventh
    below = diagnosis.findall("diag")
    level: Level = "code" if "." in code else "category"
    entry = _entry(diagnosis, code, title, level, above)
    yield entry._replace(assignable=not below and not seventh)
    for one in below:
        yield from _codes(one, code, seventh, name)
    if below:
        return
    stem = (code if "." in code else f"{code}.").ljust(_CHARACTERS + 1, "X")
    for character, words, terms, not_after in seventh:
        if stem[-1] not in not_after:
            yield Entry(
                stem + character,
                f"{title}, {words}",
                parent=code,
                notes={"terms": terms} if terms else {},
            )


def _seventh(diagnosis: ElementTree.Element) -> list[_Seventh]:
    """Return the seventh characters that a code defines."""
    found: list[_Seventh] = []
    for one in diagnosis.findall("sevenChrDef/*"):
        if one.tag == "extension":
            found.append(_Seventh(one.get("char") or "", _clean(one), []))
        elif found:
            found[-1].terms.append(_clean(one))
    for note in map(_clean, diagnosis.findall("notes/note") if found else ()):
        if exception := _EXCEPTION.match(note):
            without = re.findall(r"\b[A-Z0-9]\b", exception["seventh"])
            sixth = "".join(re.findall(r"\b[A-Z0-9]\b(?= -)", exception["sixth"]))
            found = [
                own._replace(not_after=sixth) if own.character in without else own for own in found
            ]
    return found


def _entry(
    element: ElementTree.Element, code: str, title: str, level: Level, parent: str | None = None
) -> Entry:
    notes: dict[NoteKind, list[str]] = {}
    for child in element:
        kind = _NOTES.get(child.tag)
        if kind is not None:
            notes.setdefault(kind, []).extend(map(_clean, child.findall("note")))
    if definitions := _seventh(element):
        notes["seventh"] = [f"{own.character}: {own.words}" for own in definitions]
    return Entry(code, title, level, parent, False, notes)


def _text(element: ElementTree.Element, tag: str, name: str) -> str:
    found = element.find(tag)
    if found is None or not _clean(found):
        raise DataError(f"{name}: a <{element.tag}> has no <{tag}>. Get the file again.")
    return _clean(found)


def _clean(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())
