"""The notes of a behavioral test, made for a model's label space.

A template's fields are:

- ``name``, ``Name``, ``NAME``: a usual name of the condition; ``broken``: with a line break in it;
  ``unspaced``: without its spaces, as Korean notes often write it;
- ``synonym``: another noun for it; ``wording``: any words for it, "short of breath" too;
- ``abbreviation``: one with this condition as its usual sense;
- ``typo``: its name with one wrong letter;
- ``other``, ``Other``, ``OTHER``: another condition, with no word of this one; ``others``: three.

A Korean field may end in a particle, which then agrees with the name.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil

from icdcli.evaluation.behavior.conditions import NamedCondition
from icdcli.evaluation.behavior.particles import split_particle, with_particle
from icdcli.evaluation.behavior.templates import Capability, Expectation, NoteTemplate
from icdcli.evaluation.behavior.typos import KINDS, with_typo

NOTES = 120
"""The number of notes per capability, about; fewer if there are fewer conditions."""
_OTHERS = 3
# Codes that only men and only women have, and words for the other sex in the three languages.
_MEN = re.compile(r"C6[0-3]|D40|N4[0-9]|N5[0-3]|Z80\.42|Z85\.4[67]|185|60[0-8]|222|V1[06]\.4[267]")
_WOMEN = re.compile(
    r"C5[1-8]|D2[5-7]|D39|N[789]|O|Z80\.41|Z85\.43|179|18[0-4]|21[89]|6[1-7]|V10\.43|V16\.41"
)
_FOR_WOMEN = re.compile(
    r"\b(she|her|herself|mother|aunts?|grandmother|sister|daughter|\d\dF|la paciente|madre|hermana|"
    r"tía|abuela|hija|dra|atendida)\b|여자|어머니|이모|할머니|언니|누나|딸|모:",
    re.I,
)
_FOR_MEN = re.compile(
    r"\b(he|his|him|himself|father|brothers?|uncles?|grandfather|sons?|mr|\d\dM|el paciente|varón|"
    r"padre|hermanos?|tíos?|abuelo|hijo|niño|d)\b|아버지|형|삼촌|할아버지|아들|부:|김철수",
    re.I,
)
_STEM = 5
_SHORTEST_STEM = 4


@dataclass(frozen=True)
class BehaviorNote:
    """A note of a test.

    Attributes:
        capability: The name of the capability.
        expect: What must happen to the condition's code.
        condition: What the note is about.
        text: The note.
        base: The note whose codes must be the same, if `expect` is ``unchanged``; else empty.
        held_out: Its template or its condition is held out.
    """

    capability: str
    expect: Expectation
    condition: NamedCondition
    text: str
    base: str = ""
    held_out: bool = False


def make_notes(
    conditions: Sequence[NamedCondition], capability: Capability
) -> Iterator[BehaviorNote]:
    """Yield the notes of a capability, each from a template and a condition that has its fields.

    Every template is used with as many conditions as `NOTES` allows, each with others.
    """
    about = [one for one in conditions if capability.about in one.groups]
    everybody = [one for one in conditions if "conditions" in one.groups]
    turn = 0
    for number, template in enumerate(capability.templates):
        able = [
            one
            for one in about
            if not _of_other_sex(one, template) and _values(template, one, everybody, 0)
        ]
        step = max(1, ceil(len(able) * len(capability.templates) / NOTES))
        for condition in able[number % step :: step]:
            values = _values(template, condition, everybody, turn)
            turn += 1
            if values is None:
                continue
            base = template.base.format_map(values)
            text = template.text.format_map(values)
            if text != base:
                held_out = template.held_out or condition.held_out
                yield BehaviorNote(
                    capability.name, capability.expect, condition, text, base, held_out
                )


def _of_other_sex(condition: NamedCondition, template: NoteTemplate) -> bool:
    """Return whether a note would give a man's condition to a woman, or a woman's to a man."""
    note = f"{template.text} {template.base}"
    return bool(
        (_MEN.match(condition.code) and _FOR_WOMEN.search(note))
        or (_WOMEN.match(condition.code) and _FOR_MEN.search(note))
    )


def _values(
    template: NoteTemplate,
    condition: NamedCondition,
    everybody: Sequence[NamedCondition],
    turn: int,
) -> dict[str, str] | None:
    """Return the fields' values; None if the condition lacks one."""
    values = {}
    for field in template.fields:
        kind, particle = split_particle(field)
        value = _FIELDS[kind](condition, everybody, turn)
        if not value:
            return None
        values[field] = with_particle(value, particle) if particle else value
    return values


_Everybody = Sequence[NamedCondition]
_Field = Callable[[NamedCondition, _Everybody, int], str | None]


def _chosen(words: Sequence[str], turn: int) -> str | None:
    return words[turn % len(words)] if words else None


def _name(one: NamedCondition, _: _Everybody, turn: int) -> str | None:
    return _chosen(one.names, turn)


def _wording(one: NamedCondition, _: _Everybody, turn: int) -> str | None:
    return _chosen((*one.wordings, *one.synonyms), turn)


def _typo(one: NamedCondition, _: _Everybody, turn: int) -> str | None:
    kind = KINDS[turn % len(KINDS)]
    found = [with_typo(name, kind, f"{name} {turn}") for name in one.names]
    return _chosen([name for name in found if name], turn // len(KINDS))


def _without_spaces(one: NamedCondition, _: _Everybody, turn: int) -> str | None:
    return _chosen([name.replace(" ", "") for name in one.names if " " in name], turn)


def _broken(one: NamedCondition, _: _Everybody, turn: int) -> str | None:
    name = one.names[turn % len(one.names)]
    return name.replace(" ", "\n", 1) if " " in name else None


def _others(one: NamedCondition, everybody: _Everybody, turn: int) -> list[str]:
    """Return names of three conditions that share no word with a condition."""
    own = _stems(one.title, *one.names, *one.synonyms, *one.wordings)
    able = [
        other
        for other in everybody
        if not other.code.startswith(one.found_as)
        and not own & _stems(*other.names)
        and other.title != one.title
    ]
    rng = random.Random(f"{one.code} {turn}")
    chosen = rng.sample(able, _OTHERS) if len(able) >= _OTHERS else able
    return [other.names[0] for other in chosen]


def _other(one: NamedCondition, everybody: _Everybody, turn: int) -> str | None:
    return next(iter(_others(one, everybody, turn)), None)


def _three(one: NamedCondition, everybody: _Everybody, turn: int) -> str | None:
    return ", ".join(_others(one, everybody, turn)) or None


def _first_upper(field: _Field) -> _Field:
    def upper(one: NamedCondition, everybody: _Everybody, turn: int) -> str | None:
        value = field(one, everybody, turn)
        return value and value[0].upper() + value[1:]

    return upper


def _all_upper(field: _Field) -> _Field:
    def upper(one: NamedCondition, everybody: _Everybody, turn: int) -> str | None:
        value = field(one, everybody, turn)
        return value and value.upper()

    return upper


_FIELDS: dict[str, _Field] = {
    "name": _name,
    "Name": _first_upper(_name),
    "NAME": _all_upper(_name),
    "synonym": lambda one, _, turn: _chosen(one.synonyms, turn),
    "wording": _wording,
    "abbreviation": lambda one, _, turn: _chosen(one.abbreviations, turn),
    "typo": _typo,
    "broken": _broken,
    "unspaced": _without_spaces,
    "other": _other,
    "Other": _first_upper(_other),
    "OTHER": _all_upper(_other),
    "others": _three,
}


@cache
def _stems(*names: str) -> frozenset[str]:
    """Return the beginnings of the words; of Korean words, each pair of syllables."""
    found = set()
    for word in re.findall(r"\w+", " ".join(names).lower()):
        if word.isascii() or not "가" <= word[0] <= "힣":
            if len(word) >= _SHORTEST_STEM:
                found.add(word[:_STEM])
        else:
            found.update(word[place : place + 2] for place in range(len(word) - 1))
    return frozenset(found)
