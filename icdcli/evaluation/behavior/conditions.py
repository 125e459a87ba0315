"""The conditions that behavioral tests are about: labels of a model, and their names.

Conditions are the labels with most training documents that have a name, one per three-character
category; no procedures, external causes, or codes of a status or history. Some capabilities need
others:

- ``diseases`` run in families: no symptoms, injuries or conditions of pregnancy and birth;
- ``acute diseases`` heal, so that they can be over since long ago;
- ``symptoms`` may be a reaction to a drug;
- ``abbreviated``: conditions with an abbreviation;
- ``sides``: a condition of the right or the left side, if both sides are labels;
- ``personal histories`` and ``family histories``: labels that mean them (``Z80`` to ``Z87``).

A third of the conditions is held out, by a hash of the code.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from itertools import islice
from math import ceil

from icdcli.data.corpus.reader import Labels
from icdcli.evaluation.behavior.condition_names import names_of
from icdcli.evaluation.behavior.templates import About
from icdcli.icd.codes import System
from icdcli.icd.history import history_of
from icdcli.icd.titles import title_of

_NO_CONDITION = {"icd10": r"[V-Z]|F17", "icd9": r"[EV]|305\.1"}
_GROUPS: dict[str, dict[About, str]] = {
    "icd10": {
        "diseases": r"(?!B9[5-9]|D7[0-3]|E8[67]|H53|I9[56]|L)[A-NQ]",
        "acute diseases": r"A(?!1|3|5|8[01])|B(?!1[89]|2|9[05-9])|D(?:50|69\.6)|E8[67]|F05|"
        r"G0[0-4]|G51|H10|H66|I26|I3[0-3]|I80|I82|J[0-2]|J8[0-6]|J9[03]|K2[5-9]|K3[5-7]|K5[267]|"
        r"K65|K8[015]|K92\.[0-2]|L0|M00|M10|N1[07]|N2[0-3]|N30|N39\.0|N4[159]|S|T[23]|"
        r"R(?:04|17|31|50|55|56)",
        "symptoms": r"L(?:2|3|5)|R[0-6]|T78|I95",
    },
    "icd9": {
        "diseases": r"(?!041|079|27[56]|288|368|458|6[3-9])[0-6]|7[145]",
        "acute diseases": r"0(?!1[0-8]|4[12]|7[0-9])|27[56]\.|28[05]|32[0-3]|351|372|382|415|"
        r"42[012]|45[123]|46[0-6]|48[0-7]|51[013]|53[1-4]|54[0-3]|560|567|57[457]|578|584|59[02]|595|"
        r"599\.0|68[0-6]|711|274|8[0-9]|9[24]|780\.[236]|786\.3",
        "symptoms": r"458|69[0-8]|70[0-8]|78",
    },
}
_HELD_OUT_OF = 3


@dataclass(frozen=True)
class NamedCondition:
    """What a note is about.

    Attributes:
        code: The code.
        names: Its usual names.
        synonyms: Other names.
        wordings: Words for it that aren't nouns.
        abbreviations: Its abbreviations.
        title: Its official title; empty if there is none.
        groups: What it belongs to.
        found_as: The beginning of a code that counts as this one.
        instead: A code that must not be predicted if this one must; empty: any may.
    """

    code: str
    names: tuple[str, ...]
    synonyms: tuple[str, ...] = ()
    wordings: tuple[str, ...] = ()
    abbreviations: tuple[str, ...] = ()
    title: str = ""
    groups: frozenset[About] = frozenset({"conditions"})
    found_as: str = ""
    instead: str = ""

    @property
    def held_out(self) -> bool:
        """Return whether it isn't looked at while cues, words and models are made."""
        return sha256(self.code.encode()).digest()[0] % _HELD_OUT_OF == 0

    def is_in(self, codes: frozenset[str]) -> bool:
        """Return whether a prediction has it."""
        return any(code.startswith(self.found_as) for code in codes)


def conditions_of(
    labels: Labels, system: System | None, language: str, most: int
) -> list[NamedCondition]:
    """Return the conditions to test, those with most training documents first.

    Args:
        labels: The model's label space.
        system: Its coding system; None: unknown, so that there are none.
        language: The language of the notes.
        most: The largest number of conditions; half as many for the other groups.
    """
    if system is None:
        return []
    return [
        *_common(labels, system, language, most),
        *islice(_histories(labels, system, language), most // 2),
        *islice(_sides(labels, system, language), most // 2),
    ]


def _common(labels: Labels, system: System, language: str, most: int) -> Iterator[NamedCondition]:
    seen = set()
    left: dict[About, int] = {"conditions": most, "abbreviated": ceil(most / 2)}
    left.update(dict.fromkeys(_GROUPS[system], ceil(most / 2)))
    for code in _trained(labels):
        category = code.split(".")[0]
        if category in seen or re.match(_NO_CONDITION[system], code):
            continue
        names = names_of(code, system, language)
        if not names.usual:
            continue
        groups: set[About] = {k for k, codes in _GROUPS[system].items() if re.match(codes, code)}
        groups.add("conditions")
        if names.abbreviations:
            groups.add("abbreviated")
        groups = {group for group in groups if left[group]}
        if not groups:
            continue
        seen.add(category)
        for group in groups:
            left[group] -= 1
        yield NamedCondition(
            code,
            names.usual,
            names.synonyms,
            names.wordings,
            names.abbreviations,
            title_of(code, "diagnosis", system) or "",
            frozenset(groups),
            found_as=category,
        )


def _trained(labels: Labels) -> list[str]:
    """Return the diagnoses with training documents, those with most first."""
    order = sorted(range(len(labels)), key=lambda label: -labels.train_counts[label])
    return [
        labels.codes[label]
        for label in order
        if labels.train_counts[label] and labels.kinds[label] == "diagnosis"
    ]


def _histories(labels: Labels, system: System, language: str) -> Iterator[NamedCondition]:
    trained = _trained(labels)
    names: dict[str, tuple[str, ...]] = {}
    for row in _rows("histories.tsv"):
        code = row[system]
        names[code] = (*names.get(code, ()), row[language])
    for code in trained:
        if code in names:
            family = history_of(code, "diagnosis", system) == "family"
            group: About = "family histories" if family else "personal histories"
            yield NamedCondition(code, names[code], groups=frozenset({group}), found_as=code)


def _sides(labels: Labels, system: System, language: str) -> Iterator[NamedCondition]:
    place = {
        code: place for place, code in enumerate(_trained(labels) if system == "icd10" else ())
    }
    both = [row for row in _rows("sides.tsv") if {row["right"], row["left"]} <= place.keys()]
    for row in sorted(both, key=lambda row: max(place[row["right"]], place[row["left"]])):
        for side, other in (("right", "left"), ("left", "right")):
            yield NamedCondition(
                row[side],
                (_of_side(row[language], side),),
                groups=frozenset({"sides"}),
                found_as=row[side],
                instead=row[other],
            )


_LEFT = {
    "right": "left",
    "derecho": "izquierdo",
    "derecha": "izquierda",
    "우측": "좌측",
    "우안": "좌안",
    "우": "좌",
}


def _of_side(name: str, side: str) -> str:
    """Return a name of the table, ``{right} knee pain``, for a side."""
    return re.sub(r"\{(\w+)\}", lambda word: word[1] if side == "right" else _LEFT[word[1]], name)


def _rows(table: str) -> list[dict[str, str]]:
    text = files("icdcli.evaluation.behavior").joinpath(table).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))
