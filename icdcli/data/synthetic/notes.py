"""Writing synthetic discharge summaries: prose in which a code must be read, not only spotted.

Each condition of a patient is mentioned once or more, in varying wordings, anywhere in the note;
the discharge diagnoses list only some. Other mentions must not count: findings that are denied or
ruled out, diseases of relatives, risks and precautions, resolved illnesses. Dates, names and places
have the brackets of de-identified text.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

from icdcli.data.synthetic import wording
from icdcli.data.synthetic.chance import between, pick, shuffled
from icdcli.data.synthetic.conditions import BY_CODE, CONDITIONS, Condition, Place


@dataclass
class SyntheticNote:
    """A discharge summary and its numbers of mentions.

    Attributes:
        text: The discharge summary.
        counting: Mentions of conditions that the admission is coded with.
        not_counting: Mentions of conditions that it isn't coded with: denied, of a relative,
            possible or resolved.
    """

    text: str = ""
    counting: int = 0
    not_counting: int = 0


@dataclass
class _Draft:
    """The sentences and list items of an unfinished note, by section."""

    rng: Random
    he: str
    stay: tuple[date, date]
    sections: dict[str, list[str]] = field(default_factory=dict)

    def add(self, section: str, text: str) -> None:
        self.sections.setdefault(section, []).append(text)

    def fill(self, template: str, name: str = "") -> str:
        name = name.replace("{year}", str(self.stay[0].year - between(self.rng, 1, 12)))
        values = {
            "x": name,
            "X": name[:1].upper() + name[1:],
            "he": self.he,
            "He": self.he.capitalize(),
        }
        return template.format(n=between(self.rng, 2, 9), date=self.date(), **values)

    def date(self) -> str:
        """Return a day of the stay, written as in de-identified text."""
        day = self.stay[0] + timedelta(
            days=between(self.rng, 0, (self.stay[1] - self.stay[0]).days)
        )
        return f"{day.year}-{day.month}-{day.day}"


def compose_note(
    rng: Random,
    diagnoses: Sequence[str],
    procedures: Sequence[str],
    titles: Mapping[tuple[str, str], str],
    sex: str = "",
    stay: tuple[date, date] | None = None,
) -> SyntheticNote:
    """Write a discharge summary for any ICD-9-CM codes.

    Args:
        rng: The random generator; only its `random` method is used, whose sequence Python
            guarantees.
        diagnoses: Dotted diagnosis codes.
        procedures: Dotted procedure codes.
        titles: (dotted code, kind) to official title, for codes without their own wordings. A code
            without both isn't mentioned.
        sex: ``F`` or ``M``; drawn if empty.
        stay: The days of admission and discharge; drawn if None.

    Returns:
        The note, of 150 to 350 words for a usual number of codes, and its numbers of mentions.
    """
    coded = [(code, "diagnosis") for code in diagnoses] + [
        (code, "procedure") for code in procedures
    ]
    found = [_condition_of(rng, code, kind, titles) for code, kind in coded]
    present = [condition for condition in found if condition]
    sex = sex or next((condition.sex for condition in present if condition.sex), pick(rng, "FM"))
    begin = date(between(rng, 2110, 2190), between(rng, 1, 12), between(rng, 1, 28))
    draft = _Draft(
        rng,
        "she" if sex == "F" else "he",
        stay or (begin, begin + timedelta(days=between(rng, 2, 14))),
    )
    note = SyntheticNote(counting=sum(_mention(draft, condition) for condition in present))
    _mention_habits(draft, present)
    note.not_counting = _mention_absent_conditions(draft, {code for code, _ in coded})
    note.text = _assemble(draft, present, sex)
    return note


def reworded(title: str) -> str:
    """Turn an official title into words that a physician might write.

    Args:
        title: E.g. ``Pressure ulcer, lower back`` or ``Anemia, unspecified``.

    Returns:
        The title in lower case, with a short qualifier moved from after the comma to the front, and
        without fillers such as "unspecified": ``lower back pressure ulcer``, ``anemia``.
    """
    text = re.sub(r"\s*[(\[][^)\]]*[)\]]", "", title.lower())
    text = re.sub(
        r",? (?:not elsewhere classified|not otherwise specified|site not specified)", "", text
    )
    text = re.sub(r"(?:, )?\b(?:other and )?unspecified\b ?", "", text).strip(" ,") or title.lower()
    head, comma, tail = text.partition(", ")
    turned = (
        comma
        and "," not in tail
        and len(tail.split()) <= 3
        and not tail.startswith(("with", "not ", "due ", "or "))
    )
    return f"{tail} {head}" if turned else text


def _condition_of(
    rng: Random, code: str, kind: str, titles: Mapping[tuple[str, str], str]
) -> Condition | None:
    """Return the condition of a code: from the table, or with a wording made of its title."""
    if condition := BY_CODE.get((code, kind)):
        return condition
    if not (title := titles.get((code, kind))):
        return None
    place: Place = (
        "procedure"
        if kind == "procedure"
        else "status"
        if code[0] == "V"
        else pick(rng, ("acute", "chronic"))
    )
    return Condition(code, place, 0.0, (reworded(title),))


def _mention(draft: _Draft, condition: Condition) -> int:
    """Add a condition to its sections, and return the number of mentions."""
    rng, chances = draft.rng, wording.NAMED_IN[condition.place]
    mentions = 0
    if condition.drugs and rng.random() < 0.75:
        draft.add("medications", pick(rng, condition.drugs))
        mentions += 1
    if condition.findings and rng.random() < 0.4:
        draft.add("course", pick(rng, condition.findings))
        mentions += 1
    sections = [section for section, chance in chances.items() if rng.random() < chance]
    # Sometimes only the treatment shows it, as in real notes.
    if not sections and (not mentions or rng.random() < 0.6):
        sections = [next(iter(chances))]
    for section in sections:
        template = pick(rng, wording.COURSE[condition.place]) if section == "course" else "{x}"
        draft.add(section, draft.fill(template, pick(rng, condition.names)))
    return mentions + len(sections)


def _mention_habits(draft: _Draft, present: Collection[Condition]) -> None:
    places = {condition.place for condition in present}
    if "smoking" not in places:
        draft.add("social", pick(draft.rng, wording.NEVER_SMOKED))
    if "alcohol" not in places:
        draft.add("social", pick(draft.rng, wording.NO_ALCOHOL))
    draft.add("social", draft.fill(pick(draft.rng, wording.HOME)))


def _mention_absent_conditions(draft: _Draft, codes: Collection[str]) -> int:
    """Add conditions that the patient doesn't have, and return the number of mentions."""
    rng = draft.rng
    absent = [condition for condition in _DENIABLE if not _contradicts(condition, codes)]
    mentions = between(rng, 3, 6)
    for _ in range(mentions):
        condition = _pick_by_rate(rng, absent)
        name = pick(rng, condition.names)
        way = rng.random()
        if condition.place == "procedure":
            draft.add("course", sentence(draft.fill(pick(rng, wording.NEGATED_PROCEDURE), name)))
        elif way < 0.6:
            section = pick(rng, ("denials", "course"))
            draft.add(section, sentence(draft.fill(pick(rng, wording.NEGATED), name)))
        elif way < 0.8 and condition.place == "chronic":
            draft.add("family", draft.fill(pick(rng, wording.FAMILY), name))
        elif way < 0.9:
            draft.add("instructions", draft.fill(pick(rng, wording.HYPOTHETICAL), name))
        else:
            draft.add("past_resolved", draft.fill(pick(rng, wording.RESOLVED), name))
    return mentions


def _contradicts(absent: Condition, codes: Collection[str]) -> bool:
    """Return whether denying a condition would deny another one that the patient has."""
    if any(code.partition(".")[0] == absent.code.partition(".")[0] for code in codes):
        return True
    coded = [
        BY_CODE[code, kind]
        for code in codes
        for kind in ("diagnosis", "procedure")
        if (code, kind) in BY_CODE
    ]
    return any(
        absent.code in condition.replaces + condition.needs or condition.code in absent.replaces
        for condition in coded
    )


def _pick_by_rate(rng: Random, conditions: Sequence[Condition]) -> Condition:
    """Draw a condition; common ones more often, but less than in proportion."""
    threshold = rng.random() * sum(condition.rate**0.5 for condition in conditions)
    for condition in conditions:
        threshold -= condition.rate**0.5
        if threshold < 0:
            return condition
    return conditions[-1]


def _assemble(draft: _Draft, present: Sequence[Condition], sex: str) -> str:
    rng, sections = draft.rng, draft.sections
    complaint = next(
        (condition.symptom for condition in reversed(present) if condition.symptom),
        pick(rng, wording.SYMPTOMS),
    )
    age = between(rng, 38, 88)
    admitted, discharged = (f"{day.year}-{day.month}-{day.day}" for day in draft.stay)
    body: dict[str, str] = {
        "procedures": _listed(rng, shuffled(rng, sections.get("procedures", ["None"]))),
        "opening": _opening(draft, complaint, age, sex),
        "past": _listed(
            rng,
            shuffled(rng, sections.get("past", []) + sections.get("past_resolved", [])) or ["None"],
        ),
        "social": " ".join(
            sentence(text[:1].upper() + text[1:]) for text in shuffled(rng, sections["social"])
        ),
        "family": " ".join(sections.get("family", ["Non-contributory."])),
        "exam": _exam(rng),
        "course": " ".join(shuffled(rng, sections.get("course", []) + _care(draft))),
        "medications": _listed(rng, shuffled(rng, [*dict.fromkeys(_medications(draft))])),
        "diagnoses": _listed(rng, shuffled(rng, sections.get("diagnoses", [complaint]))),
        "instructions": " ".join(
            [*sections.get("instructions", []), draft.fill(pick(rng, wording.INSTRUCTIONS))]
        ),
    }
    first = shuffled(rng, ("procedures", "opening"))
    middle = shuffled(rng, ("past", "social", "family", "exam"))
    last = shuffled(rng, ("course", "medications", "diagnoses"))
    allergies = ", ".join(sections.get("allergies", [])) or pick(
        rng, ("No Known Drug Allergies", "NKDA")
    )
    head = [
        f"Admission Date:  [**{admitted}**]       Discharge Date:  [**{discharged}**]",
        f"Sex: {sex}    Service: {pick(rng, wording.SERVICES)}",
        f"Allergies: {allergies}",
        f"Attending: [**First Name (NamePattern1) {between(rng, 10, 999)}**]",
    ]
    blocks = [
        f"{pick(rng, wording.HEADINGS[name])}:\n{body[name]}"
        for name in [*first, *middle, *last, "instructions"]
    ]
    return "\n\n".join(["\n".join(head), *blocks]) + "\n"


def _opening(draft: _Draft, complaint: str, age: int, sex: str) -> str:
    rng, sections = draft.rng, draft.sections
    noun = pick(rng, ("woman", "female", "F")) if sex == "F" else pick(rng, ("man", "male", "M"))
    text = f"{age} {pick(rng, ('year old', 'yo', 'y/o'))} {noun}"
    if history := sections.get("opening"):
        text += f" {pick(rng, wording.WITH)} {_joined(shuffled(rng, history))}"
    text += f" {pick(rng, wording.PRESENTS_WITH)} {complaint}."
    if found := sections.get("presentation"):
        text += f" {pick(rng, wording.FOUND_TO_HAVE)} {_joined(found)}."
    denied = _joined(shuffled(rng, wording.DENIED_SYMPTOMS)[: between(rng, 1, 3)], "or")
    denials = [
        *sections.get("denials", []),
        f"{pick(rng, ('Denies', 'ROS negative for', 'No'))} {denied}.",
    ]
    return " ".join([text, *shuffled(rng, denials)])


def _care(draft: _Draft) -> list[str]:
    return [
        draft.fill(text) for text in shuffled(draft.rng, wording.CARE)[: between(draft.rng, 1, 3)]
    ]


def _medications(draft: _Draft) -> list[str]:
    others = shuffled(draft.rng, wording.OTHER_DRUGS)[: between(draft.rng, 1, 3)]
    return draft.sections.get("medications", []) + others


def _exam(rng: Random) -> str:
    vitals = f"T {between(rng, 960, 1005) / 10} HR {between(rng, 58, 118)}"
    vitals += f" BP {between(rng, 92, 168)}/{between(rng, 48, 92)}"
    finding = pick(rng, ("RRR.", "Lungs clear.", "Abdomen soft.", "No edema.", "Alert.", "NAD."))
    laboratory = (
        f"WBC-{between(rng, 40, 160) / 10} Hct-{between(rng, 24, 44)} Na-{between(rng, 132, 145)}"
    )
    return f"{vitals}. {finding} {laboratory}"


def _joined(items: Sequence[str], last: str = "and") -> str:
    return ", ".join(items[:-1]) + f" {last} {items[-1]}" if len(items) > 1 else items[0]


def _listed(rng: Random, items: Sequence[str]) -> str:
    style = rng.random()
    if style < 0.4:
        return "\n".join(f"{number}. {item}" for number, item in enumerate(items, 1))
    return "\n".join(f"- {item}" for item in items) if style < 0.7 else ", ".join(items)


def sentence(text: str) -> str:
    """Return the text with a capital letter at the start and a full stop at the end."""
    return text[:1].upper() + text[1:].removesuffix(".") + "."


# Without conditions whose wordings can't be denied ("slipped and fell") or that need another
# condition.
_DENIABLE = tuple(
    condition
    for condition in CONDITIONS
    if condition.place in ("chronic", "acute", "procedure")
    and not condition.needs
    and condition.code[0] not in "EV"
)
