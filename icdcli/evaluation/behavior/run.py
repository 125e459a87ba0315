"""Runs the behavioral tests of a model, and counts what it passes.

A note passes ``coded`` if its code, or another of the same three-character category, is predicted;
``not coded`` if none of them is; ``unchanged`` if exactly the codes of the base note are.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from icdcli.errors import ConfigError
from icdcli.evaluation.behavior.suite import BehaviorNote, conditions_of, make_notes
from icdcli.evaluation.behavior.templates import Expectation, load_templates
from icdcli.icd.codes import System
from icdcli.io.progress import Progress
from icdcli.model.coding_model import CodingModel

CODES = 60
"""The number of conditions that are tested by default."""
_AT_ONCE = 128
_LISTED = 20
_Z = 1.959963984540054


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
        failures: Some notes that fail, each with its code and the codes predicted.
    """

    name: str
    expect: Expectation
    notes: int
    passed: int
    low: float
    high: float
    failures: list[dict[str, Any]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Return the share of notes that pass."""
        return self.passed / self.notes


@dataclass(frozen=True)
class BehaviorReport:
    """The results of all capabilities.

    Attributes:
        language: The language of the notes.
        codes: The codes of the conditions tested.
        capabilities: The results, in the order of the templates.
    """

    language: str
    codes: tuple[str, ...]
    capabilities: tuple[CapabilityResult, ...]

    @property
    def notes(self) -> int:
        """Return the number of notes."""
        return sum(one.notes for one in self.capabilities)

    def to_json(self) -> dict[str, Any]:
        """Return the report as values for JSON."""
        return {
            "language": self.language,
            "codes": list(self.codes),
            "notes": self.notes,
            "capabilities": [asdict(one) | {"rate": one.rate} for one in self.capabilities],
        }


def run_behavior(
    model: CodingModel,
    system: System | None,
    *,
    codes: int = CODES,
    templates: Path | None = None,
    on_progress: Progress | None = None,
) -> BehaviorReport:
    """Test the behavior of a model on notes made for its label space.

    Args:
        model: The model.
        system: The coding system of its labels; None: unknown.
        codes: The largest number of conditions to test.
        templates: A user's YAML file with further templates.
        on_progress: Receives the progress.

    Raises:
        ConfigError: There are no templates for the language of the model, or no condition.
        DataError: The user's file has a mistake.
    """
    language = model.views.language
    capabilities = load_templates(language, templates)
    conditions = conditions_of(model.labels, system, language, codes)
    if not conditions:
        raise ConfigError(
            "no label of the model with training documents has synonyms in the clinical lexicon. "
            "Behavioral tests need diagnoses of ICD-9-CM or ICD-10-CM."
        )
    notes = list(make_notes(conditions, capabilities))
    texts = list(dict.fromkeys([text for note in notes for text in (note.text, note.base) if text]))
    predicted: dict[str, frozenset[str]] = {}
    for start in range(0, len(texts), _AT_ONCE):
        block = texts[start : start + _AT_ONCE]
        for text, found in zip(block, model.predict(block), strict=True):
            predicted[text] = frozenset(one.code for one in found)
        if on_progress is not None:
            on_progress("testing notes", start + len(block), len(texts))
    results = []
    for capability in capabilities:
        own = [note for note in notes if note.capability == capability.name]
        if own:
            results.append(_result(own, predicted))
    return BehaviorReport(language, tuple(one.code for one in conditions), tuple(results))


def _result(
    notes: Sequence[BehaviorNote], predicted: dict[str, frozenset[str]]
) -> CapabilityResult:
    failed = [note for note in notes if not _passes(note, predicted)]
    passed = len(notes) - len(failed)
    low, high = wilson_interval(passed, len(notes))
    listed = [
        {"code": note.code, "text": note.text, "predicted": sorted(predicted[note.text])}
        for note in failed[:_LISTED]
    ]
    return CapabilityResult(
        notes[0].capability, notes[0].expect, len(notes), passed, low, high, listed
    )


def _passes(note: BehaviorNote, predicted: dict[str, frozenset[str]]) -> bool:
    codes = predicted[note.text]
    if note.base is not None:
        return codes == predicted[note.base]
    coded = any(code.split(".")[0] == note.code.split(".")[0] for code in codes)
    return coded == (note.expect == "coded")


def wilson_interval(passed: int, notes: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    share, weight = passed / notes, _Z**2 / notes
    middle = (share + weight / 2) / (1 + weight)
    half = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return max(0.0, middle - half), min(1.0, middle + half)
