"""The decisions that a reviewer can make: their kinds, their values, and how these are checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from icdcli.errors import ConfigError

EventKind = Literal[
    "accept",
    "reject",
    "replace",
    "add",
    "mark",
    "order",
    "poa",
    "comment",
    "override",
    "undo",
    "submit",
    "reopen",
]
"""What a reviewer can do. ``mark`` sets the words behind a code, ``poa`` whether it was present on
admission, ``override`` passes a hard finding of the checks with a reason."""
POA_VALUES = ("Y", "N", "U", "W", "exempt")
"""Present on admission: yes, no, unknown, clinically undetermined, exempt from reporting."""

_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "accept": ("code",),
    "reject": ("code", "reason"),
    "replace": ("code", "by"),
    "add": ("code",),
    "mark": ("code", "evidence"),
    "order": ("codes",),
    "poa": ("code", "value"),
    "comment": ("text",),
    "override": ("finding", "reason"),
    "undo": ("number",),
    "submit": (),
    "reopen": (),
}
_OPTIONAL: Mapping[str, tuple[str, ...]] = {
    "replace": ("reason",),
    "add": ("evidence",),
    "comment": ("code",),
    "reopen": ("reason",),
}


@dataclass(frozen=True)
class DecisionDraft:
    """A decision that isn't stored yet.

    Attributes:
        kind: What the reviewer does.
        details: Its values: ``code``, ``reason``, ``by`` (the replacing code), ``evidence`` (a list
            of ``[begin, end]``), ``codes`` (an order), ``value``, ``text``, ``finding``, ``number``
            (of the event to undo); as the kind needs them.
        seconds: The time that the reviewer spent since the decision before.
        request: A name that the client gives the draft, so that it can send it twice.
    """

    kind: EventKind
    details: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    request: str | None = None


@dataclass(frozen=True)
class DecisionEvent:
    """A stored decision.

    Attributes:
        number: Its place in the reading, from 1. It orders events, not the time.
        author: Who made it.
        at: When, in UTC, by the clock of the computer.
        kind: See `EventKind`.
        details: See `DecisionDraft`.
        before: The state of what it changes before it.
        after: The same after it.
        seconds: The time spent.
        suggestion_set: The number of the suggestions that it was made on; None: there were none.
        model: The hash of their model.
        editions: The editions of their model.
        request: See `DecisionDraft`.
    """

    number: int
    author: str
    at: datetime
    kind: EventKind
    details: Mapping[str, Any]
    before: Any = None
    after: Any = None
    seconds: float = 0.0
    suggestion_set: int | None = None
    model: str | None = None
    editions: Mapping[str, Any] = field(default_factory=dict)
    request: str | None = None


def check_form(draft: DecisionDraft, characters: int) -> None:
    """Check the kind and the values of a decision, whatever the state of the note.

    Args:
        draft: The decision.
        characters: The length of the note.

    Raises:
        ConfigError: If a value is missing, unknown or of the wrong form.
    """
    if draft.kind not in _REQUIRED:
        raise ConfigError(
            f"{draft.kind!r} is not a kind of decision. Choose one of {', '.join(_REQUIRED)}."
        )
    names = _REQUIRED[draft.kind]
    unknown = draft.details.keys() - {*names, *_OPTIONAL.get(draft.kind, ())}
    missing = [name for name in names if name not in draft.details]
    if unknown or missing:
        raise ConfigError(
            f"{draft.kind}: expected {', '.join(names) or 'nothing else'}, got "
            f"{', '.join(draft.details) or 'nothing'}."
        )
    if not 0 <= draft.seconds < float("inf"):
        raise ConfigError(f"{draft.kind}: the time spent must be 0 or more seconds.")
    for name, value in draft.details.items():
        _CHECK_VALUE[name](draft.kind, name, value, characters)


def _check_text(kind: str, name: str, value: Any, _characters: int) -> None:
    if not isinstance(value, str) or not value.strip() or "\x00" in value:
        raise ConfigError(f"{kind}: {name} must be a text.")


def _check_codes(kind: str, name: str, value: Any, _characters: int) -> None:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise ConfigError(f"{kind}: {name} must be a list of codes.")


def _check_poa(kind: str, name: str, value: Any, _characters: int) -> None:
    if value not in POA_VALUES:
        raise ConfigError(f"{kind}: {name} must be one of {', '.join(POA_VALUES)}.")


def _check_number(kind: str, name: str, value: Any, _characters: int) -> None:
    if type(value) is not int:
        raise ConfigError(f"{kind}: {name} must be the number of an event.")


def _check_evidence(kind: str, name: str, value: Any, characters: int) -> None:
    spans = value if isinstance(value, list | tuple) else [None]
    for span in spans:
        if (
            not isinstance(span, list | tuple)
            or [type(place) for place in span] != [int, int]
            or not 0 <= span[0] < span[1] <= characters
        ):
            raise ConfigError(
                f"{kind}: {name} must be a list of [begin, end] in the note's {characters:,} "
                "characters."
            )


_CHECK_VALUE: Mapping[str, Callable[[str, str, Any, int], None]] = {
    "code": _check_text,
    "by": _check_text,
    "reason": _check_text,
    "text": _check_text,
    "finding": _check_text,
    "codes": _check_codes,
    "value": _check_poa,
    "number": _check_number,
    "evidence": _check_evidence,
}
