"""Runs the behavioral tests of a model, and counts what it passes.

A note passes ``coded`` if its code, or another of the same three-character category, is predicted;
``not coded`` if none of them is; ``unchanged`` if exactly the codes of the base note are. A side or
a history needs its own code, and a side must not get the other side's.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from icdcli.errors import ConfigError
from icdcli.evaluation.behavior.conditions import NamedCondition, conditions_of
from icdcli.evaluation.behavior.suite import BehaviorNote, make_notes
from icdcli.evaluation.behavior.templates import Capability, Expectation, load_templates
from icdcli.icd.codes import System
from icdcli.io.progress import Progress
from icdcli.metrics.proportions import wilson_interval
from icdcli.model.coding_model import CodingModel

CODES = 60
"""The number of conditions that are tested by default."""
_AT_ONCE = 128
_LISTED = 20
_NO_LABELS = {
    "sides": "no condition of which both the right and the left side are labels with documents",
    "personal histories": "no label with documents that means a personal history",
    "family histories": "no label with documents that means a family history",
    "diseases": "no condition that runs in families",
    "acute diseases": "no condition that heals",
    "symptoms": "no symptom among the conditions",
    "abbreviated": "no condition with an abbreviation",
}


@dataclass(frozen=True)
class CapabilityResult:
    """How many notes of a capability pass.

    Attributes:
        name: The capability.
        expect: What must happen to the condition's code.
        notes: The number of notes.
        passed: How many of them pass.
        low: The lower bound of the share's 95 % interval (Wilson 1927).
        high: Its upper bound.
        failures: Some notes that fail, each with its code, the codes predicted, and those of the
            base note if they must be the same. Held-out notes are listed only on request.
        held_out_notes: How many of the notes have a held-out template or condition.
        held_out_passed: How many of these pass.
    """

    name: str
    expect: Expectation
    notes: int
    passed: int
    low: float
    high: float
    failures: list[dict[str, Any]] = field(default_factory=list)
    held_out_notes: int = 0
    held_out_passed: int = 0

    @property
    def rate(self) -> float:
        """Return the share of notes that pass."""
        return self.passed / self.notes

    @property
    def held_out_rate(self) -> float | None:
        """Return the share of held-out notes that pass; None if there are none."""
        return self.held_out_passed / self.held_out_notes if self.held_out_notes else None

    @property
    def seen_rate(self) -> float | None:
        """Return the share of the other notes that pass; None if there are none."""
        seen = self.notes - self.held_out_notes
        return (self.passed - self.held_out_passed) / seen if seen else None


@dataclass(frozen=True)
class BehaviorReport:
    """The results of all capabilities.

    Attributes:
        language: The language of the notes.
        codes: The codes of the conditions tested.
        capabilities: The results, in the order of the templates.
        skipped: Capability without notes to the reason.
    """

    language: str
    codes: tuple[str, ...]
    capabilities: tuple[CapabilityResult, ...]
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def notes(self) -> int:
        """Return the number of notes."""
        return sum(one.notes for one in self.capabilities)

    def to_json(self) -> dict[str, Any]:
        """Return the report as values for JSON."""
        rates = ("rate", "seen_rate", "held_out_rate")
        return {
            "language": self.language,
            "codes": list(self.codes),
            "notes": self.notes,
            "capabilities": [
                asdict(one) | {rate: getattr(one, rate) for rate in rates}
                for one in self.capabilities
            ],
            "skipped": self.skipped,
        }


def run_behavior(
    model: CodingModel,
    system: System | None,
    *,
    codes: int = CODES,
    templates: Path | None = None,
    held_out: bool = False,
    on_progress: Progress | None = None,
) -> BehaviorReport:
    """Test the behavior of a model on notes made for its label space.

    Args:
        model: The model.
        system: The coding system of its labels; None: unknown.
        codes: The largest number of conditions to test.
        templates: A user's YAML file with further templates.
        held_out: Test held-out notes only, and list those of them that fail.
        on_progress: Receives the progress.

    Raises:
        ConfigError: There are no templates for the language of the model, or no condition.
        DataError: The user's file has a mistake.
    """
    language = model.views.language
    capabilities = load_templates(language, templates)
    conditions = conditions_of(model.labels, system, language, codes)
    tested = tuple(one.code for one in conditions if "conditions" in one.groups)
    if not tested:
        raise ConfigError(
            "no label of the model with training documents has a name in the clinical lexicon. "
            "Behavioral tests need diagnoses of ICD-9-CM or ICD-10-CM."
        )
    notes: dict[str, list[BehaviorNote]] = {}
    for one in capabilities:
        made = make_notes(conditions, one)
        notes[one.name] = [note for note in made if note.held_out or not held_out]
    predicted = _predicted(model, [note for own in notes.values() for note in own], on_progress)
    results, skipped = [], {}
    for one in capabilities:
        if own := notes[one.name]:
            results.append(_result(own, predicted, held_out))
        else:
            skipped[one.name] = _reason(one, conditions)
    return BehaviorReport(language, tested, tuple(results), skipped)


def _reason(capability: Capability, conditions: Sequence[NamedCondition]) -> str:
    """Return why a capability has no notes."""
    if not any(capability.about in one.groups for one in conditions):
        return _NO_LABELS[capability.about]
    if any(make_notes(conditions, capability)):
        return "none of its notes is held out"
    return "no condition has the words that its templates need"


def _predicted(
    model: CodingModel, notes: Sequence[BehaviorNote], on_progress: Progress | None
) -> dict[str, frozenset[str]]:
    """Return text to the codes predicted for it."""
    texts = list(dict.fromkeys(text for note in notes for text in (note.text, note.base) if text))
    # Notes of about the same length are read together, which saves padding.
    texts.sort(key=len)
    predicted: dict[str, frozenset[str]] = {}
    for start in range(0, len(texts), _AT_ONCE):
        if on_progress is not None:
            on_progress("testing behavior", start, len(texts), "notes")
        block = texts[start : start + _AT_ONCE]
        for text, found in zip(block, model.predict(block), strict=True):
            predicted[text] = frozenset(one.code for one in found)
    if on_progress is not None:
        on_progress("testing behavior", len(texts), len(texts), "notes")
    return predicted


def _result(
    notes: Sequence[BehaviorNote], predicted: dict[str, frozenset[str]], list_held_out: bool
) -> CapabilityResult:
    failed = [note for note in notes if not _passes(note, predicted)]
    held_out = sum(note.held_out for note in notes)
    passed = len(notes) - len(failed)
    low, high = wilson_interval(passed, len(notes))
    shown = [note for note in failed if list_held_out or not note.held_out][:_LISTED]
    return CapabilityResult(
        notes[0].capability,
        notes[0].expect,
        len(notes),
        passed,
        low,
        high,
        [_failure(note, predicted) for note in shown],
        held_out,
        held_out - sum(note.held_out for note in failed),
    )


def _failure(note: BehaviorNote, predicted: dict[str, frozenset[str]]) -> dict[str, Any]:
    failure: dict[str, Any] = {
        "code": note.condition.code,
        "text": note.text,
        "predicted": sorted(predicted[note.text]),
    }
    if note.base:
        failure["of_base"] = sorted(predicted[note.base])
    return failure


def _passes(note: BehaviorNote, predicted: dict[str, frozenset[str]]) -> bool:
    codes = predicted[note.text]
    if note.base:
        return codes == predicted[note.base]
    if note.expect == "coded":
        return note.condition.is_in(codes) and note.condition.instead not in codes
    return not note.condition.is_in(codes)
