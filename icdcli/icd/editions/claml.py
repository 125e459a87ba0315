"""Reads ClaML (ISO 13120), the XML in which WHO and others publish ICD-10.

Classes name the ones above and below them; their rubrics are titles and notes. Modifiers are fourth
or fifth characters that are defined once and apply to many classes; their codes are written out
here. ICD-10-GM and CIM-10 are published in the same format.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from icdcli.errors import DataError
from icdcli.icd.editions.edition import Entry, Level, NoteKind
from icdcli.icd.editions.xml_root import xml_root

_LEVELS: dict[str, Level] = {"chapter": "chapter", "block": "block"}
_TITLES = ("preferred", "preferredLong")
_RUBRICS: dict[str, NoteKind] = {
    "inclusion": "terms",
    "includes": "includes",
    "exclusion": "excludes1",
    "excludes": "excludes1",
    "coding-hint": "notes",
    "introduction": "notes",
    "note": "notes",
    "text": "notes",
    "definition": "notes",
}


@dataclass
class _Class:
    """A class, or a class of a modifier.

    Attributes:
        code: Its code.
        kind: What it is, as the file says.
        title: Its title in the first language.
        above: The code of the class above it.
        below: The codes of the classes below it, in order.
        notes: Its notes.
        modifiers: The modifiers that apply to it and the classes below it, with the codes of their
            classes that are valid; none: all.
        excluded: The modifiers of classes above it that don't apply.
    """

    code: str
    kind: str
    title: str
    above: str | None
    below: list[str]
    notes: dict[NoteKind, list[str]]
    modifiers: dict[str, list[str]] = field(default_factory=dict)
    excluded: set[str] = field(default_factory=set)


def read_claml(file: IO[bytes], name: str) -> Iterator[Entry]:
    """Yield the entries of a ClaML file, each class before those below it.

    Args:
        file: The XML file.
        name: Its name, for messages.

    Raises:
        DataError: If it isn't ClaML, is cut short, or names a class that it lacks.
    """
    root = xml_root(file, name, "ClaML")
    classes = {one.code: one for one in map(_class, root.iter("Class"))}
    modifiers: dict[str, list[_Class]] = {}
    for element in root.iter("ModifierClass"):
        modifiers.setdefault(element.get("modifier") or "", []).append(_class(element))
    tops = [code for code, one in classes.items() if one.above is None]
    if not tops:
        raise DataError(f"{name}: no class is at the top.")
    for code in tops:
        yield from _entries(code, classes, modifiers, {}, name)


def _entries(
    code: str,
    classes: Mapping[str, _Class],
    modifiers: Mapping[str, Sequence[_Class]],
    inherited: Mapping[str, Sequence[str]],
    name: str,
) -> Iterator[Entry]:
    one = classes.get(code)
    if one is None:
        raise DataError(f"{name}: the class {code} is named, but isn't in the file.")
    apply = {key: valid for key, valid in inherited.items() if key not in one.excluded}
    apply |= one.modifiers
    is_code = one.kind not in _LEVELS
    level = _LEVELS.get(one.kind, "category" if "." not in code else "code")
    expanded = bool(apply) and is_code and not one.below
    yield Entry(
        code, one.title, level, one.above, is_code and not one.below and not expanded, one.notes
    )
    for child in one.below:
        yield from _entries(child, classes, modifiers, apply, name)
    if expanded:
        yield from _modified(one, list(apply.items()), modifiers, name)


def _modified(
    one: _Class,
    apply: Sequence[tuple[str, Sequence[str]]],
    modifiers: Mapping[str, Sequence[_Class]],
    name: str,
) -> Iterator[Entry]:
    """Yield the codes that a modifier makes of a class, and those that the next makes of these."""
    (modifier, valid), *further = apply
    if modifier not in modifiers:
        raise DataError(f"{name}: the modifier {modifier} is named, but isn't in the file.")
    for added in modifiers[modifier]:
        if valid and added.code not in valid:
            continue
        digit = added.code
        code = one.code + (digit.replace(".", "", 1) if "." in one.code else digit)
        if "." not in code and len(code) > 3:
            code = f"{code[:3]}.{code[3:]}"
        title = f"{one.title}: {added.title}" if added.title else one.title
        made = _Class(code, "category", title, one.code, [], added.notes)
        yield Entry(code, title, "code", one.code, not further, added.notes)
        if further:
            yield from _modified(made, further, modifiers, name)


def _class(element: ElementTree.Element) -> _Class:
    notes: dict[NoteKind, list[str]] = {}
    titles: dict[str, str] = {}
    for rubric in element.findall("Rubric"):
        kind = rubric.get("kind") or ""
        label = rubric.find("Label")  # that of the first language
        text = " ".join("".join(label.itertext()).split()) if label is not None else ""
        if kind in _TITLES:
            titles.setdefault(kind, text)
        elif (note := _RUBRICS.get(kind)) is not None and text:
            notes.setdefault(note, []).append(text)
    above = element.find("SuperClass")
    return _Class(
        element.get("code") or "",
        element.get("kind") or "",
        titles.get("preferredLong") or titles.get("preferred") or "",
        above.get("code") if above is not None else None,
        [one.get("code") or "" for one in element.findall("SubClass")],
        notes,
        {
            one.get("code") or "": [
                valid.get("code") or "" for valid in one.findall("ValidModifierClass")
            ]
            for one in element.findall("ModifiedBy")
        },
        {one.get("code") or "" for one in element.findall("ExcludeModifier")},
    )
