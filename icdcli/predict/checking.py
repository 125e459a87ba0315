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
from icdcli.icd.editions.records import edition_id, edition_ids
from icdcli.icd.rules.encounters import EncounterChecks
from icdcli.icd.rules.findings import Finding, Span
from icdcli.predict.batches import CodedNote


class Checking(NamedTuple):
    """How predicted codes are checked.

    Attributes:
        resolve: Whether to remove codes by hard rules.
        on: The day of the discharge: the editions of the model's coding systems that were valid on
            it are used; None: the model's own editions.
    """

    resolve: bool = False
    on: date | None = None


@dataclass(frozen=True)
class NoteChecks:
    """The checks of predictions.

    Attributes:
        checks: The checks, by the editions of each kind of code.
        resolve: Whether codes are removed by hard rules.
        kinds: Code to its kind.
    """

    checks: EncounterChecks
    resolve: bool
    kinds: dict[str, Kind]

    def __str__(self) -> str:
        """Return what the results depend on, in words."""
        used = dict.fromkeys(
            edition_id({"name": one.about.name, "sha256": one.sha256})
            for one in self.checks.editions.values()
        )
        return f"{'--resolve' if self.resolve else '--check'} {' '.join(used)}"

    def apply(self, note: CodedNote) -> CodedNote:
        """Return a note with the findings of its predicted codes, resolved if requested."""
        predicted = [(one.code, self.kinds[one.code]) for one in note.codes if one.predicted]
        spans = {
            one.code: [Span(span.begin, span.end) for span in one.evidence]
            for one in note.codes
            if one.evidence
        }
        findings = self.checks.check(predicted, spans)
        if not self.resolve:
            return note._replace(findings=tuple(findings))
        kept, dropped = self.checks.resolve(predicted, findings)
        if dropped:
            findings = self.checks.check(kept, spans)
        why = {one.code: _reason(one.finding) for one in dropped}
        codes = tuple(
            one._replace(predicted=False, dropped=why[one.code]) if one.code in why else one
            for one in note.codes
        )
        return note._replace(codes=codes, findings=tuple(findings))


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
        name, on = recorded["name"], checking.on
        found = find_edition(name if on is None else name.partition("-")[0], on)
        if on is None and found.sha256 != recorded["sha256"] and on_warning is not None:
            (made_with,) = edition_ids({kind: recorded})
            on_warning(
                f"the codes are checked by {name} as it is at hand, but the model was made with "
                f"{made_with}"
            )
        editions[kind] = found
    known: dict[str, Kind] = {kind: kind for kind in KINDS}
    kinds = {code: known[kind] for code, kind in zip(labels.codes, labels.kinds, strict=True)}
    return NoteChecks(EncounterChecks(editions), checking.resolve, kinds)
