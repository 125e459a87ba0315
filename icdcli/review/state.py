"""The state of a reading: a pure function of its events. Nothing here knows a database."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from icdcli.errors import ConfigError
from icdcli.review.decisions import DecisionDraft, DecisionEvent, check_form

_AFTER_SUBMIT = ("reopen", "comment")
_OF_KNOWN_CODES = ("accept", "reject", "replace")


@dataclass(frozen=True)
class CodeState:
    """What is decided on one code.

    Attributes:
        status: ``accepted``, ``rejected``, ``replaced`` or ``added``.
        reason: Why it was rejected or replaced.
        replaced_by: The code that replaces it.
        replaces: The code that it replaces.
        evidence: The marked words, as positions; None: nobody has marked words.
        poa: Present on admission, see `POA_VALUES`.
    """

    status: str
    reason: str | None = None
    replaced_by: str | None = None
    replaces: str | None = None
    evidence: tuple[tuple[int, int], ...] | None = None
    poa: str | None = None

    @property
    def counts(self) -> bool:
        """Return whether it is one of the note's codes."""
        return self.status in ("accepted", "added")

    def to_json(self) -> dict[str, Any]:
        """Return its values without those that are None."""
        values = {
            "status": self.status,
            "reason": self.reason,
            "replaced_by": self.replaced_by,
            "replaces": self.replaces,
            "evidence": None if self.evidence is None else [list(span) for span in self.evidence],
            "poa": self.poa,
        }
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class ReviewState:
    """The state of a reading.

    Attributes:
        number: The number of its last event; 0: there is none.
        decisions: Code to what is decided on it, in the order of the first decision; what replaces
            a code of the note is behind that.
        order: The order that the reviewer gave codes.
        comments: Code to comments; None: on the note.
        overrides: Finding to the reason for passing it.
        submitted: Whether it is submitted.
        last: The number of the event that can be undone; None: there is none.
    """

    number: int = 0
    decisions: Mapping[str, CodeState] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    comments: Mapping[str | None, tuple[str, ...]] = field(default_factory=dict)
    overrides: Mapping[str, str] = field(default_factory=dict)
    submitted: bool = False
    last: int | None = None

    @property
    def codes(self) -> tuple[str, ...]:
        """Return the codes of the note, principal first: as ordered, then as decided."""
        counted = [code for code, one in self.decisions.items() if one.counts]
        ordered = [code for code in self.order if code in counted]
        return (*ordered, *(code for code in counted if code not in ordered))

    def part(self, kind: str, details: Mapping[str, Any]) -> Any:
        """Return the part of the state that an event of some kind changes, as JSON values."""
        if kind == "order":
            return list(self.codes)
        if kind == "override":
            return self.overrides.get(details["finding"])
        if kind == "comment":
            return list(self.comments.get(details.get("code"), ()))
        if kind in ("submit", "reopen", "undo"):
            return {
                "submitted": self.submitted,
                "codes": list(self.codes),
                "decisions": {code: one.to_json() for code, one in self.decisions.items()},
            }
        return {
            code: self.decisions[code].to_json() if code in self.decisions else None
            for code in (details["code"], details.get("by"))
            if code is not None
        }


def fold(events: Iterable[DecisionEvent]) -> ReviewState:
    """Return the state of a reading after its events, which are in the order of their numbers."""
    events = list(events)
    state = ReviewState()
    standing = effective(events)
    for one in standing:
        state = _APPLY[one.kind](state, one.details)
    last = standing[-1] if standing and not state.submitted else None
    return replace(
        state,
        number=events[-1].number if events else 0,
        last=None if last is None or last.kind == "reopen" else last.number,
    )


def effective(events: Sequence[DecisionEvent]) -> list[DecisionEvent]:
    """Return the events without those that were undone and without the undoing."""
    undone = {one.details["number"] for one in events if one.kind == "undo"}
    return [one for one in events if one.kind != "undo" and one.number not in undone]


def check_draft(
    state: ReviewState,
    draft: DecisionDraft,
    *,
    characters: int,
    suggested: Collection[str] = (),
    required: Collection[str] = (),
    hard_findings: Collection[str] = (),
) -> None:
    """Check that a decision is possible in a state.

    Args:
        state: The state of the reading.
        draft: The decision.
        characters: The length of the note.
        suggested: The suggested codes.
        required: The codes that must be decided before the reading is submitted.
        hard_findings: The hard findings of the checks of the codes, which need an override before
            the reading is submitted.

    Raises:
        ConfigError: If it isn't; the message says why.
    """
    check_form(draft, characters)
    details, kind = draft.details, draft.kind
    if state.submitted and kind not in _AFTER_SUBMIT:
        raise ConfigError("the review is submitted. Reopen it to change it.")
    code = details.get("code")
    decided = state.decisions.get(code) if isinstance(code, str) else None
    if kind == "reopen" and not state.submitted:
        raise ConfigError("the review isn't submitted, so that it can't be reopened.")
    if kind == "undo" and (state.last is None or details["number"] != state.last):
        raise ConfigError(
            "there is nothing to undo."
            if state.last is None
            else f"only the last decision ({state.last}) can be undone."
        )
    if kind in _OF_KNOWN_CODES and decided is None and code not in suggested:
        raise ConfigError(f"{code} isn't suggested. Add it instead.")
    if kind in ("mark", "poa") and not (decided and decided.counts):
        raise ConfigError(f"{code} isn't one of the note's codes. Accept or add it first.")
    if kind == "add" and decided and decided.counts:
        raise ConfigError(f"{code} is already one of the note's codes.")
    if kind == "replace" and details["by"] == code:
        raise ConfigError(f"{code} can't be replaced by itself.")
    if kind == "order" and sorted(details["codes"]) != sorted(state.codes):
        raise ConfigError(f"the order must have each of the note's {len(state.codes)} codes once.")
    if kind == "submit":
        open_codes = [one for one in required if one not in state.decisions]
        if open_codes:
            raise ConfigError(
                f"{len(open_codes)} suggestions above the threshold aren't decided: "
                f"{', '.join(open_codes[:5])}. Accept, reject or replace them."
            )
        stops = [one for one in hard_findings if one not in state.overrides]
        if stops:
            raise ConfigError(f"{stops[0]}: change the codes, or give a reason to pass it.")


def _decided(state: ReviewState, code: str, decision: CodeState) -> ReviewState:
    return replace(state, decisions={**state.decisions, code: decision})


def _spans(evidence: Any) -> tuple[tuple[int, int], ...] | None:
    return None if evidence is None else tuple((begin, end) for begin, end in evidence)


def _accept(state: ReviewState, details: Mapping[str, Any]) -> ReviewState:
    code = details["code"]
    before = state.decisions.get(code)
    return state if before and before.counts else _decided(state, code, CodeState("accepted"))


def _reject(state: ReviewState, details: Mapping[str, Any]) -> ReviewState:
    return _decided(state, details["code"], CodeState("rejected", reason=details["reason"]))


def _replace(state: ReviewState, details: Mapping[str, Any]) -> ReviewState:
    code, by = details["code"], details["by"]
    before = state.decisions.get(code)
    order = tuple(by if one == code else one for one in state.order if one != by)
    replaced = CodeState("replaced", reason=details.get("reason"), replaced_by=by)
    state = _decided(replace(state, order=order), code, replaced)
    standing = state.decisions.get(by)
    if standing is not None and standing.counts:
        return state  # one of two codes that are the same more exactly
    kept = (before.evidence, before.poa) if before else (None, None)
    added = CodeState("added", replaces=code, evidence=kept[0], poa=kept[1])
    if before is None or not before.counts:
        return _decided(state, by, added)
    # In its place also if the reviewer has ordered nothing: the principal code stays the first.
    decisions = {one: decision for one, decision in state.decisions.items() if one != by}
    place = 1 + list(decisions).index(code)
    items = list(decisions.items())
    return replace(state, decisions=dict([*items[:place], (by, added), *items[place:]]))


def _add(state: ReviewState, details: Mapping[str, Any]) -> ReviewState:
    added = CodeState("added", evidence=_spans(details.get("evidence")))
    return _decided(state, details["code"], added)


def _mark(state: ReviewState, details: Mapping[str, Any]) -> ReviewState:
    code = details["code"]
    marked = replace(state.decisions[code], evidence=_spans(details["evidence"]))
    return _decided(state, code, marked)


def _poa(state: ReviewState, details: Mapping[str, Any]) -> ReviewState:
    code = details["code"]
    return _decided(state, code, replace(state.decisions[code], poa=details["value"]))


def _order(state: ReviewState, details: Mapping[str, Any]) -> ReviewState:
    return replace(state, order=tuple(details["codes"]))


def _comment(state: ReviewState, details: Mapping[str, Any]) -> ReviewState:
    about = details.get("code")
    comments = (*state.comments.get(about, ()), details["text"])
    return replace(state, comments={**state.comments, about: comments})


def _override(state: ReviewState, details: Mapping[str, Any]) -> ReviewState:
    overrides = {**state.overrides, details["finding"]: details["reason"]}
    return replace(state, overrides=overrides)


def _submit(state: ReviewState, _details: Mapping[str, Any]) -> ReviewState:
    return replace(state, submitted=True)


def _reopen(state: ReviewState, _details: Mapping[str, Any]) -> ReviewState:
    return replace(state, submitted=False)


_APPLY: Mapping[str, Callable[[ReviewState, Mapping[str, Any]], ReviewState]] = {
    "accept": _accept,
    "reject": _reject,
    "replace": _replace,
    "add": _add,
    "mark": _mark,
    "order": _order,
    "poa": _poa,
    "comment": _comment,
    "override": _override,
    "submit": _submit,
    "reopen": _reopen,
}
