"""Made-up hospital stays: patients with their codes and notes, before they become tables."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from icdcli.data.synthetic import wording
from icdcli.data.synthetic.chance import between, pick
from icdcli.data.synthetic.conditions import CARRIED_PLACES, Condition, sample_conditions
from icdcli.data.synthetic.notes import SyntheticNote, compose_note, sentence
from icdcli.data.synthetic.tables import Cell
from icdcli.errors import ConfigError
from icdcli.icd.codes import KINDS
from icdcli.icd.titles import titles

Titles = Mapping[tuple[str, str], str]
"""(code, kind) to the official title."""

FEWEST_ADMISSIONS = 20
DISCHARGE_SUMMARY = "Discharge summary"
"""The category of summaries and their addenda."""


@dataclass
class Stay:
    """One row of ADMISSIONS, with its codes and its note."""

    subject_id: int
    hadm_id: int
    sex: str
    admitted: date
    discharged: date
    codes: Mapping[str, list[str]]
    note: SyntheticNote | None = None


def packaged_titles() -> Titles:
    """Return the titles of ICD-9-CM."""
    return {(code, kind): title for kind in KINDS for code, title in titles("icd9", kind).items()}


def require_enough(admissions: int) -> None:
    """Raise an error if there are too few admissions for patients, codes and splits.

    Raises:
        ConfigError: There are fewer than 20.
    """
    if admissions < FEWEST_ADMISSIONS:
        raise ConfigError(
            f"admissions is {admissions}, but synthetic data needs at least {FEWEST_ADMISSIONS}."
        )


def make_stays(
    rng: Random,
    admissions: int,
    names: Titles,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Stay]:
    """Return stays with codes; all but a few have a note.

    Args:
        rng: The random generator.
        admissions: The number of stays.
        names: The titles that notes name conditions by.
        on_progress: Called from time to time with the stays made and their total.
    """
    stays = []
    for stay in _draw(rng, admissions):
        if rng.random() >= 0.02:
            stay.note = note_for(rng, stay, names)
        stays.append(stay)
        if on_progress and (len(stays) % 50 == 0 or len(stays) == admissions):
            on_progress(len(stays), admissions)
    return stays


def _draw(rng: Random, admissions: int) -> Iterator[Stay]:
    """Draw patients with one to three admissions each; chronic conditions stay with the patient."""
    hadm_id, subject_id, left = 100000, 1, admissions
    while left:
        subject_id += between(rng, 1, 4)
        sex = pick(rng, "FM")
        begin = date(between(rng, 2105, 2185), 1, 1) + timedelta(days=between(rng, 0, 360))
        carried: list[Condition] = []
        for _ in range(min(left, pick(rng, (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3)))):
            hadm_id += between(rng, 1, 9)
            end = begin + timedelta(days=between(rng, 1, 16))
            conditions = sample_conditions(rng, sex, carried) if rng.random() >= 0.02 else []
            codes: dict[str, list[str]] = {
                kind: [item.code for item in reversed(conditions) if item.kind == kind]
                for kind in KINDS
            }
            yield Stay(subject_id, hadm_id, sex, begin, end, codes)
            carried = [condition for condition in conditions if condition.place in CARRIED_PLACES]
            begin = end + timedelta(days=between(rng, 10, 700))
            left -= 1


def note_for(rng: Random, stay: Stay, names: Titles) -> SyntheticNote:
    """Return a discharge summary that has the reasons for a stay's codes."""
    dates = (stay.admitted, stay.discharged)
    return compose_note(
        rng, stay.codes["diagnosis"], stay.codes["procedure"], names, stay.sex, dates
    )


def summary_rows(rng: Random, stays: Sequence[Stay]) -> Iterator[tuple[Cell, ...]]:
    """Yield the discharge summaries, mixed with other notes, as rows of NOTEEVENTS."""
    for stay in stays:
        if stay.note:
            who = (stay.subject_id, stay.hadm_id, str(stay.discharged))
            yield (*who, None, None, DISCHARGE_SUMMARY, "Report", None, None, stay.note.text)
        for category, description, text in wording.OTHER_NOTES:
            if rng.random() < 0.3:
                # An outpatient's note has no admission.
                hadm_id = stay.hadm_id if rng.random() < 0.8 else None
                when = (
                    str(stay.admitted),
                    f"{stay.admitted} 21:04:00",
                    f"{stay.admitted} 23:10:00",
                )
                caregiver, error = between(rng, 14000, 21000), "1" if rng.random() < 0.02 else None
                yield (
                    stay.subject_id,
                    hadm_id,
                    *when,
                    category,
                    description,
                    caregiver,
                    error,
                    text,
                )


def addendum_rows(rng: Random, stays: Sequence[Stay]) -> Iterator[tuple[Cell, ...]]:
    """Yield the addenda of some summaries, as rows of NOTEEVENTS."""
    for stay in stays:
        if stay.note and rng.random() < 0.06:
            text = "\n".join(
                (
                    f"Admission Date:  [**{stay.admitted}**]       "
                    f"Discharge Date:  [**{stay.discharged}**]",
                    "\nADDENDUM:",
                    sentence(f"the patient was seen by {pick(rng, wording.SEEN_BY)}"),
                    'The final plan was "as dictated", with follow-up at [**Hospital1 18**].\n',
                )
            )
            who = (stay.subject_id, stay.hadm_id, str(stay.discharged))
            yield (*who, None, None, DISCHARGE_SUMMARY, "Addendum", None, None, text)
