"""How a synthetic discharge summary is written: clinical prose in which a code has to be read, not just spotted.

Each thing that a patient has is told once or more, in wordings of its own, somewhere in the note; the discharge diagnoses
list only some. Between them stand mentions that must not count: findings denied or ruled out, diseases of relatives,
risks and precautions, illnesses long over. Dates, names and places carry the brackets of de-identified text.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import TypeVar

from icdcli.data.synthetic.conditions import BY_CODE, CONDITIONS, Condition, Place

T = TypeVar("T")

# Section -> how often a thing of this place is named there; one section at least always names it.
_NAMED_IN: dict[Place, dict[str, float]] = {
    "chronic": {"past": 0.75, "opening": 0.4, "course": 0.25, "diagnoses": 0.4},
    "status": {"past": 0.7, "opening": 0.35},
    "acute": {"course": 0.85, "diagnoses": 0.6, "presentation": 0.45},
    "procedure": {"procedures": 0.7, "course": 0.6},
    "smoking": {"social": 1.0},
    "alcohol": {"social": 1.0},
    "allergy": {"allergies": 1.0},
}
_HEADINGS = {
    "procedures": ("Major Surgical or Invasive Procedure", "PROCEDURES", "Procedures this admission"),
    "opening": ("History of Present Illness", "HISTORY OF PRESENT ILLNESS", "HPI", "REASON FOR ADMISSION"),
    "past": ("Past Medical History", "PAST MEDICAL HISTORY", "PMH", "PMHx"),
    "social": ("Social History", "SOCIAL HISTORY", "SH"),
    "family": ("Family History", "FAMILY HISTORY", "FHx"),
    "exam": ("Physical Exam", "PHYSICAL EXAMINATION", "Exam on admission"),
    "course": ("Brief Hospital Course", "HOSPITAL COURSE", "Hospital Course by Problem"),
    "medications": ("Discharge Medications", "MEDICATIONS", "Medications on Admission"),
    "diagnoses": ("Discharge Diagnosis", "DISCHARGE DIAGNOSES", "FINAL DIAGNOSIS"),
    "instructions": ("Discharge Instructions", "FOLLOW-UP", "Followup Instructions"),
}  # fmt: skip
_COURSE: dict[Place, tuple[str, ...]] = {
    "chronic": ("# {X}: home regimen was continued.", "{X} remained stable.", "For the {x}, medications were resumed.",
                "Management was limited by {x}."),
    "acute": ("# {X}: treated with improvement.", "The course was complicated by {x}.", "{He} was found to have {x}.",
              "{X} was managed with consult input.", "{X} developed on hospital day {n}, resolving slowly.",
              "Work-up was notable for {x}."),
    "procedure": ("{He} underwent {x} on [**{date}**].", "{X} was done without complication.", "{He} was taken for {x}.",
                  "{He} required {x}."),
}  # fmt: skip
_NEGATED = (
    "no evidence of {x}", "{He} denies any history of {x}", "work-up was negative for {x}", "{X} was ruled out",
    "there was no sign of {x}", "low suspicion for {x}", "imaging showed no {x}", "{X} was considered but thought unlikely",
    "presentation not consistent with {x}",
)  # fmt: skip
_NEGATED_PROCEDURE = (
    "{He} did not require {x}",
    "{X} was considered but deferred",
    "{He} declined {x}",
    "no indication for {x}",
)
_FAMILY = (
    "Father with {x}.",
    "Mother had {x}.",
    "Brother with {x}.",
    "Sister has {x}.",
    "Strong family history of {x}.",
)
_HYPOTHETICAL = ("Monitor for {x}.", "Counselled on the risk of {x}.", "Outpatient evaluation for {x} was suggested.",
                 "Watch for signs of {x}.")  # fmt: skip
_RESOLVED = ("{X} during a prior stay, since resolved.", "Remote episode of {x}, no longer active.")
_DENIED_SYMPTOMS = ("chest pain", "shortness of breath", "fevers", "chills", "nausea", "vomiting", "dysuria", "headache",
                    "palpitations", "abdominal pain", "bloody stools", "cough")  # fmt: skip
_SYMPTOMS = (
    "weakness",
    "fatigue",
    "dizziness",
    "malaise",
    "abdominal discomfort",
    "poor oral intake",
    "an elective admission",
)
_OTHER_DRUGS = ("docusate 100 mg BID", "senna 8.6 mg BID prn", "acetaminophen 650 mg q6h prn", "multivitamin daily",
                "zolpidem 5 mg qhs prn", "metoprolol 25 mg BID", "aspirin 81 mg daily",
                "potassium chloride 20 mEq daily")  # fmt: skip
_CARE = ("Physical therapy evaluated the patient and cleared for discharge.", "Diet was advanced as tolerated.",
         "Electrolytes were repleted as needed.", "Social work met with the family.", "Vital signs remained stable overnight.",
         "Pain was controlled with acetaminophen.", "Transferred to the floor on hospital day {n}.",
         "Nutrition was consulted and made recommendations.", "Home medications were reviewed with the pharmacy.",
         "The foley was removed and {he} voided.", "Subcutaneous heparin was given throughout the stay.",
         "Discussed with Dr. [**Last Name (STitle) {n}**] by phone.")  # fmt: skip
_INSTRUCTIONS = ("Return for fever, chest pain or shortness of breath.", "Please weigh yourself every morning.",
                 "Call your doctor if you have bleeding or confusion.", "Take all medications as prescribed.",
                 "Follow up with Dr. [**Last Name (STitle) {n}**] in 2 weeks.")  # fmt: skip
_NEVER_SMOKED = ("Never smoked.", "Denies tobacco use.", "No smoking history.")
_HOME = ("Lives with family.", "Lives alone.", "Retired.", "Lives at [**Hospital3 {n}**].")
_NO_ALCOHOL = ("Denies alcohol.", "Rare alcohol use.", "Drinks wine socially.", "No ETOH.")


@dataclass
class Note:
    """A note and what its mentions are worth.

    Attributes:
        text: The discharge summary.
        counting: Mentions of something the admission is coded with.
        not_counting: Mentions of something it is not coded with: denied, of a relative, feared or over.
    """

    text: str = ""
    counting: int = 0
    not_counting: int = 0


@dataclass
class _Draft:
    """The sentences and list items of a note in the making, by section."""

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
        """A day of the stay, in the form that de-identification gives it."""
        day = self.stay[0] + timedelta(
            days=between(self.rng, 0, (self.stay[1] - self.stay[0]).days)
        )
        return f"{day.year}-{day.month}-{day.day}"


def write_note(
    rng: Random,
    diagnoses: Sequence[str],
    procedures: Sequence[str],
    titles: Mapping[tuple[str, str], str],
    sex: str = "",
    stay: tuple[date, date] | None = None,
) -> str:
    """Writes a discharge summary for any ICD-9-CM codes.

    Args:
        rng: The source of chance; only its `random` method is used, whose sequence Python promises.
        diagnoses: Dotted diagnosis codes.
        procedures: Dotted procedure codes.
        titles: (dotted code, kind) to official title, from which codes without wordings of their own are told; a code
            in neither is not told at all.
        sex: ``F`` or ``M``; drawn where empty.
        stay: The days of admission and discharge; drawn where None.

    Returns:
        The note's text, of 150 to 350 words for a usual number of codes.
    """
    return compose_note(rng, diagnoses, procedures, titles, sex, stay).text


def compose_note(
    rng: Random,
    diagnoses: Sequence[str],
    procedures: Sequence[str],
    titles: Mapping[tuple[str, str], str],
    sex: str = "",
    stay: tuple[date, date] | None = None,
) -> Note:
    """Does what `write_note` does and counts the mentions; see there for the arguments."""
    coded = [(code, "diagnosis") for code in diagnoses] + [
        (code, "procedure") for code in procedures
    ]
    found = [_told(rng, code, kind, titles) for code, kind in coded]
    present = [condition for condition in found if condition]
    sex = sex or next((condition.sex for condition in present if condition.sex), pick(rng, "FM"))
    begin = date(between(rng, 2110, 2190), between(rng, 1, 12), between(rng, 1, 28))
    draft = _Draft(
        rng,
        "she" if sex == "F" else "he",
        stay or (begin, begin + timedelta(days=between(rng, 2, 14))),
    )
    note = Note(counting=sum(_tell(draft, condition) for condition in present))
    _tell_habits(draft, present)
    note.not_counting = _tell_what_does_not_count(draft, {code for code, _ in coded})
    note.text = _assemble(draft, present, sex)
    return note


def reworded(title: str) -> str:
    """Turns an official title into something a physician might write.

    Args:
        title: E.g. ``Pressure ulcer, lower back`` or ``Anemia, unspecified``.

    Returns:
        Lower case, a short qualifier after a comma put first, filler such as "unspecified" dropped: ``lower back
        pressure ulcer``, ``anemia``.
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


def pick(rng: Random, choices: Sequence[T]) -> T:
    """Draws one of the choices; unlike `Random.choice`, the same in every Python version."""
    return choices[int(rng.random() * len(choices))]


def between(rng: Random, low: int, high: int) -> int:
    """Draws an integer from low to high, both included."""
    return low + int(rng.random() * (high - low + 1))


def shuffled(rng: Random, items: Sequence[T]) -> list[T]:
    """Gives the items in random order."""
    return [
        item
        for _, item in sorted(((rng.random(), item) for item in items), key=lambda pair: pair[0])
    ]


def _told(
    rng: Random, code: str, kind: str, titles: Mapping[tuple[str, str], str]
) -> Condition | None:
    """Finds how to tell a code: by its own wordings, or by its title."""
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


def _tell(draft: _Draft, condition: Condition) -> int:
    """Names one thing in the sections where it belongs; gives the number of mentions."""
    rng, chances = draft.rng, _NAMED_IN[condition.place]
    told = 0
    if condition.drugs and rng.random() < 0.75:
        draft.add("medications", pick(rng, condition.drugs))
        told += 1
    if condition.findings and rng.random() < 0.4:
        draft.add("course", pick(rng, condition.findings))
        told += 1
    sections = [section for section, chance in chances.items() if rng.random() < chance]
    # Now and then the treatment alone tells of it, as in real notes.
    if not sections and (not told or rng.random() < 0.6):
        sections = [next(iter(chances))]
    for section in sections:
        template = pick(rng, _COURSE[condition.place]) if section == "course" else "{x}"
        draft.add(section, draft.fill(template, pick(rng, condition.names)))
    return told + len(sections)


def _tell_habits(draft: _Draft, present: Collection[Condition]) -> None:
    places = {condition.place for condition in present}
    if "smoking" not in places:
        draft.add("social", pick(draft.rng, _NEVER_SMOKED))
    if "alcohol" not in places:
        draft.add("social", pick(draft.rng, _NO_ALCOHOL))
    draft.add("social", draft.fill(pick(draft.rng, _HOME)))


def _tell_what_does_not_count(draft: _Draft, codes: Collection[str]) -> int:
    """Adds mentions of things that the patient does not have; gives their number."""
    rng = draft.rng
    absent = [condition for condition in _DENIABLE if not _contradicts(condition, codes)]
    mentions = between(rng, 3, 6)
    for _ in range(mentions):
        condition = _pick_by_rate(rng, absent)
        name = pick(rng, condition.names)
        way = rng.random()
        if condition.place == "procedure":
            draft.add("course", sentence(draft.fill(pick(rng, _NEGATED_PROCEDURE), name)))
        elif way < 0.6:
            section = pick(rng, ("denials", "course"))
            draft.add(section, sentence(draft.fill(pick(rng, _NEGATED), name)))
        elif way < 0.8 and condition.place == "chronic":
            draft.add("family", draft.fill(pick(rng, _FAMILY), name))
        elif way < 0.9:
            draft.add("instructions", draft.fill(pick(rng, _HYPOTHETICAL), name))
        else:
            draft.add("past_resolved", draft.fill(pick(rng, _RESOLVED), name))
    return mentions


def _contradicts(absent: Condition, codes: Collection[str]) -> bool:
    """Says whether denying one thing would deny another that the patient has: the same category, or a part of it."""
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
    """Draws a condition, common ones more often, though less so than patients have them."""
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
        pick(rng, _SYMPTOMS),
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
            [*sections.get("instructions", []), draft.fill(pick(rng, _INSTRUCTIONS))]
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
        f"Sex: {sex}    Service: {pick(rng, ('MEDICINE', 'MICU', 'CARDIOTHORACIC', 'SURGERY', 'NEUROLOGY'))}",
        f"Allergies: {allergies}",
        f"Attending: [**First Name (NamePattern1) {between(rng, 10, 999)}**]",
    ]
    blocks = [
        f"{pick(rng, _HEADINGS[name])}:\n{body[name]}"
        for name in [*first, *middle, *last, "instructions"]
    ]
    return "\n\n".join(["\n".join(head), *blocks]) + "\n"


def _opening(draft: _Draft, complaint: str, age: int, sex: str) -> str:
    rng, sections = draft.rng, draft.sections
    noun = pick(rng, ("woman", "female", "F")) if sex == "F" else pick(rng, ("man", "male", "M"))
    text = f"{age} {pick(rng, ('year old', 'yo', 'y/o'))} {noun}"
    if history := sections.get("opening"):
        text += f" {pick(rng, ('with', 'with a history of', 'w/ PMH of', 'with h/o'))} {_joined(shuffled(rng, history))}"
    text += f" {pick(rng, ('who presents with', 'admitted with', 'transferred from [**Hospital1 18**] for'))} {complaint}."
    if found := sections.get("presentation"):
        text += f" {pick(rng, ('In the ED found to have', 'Initial evaluation showed', 'Diagnosed with'))} {_joined(found)}."
    denied = _joined(shuffled(rng, _DENIED_SYMPTOMS)[: between(rng, 1, 3)], "or")
    denials = [
        *sections.get("denials", []),
        f"{pick(rng, ('Denies', 'ROS negative for', 'No'))} {denied}.",
    ]
    return " ".join([text, *shuffled(rng, denials)])


def _care(draft: _Draft) -> list[str]:
    return [draft.fill(text) for text in shuffled(draft.rng, _CARE)[: between(draft.rng, 1, 3)]]


def _medications(draft: _Draft) -> list[str]:
    others = shuffled(draft.rng, _OTHER_DRUGS)[: between(draft.rng, 1, 3)]
    return draft.sections.get("medications", []) + others


def _exam(rng: Random) -> str:
    vitals = f"T {between(rng, 960, 1005) / 10} HR {between(rng, 58, 118)} BP {between(rng, 92, 168)}/{between(rng, 48, 92)}"
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
    """Gives the text a capital letter first and a full stop last."""
    return text[:1].upper() + text[1:].removesuffix(".") + "."


# Not what has wordings that can't be denied ("slipped and fell"), nor what is said only of another condition.
_DENIABLE = tuple(
    condition
    for condition in CONDITIONS
    if condition.place in ("chronic", "acute", "procedure")
    and not condition.needs
    and condition.code[0] not in "EV"
)
