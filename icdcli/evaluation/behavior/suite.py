"""The notes of a behavioral test, made for a model's label space.

The conditions are the labels with most training documents that the clinical lexicon has synonyms
for. A note's fields are: ``name``, the first synonym; ``synonym``, another one; ``abbreviation``,
one with this code as its usual sense; ``typo``, the name with two letters of its longest word
exchanged; ``other`` and ``others``, conditions of other categories.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import Formatter

from icdcli.data.corpus.reader import Labels
from icdcli.evaluation.behavior.templates import Capability, Expectation, base_template
from icdcli.icd.codes import System
from icdcli.icd.lexicon.abbreviations import abbreviations
from icdcli.icd.lexicon.synonyms import synonyms_of

_LETTERS_OF_A_TYPO = 7
_LONGEST_NAME = 4
_SEED = 0


@dataclass(frozen=True)
class NamedCondition:
    """A label, and what notes call it.

    Attributes:
        code: The code.
        name: Its usual name.
        synonyms: Other names.
        abbreviation: An abbreviation; None: it has none.
    """

    code: str
    name: str
    synonyms: tuple[str, ...]
    abbreviation: str | None


@dataclass(frozen=True)
class BehaviorNote:
    """A note of a test.

    Attributes:
        capability: The name of the capability.
        expect: What must happen to the condition's code.
        code: The condition's code.
        text: The note.
        base: The note whose codes must be the same, if `expect` is ``unchanged``; else None.
    """

    capability: str
    expect: Expectation
    code: str
    text: str
    base: str | None = None


def conditions_of(
    labels: Labels, system: System | None, language: str, most: int
) -> list[NamedCondition]:
    """Return the conditions to test, those with most training documents first.

    Args:
        labels: The model's label space.
        system: Its coding system; None: unknown, so that there are none.
        language: The language of the notes.
        most: The largest number of conditions.
    """
    short: dict[str, str] = {}
    for written, senses in abbreviations(language).items():
        if senses[0].code:
            short.setdefault(senses[0].code, written)
    found = []
    for label in sorted(range(len(labels)), key=lambda label: -labels.train_counts[label]):
        code, kind = labels.codes[label], labels.kinds[label]
        if system is None or not labels.train_counts[label]:
            break
        names = [
            name
            for name in synonyms_of(code, kind, system, language)
            if len(name.split()) <= _LONGEST_NAME
        ]
        if names:
            abbreviation = short.get(code) if system == "icd10" else None
            found.append(NamedCondition(code, names[0], tuple(names[1:]), abbreviation))
        if len(found) == most:
            break
    return found


def make_notes(
    conditions: Sequence[NamedCondition], capabilities: Sequence[Capability]
) -> Iterator[BehaviorNote]:
    """Yield a note for each template and condition that has what the template needs."""
    base = base_template(list(capabilities))
    for capability in capabilities:
        for template in capability.templates:
            for place, condition in enumerate(conditions):
                fields = _fields(conditions, place)
                wanted = {field for _, field, _, _ in Formatter().parse(template) if field}
                if any(fields.get(field) is None for field in wanted):
                    continue
                unchanged = capability.expect == "unchanged"
                yield BehaviorNote(
                    capability.name,
                    capability.expect,
                    condition.code,
                    template.format(**fields),
                    base.format(**fields) if unchanged else None,
                )


def _fields(conditions: Sequence[NamedCondition], place: int) -> dict[str, str | None]:
    condition = conditions[place]
    rng = random.Random(f"{_SEED} {condition.code}")
    elsewhere = [one for one in conditions if one.code[:3] != condition.code[:3]]
    others = rng.sample(elsewhere, min(3, len(elsewhere)))
    name = condition.name
    return {
        "name": name,
        "Name": name[:1].upper() + name[1:],
        "NAME": name.upper(),
        "synonym": rng.choice(condition.synonyms) if condition.synonyms else None,
        "abbreviation": condition.abbreviation,
        "typo": _with_typo(name, rng),
        "other": others[0].name if others else None,
        "others": ", ".join(one.name for one in others) if others else None,
    }


def _with_typo(name: str, rng: random.Random) -> str | None:
    """Return a name with two neighboring letters of its longest word exchanged."""
    longest = max(name.split(), key=len)
    if len(longest) < _LETTERS_OF_A_TYPO:
        return None
    places = [place for place in range(1, len(longest) - 2) if longest[place] != longest[place + 1]]
    if not places:
        return None
    place = rng.choice(places)
    wrong = longest[:place] + longest[place + 1] + longest[place] + longest[place + 2 :]
    return name.replace(longest, wrong, 1)
