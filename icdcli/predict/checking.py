"""Checks of the predicted codes of each note, and the codes that hard rules remove.

Checks add findings and change neither scores nor codes. With `NoteChecks.resolve`, the codes that
hard rules remove aren't predicted any more; they stay among the codes, with the reason.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from icdcli.data.corpus.reader import Labels
from icdcli.errors import ConfigError
from icdcli.icd.codes import KINDS, Kind
from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.edition import Edition
from icdcli.icd.editions.records import edition_ids, edition_record
from icdcli.icd.rules.encounters import DatedChecks, EncounterChecks
from icdcli.icd.rules.findings import Finding, Span
from icdcli.predict.batches import CodedNote


class Checking(NamedTuple):
    """How predicted codes are checked.

    Attributes:
        resolve: Whether to remove codes by hard rules.
        on: The day of the discharge of all notes: the editions of the model's coding systems that
            were valid on it are used; None: the day of each note, or else the model's own editions.
    """

    resolve: bool = False
    on: date | None = None


@dataclass(frozen=True)
class NoteChecks:
    """The checks of predictions.

    Attributes:
        dated: The checks, by the editions of each kind of code.
        checking: How codes are checked.
        kinds: Code to its kind.
    """

    dated: DatedChecks
    checking: Checking
    kinds: dict[str, Kind]

    def __str__(self) -> str:
        """Return what the results depend on, in words."""
        name = "--resolve" if self.checking.resolve else "--check"
        return f"{name} {' '.join(_ids(self.dated.on(self.checking.on)))}"

    def apply(self, note: CodedNote, day: date | None = None) -> CodedNote:
        """Return a note with the findings of its predicted codes, resolved if requested.

        Args:
            note: The note.
            day: The day of its discharge, if it is known.
        """
        checks = self.dated.on(self.checking.on or day)
        predicted = [(one.code, self.kinds[one.code]) for one in note.codes if one.predicted]
        spans = {
            one.code: [Span(span.begin, span.end) for span in one.evidence]
            for one in note.codes
            if one.evidence
        }
        findings = checks.check(predicted, spans)
        why: dict[str, str] = {}
        if self.checking.resolve:
            kept, dropped = checks.resolve(predicted, findings)
            if dropped:
                findings = checks.check(kept, spans)
            why = {one.code: _reason(one.finding) for one in dropped}
        codes = tuple(
            one._replace(predicted=False, dropped=why[one.code]) if one.code in why else one
            for one in note.codes
        )
        return note._replace(codes=codes, findings=tuple(findings), checked_by=_ids(checks))


def _ids(checks: EncounterChecks) -> tuple[str, ...]:
    return tuple(edition_ids({kind: edition_record(one) for kind, one in checks.editions.items()}))


def _reason(finding: Finding) -> str:
    return f"{finding.kind}: {finding.words}"


def note_checks(
    labels: Labels,
    checking: Checking,
    on_warning: Callable[[str], object] | None = None,
) -> NoteChecks:
    """Open the checks of a model's codes.

    Args:
        labels: The label space of the model.
        checking: How they are checked.
        on_warning: Called with a message if an edition isn't the one that the model was made with.

    Raises:
        ConfigError: The model's editions are unknown, or not at hand.
        DataError: An edition can't be read.
    """
    if not labels.editions:
        raise ConfigError(
            "--check: the coding system of this model isn't known, so its codes can't be checked. "
            "Write them to a file, and pass it to `icdcode check` with --edition."
        )
    editions: dict[Kind, Edition] = {}
    for kind in KINDS:
        if (recorded := labels.editions.get(kind)) is None:
            continue
        name = recorded["name"]
        found = find_edition(name)
        if found.sha256 != recorded["sha256"] and on_warning is not None:
            (made_with,) = edition_ids({kind: recorded})
            on_warning(
                f"the codes are checked by {name} as it is at hand, but the model was made with "
                f"{made_with}"
            )
        editions[kind] = found
    known: dict[str, Kind] = {kind: kind for kind in KINDS}
    kinds = {code: known[kind] for code, kind in zip(labels.codes, labels.kinds, strict=True)}
    return NoteChecks(DatedChecks(editions), checking, kinds)
