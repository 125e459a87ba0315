"""The checks of a reading's codes, quick enough to be repeated at each decision.

The codes are checked as `icdcode check` does, by the editions of the suggestions, or by those that
were valid on the day of the discharge. Codes that reviewers added needn't be in the label space.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from icdcli.errors import ConfigError
from icdcli.icd.codes import KINDS, Kind
from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.edition import Edition
from icdcli.icd.editions.records import Editions, edition_ids
from icdcli.icd.rules.encounters import DatedChecks
from icdcli.icd.rules.findings import CodeSet, Severity, Span
from icdcli.review.state import ReviewState
from icdcli.review.suggestions import SuggestionSet

POA_KIND = "present on admission"
"""The kind of the finding that some diagnoses lack what others have."""
_AFFIRMED = (None, "affirmed", "historical")


@dataclass(frozen=True)
class ReviewFinding:
    """What a check found in the codes of a reading.

    Attributes:
        key: Its name in the reading, which stays the same while its codes and its kind do; an
            ``override`` passes the finding with this key.
        kind: The kind of the check, see `icdcli.icd.rules.findings.CheckKind`, or `POA_KIND`.
        severity: ``hard`` or ``soft``.
        codes: The codes concerned, the one to change first.
        words: The official words, or a statement of what is wrong.
        advice: What to do.
    """

    key: str
    kind: str
    severity: Severity
    codes: tuple[str, ...]
    words: str
    advice: str

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "codes": list(self.codes)}


def findings_of(
    state: ReviewState, shown: SuggestionSet | None, day: date | None = None
) -> list[ReviewFinding]:
    """Return what is wrong with the codes of a reading, hard findings first.

    The order of the codes, and with it the principal diagnosis, is checked once the reviewer has
    set an order. Codes are related by the words that reviewers marked, else by those that were
    suggested.

    Args:
        state: The state of the reading.
        shown: The suggestions that it is made on, whose editions are used; None: there are none,
            and nothing is checked.
        day: The day of the discharge; None: unknown.
    """
    codes = state.codes
    if shown is None or not shown.editions or not codes:
        return []
    checks = _checks(_key_of(shown.editions)).on(day)
    ordered = bool(state.order)
    encounter = CodeSet(codes, ordered, _evidence(state, shown))
    found = [
        (one.kind, one.severity, one.codes, one.words, one.advice)
        for one in checks.check_set(encounter)
    ]
    seen: Counter[str] = Counter()
    findings = []
    for kind, severity, own, words, advice in [*found, *_poa(state, checks.diagnoses(codes))]:
        key = f"{kind}: {' '.join(own)}"
        seen[key] += 1
        if seen[key] > 1:
            key += f" #{seen[key]}"
        findings.append(ReviewFinding(key, kind, severity, own, words, advice))
    return findings


def hard_keys(findings: Iterable[ReviewFinding]) -> list[str]:
    """Return the keys of hard findings, which need an override before submission."""
    return [one.key for one in findings if one.severity == "hard"]


def checking_problems(editions: Editions) -> list[str]:
    """Return warnings about editions that codes can't be checked by, or only by another state.

    It also reads the editions, so that the first check is quick.

    Args:
        editions: The editions of a model.
    """
    if not editions:
        return [
            "the coding system of the model isn't known, so that the codes of notes aren't checked"
        ]
    problems = []
    for kind, recorded in editions.items():
        found = _at_hand(recorded["name"])
        (made_with,) = edition_ids({kind: recorded})
        if isinstance(found, str):
            problems.append(f"{kind} codes aren't checked: {found}")
        elif found.sha256 != recorded["sha256"]:
            problems.append(
                f"{kind} codes are checked by {recorded['name']} as it is at hand, but the model "
                f"was made with {made_with}"
            )
    _checks(_key_of(editions)).on(None)
    return problems


def diagnoses_of(codes: Sequence[str], editions: Editions) -> list[str]:
    """Return which of some codes are diagnoses; the others are procedures."""
    return _checks(_key_of(editions)).on(None).diagnoses(codes)


def official_title(code: str, editions: Editions) -> str | None:
    """Return the title of a code in one of some editions, as far as they are at hand."""
    found = (one.title(code) for one in _checks(_key_of(editions)).on(None).editions.values())
    return next((title for title in found if title), None)


def _at_hand(name: str) -> Edition | str:
    """Return an edition, or why it can't be used."""
    try:
        return find_edition(name)
    except ConfigError as error:
        return str(error)


def _key_of(editions: Editions) -> tuple[tuple[str, str], ...]:
    return tuple((kind, recorded["name"]) for kind, recorded in editions.items())


@lru_cache(8)
def _checks(editions: tuple[tuple[str, str], ...]) -> DatedChecks:
    names = dict(editions)
    found: dict[Kind, Edition] = {}
    for kind in KINDS:
        edition = _at_hand(names[kind]) if kind in names else ""
        if not isinstance(edition, str):
            found[kind] = edition
    return DatedChecks(found)


def _evidence(state: ReviewState, shown: SuggestionSet) -> Mapping[str, Sequence[Span]]:
    found: dict[str, Sequence[Span]] = {}
    suggested = {one.code: one.evidence for one in shown.suggestions}
    for code in state.codes:
        marked = state.decisions[code].evidence
        spans = [
            (span.begin, span.end)
            for span in suggested.get(code, ())
            if span.assertion in _AFFIRMED
        ]
        if chosen := spans if marked is None else marked:
            found[code] = [Span(begin, end) for begin, end in chosen]
    return found


def _poa(
    state: ReviewState, diagnoses: Sequence[str]
) -> list[tuple[str, Severity, tuple[str, ...], str, str]]:
    """Return a finding if some diagnoses have what was present on admission, and others don't."""
    without = tuple(code for code in diagnoses if state.decisions[code].poa is None)
    if not without or len(without) == len(diagnoses):
        return []
    words = "Other diagnoses say whether they were present on admission."
    return [(POA_KIND, "soft", without, words, "Set it for these codes, too.")]
