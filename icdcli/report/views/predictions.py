"""One document's codes: gold and predicted side by side, told apart by signs and words; or just those that it is given."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from icdcli.evaluation.sample import SamplePrediction
from icdcli.explain.spans import EvidenceSpans
from icdcli.predict.batches import Choice, CodedNote
from icdcli.report.formatting import one_line, plain

_SIGNS = {"right": ("=", "green"), "missed": ("-", "yellow"), "extra": ("+", "red")}


def _outcomes(sample: SamplePrediction) -> list[tuple[str, str]]:
    """(outcome, code): right, then missed, then extra; each by falling score, then by code."""
    gold, predicted = set(sample.gold), set(sample.predicted)
    by_outcome = {"right": gold & predicted, "missed": gold - predicted, "extra": predicted - gold}
    return [
        (outcome, code)
        for outcome, codes in by_outcome.items()
        for code in sorted(codes, key=lambda code: (-sample.scores.get(code, 0.0), code))
    ]


def prediction_view(
    sample: SamplePrediction, titles: Mapping[str, str], text: str | None = None
) -> RenderableType:
    """Render one document's codes; it fits any width from about 50 columns on.

    Args:
        sample: The document's gold and predicted codes with scores.
        titles: Code to title; a code without one is normal.
        text: The document's text, where it is to be shown.

    Returns:
        A rich renderable: a heading with the counts, the text where given, and a row a code.
    """
    outcomes = _outcomes(sample)
    counts = ", ".join(
        f"{sum(outcome == name for outcome, _ in outcomes)} {name}" for name in _SIGNS
    )
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("")
    table.add_column("gold")
    table.add_column("predicted")
    table.add_column("title")
    table.add_column("score", justify="right")
    for outcome, code in outcomes:
        sign, style = _SIGNS[outcome]
        score = sample.scores.get(code)
        table.add_row(
            one_line(f"{sign} {outcome}", style),
            one_line("" if outcome == "extra" else code),
            one_line("" if outcome == "missed" else code),
            one_line(titles.get(code, "")),
            one_line("" if score is None else f"{score:.3f}"),
        )
    parts: list[RenderableType] = [plain(f"Document {sample.id}: {counts}", "bold")]
    if text is not None:
        parts += [plain(text), plain("")]
    return Group(*parts, table if outcomes else plain("no gold and no predicted code"), plain(""))


def prediction_dict(
    sample: SamplePrediction,
    titles: Mapping[str, str],
    text: str | None = None,
    evidence: Mapping[str, EvidenceSpans] | None = None,
) -> dict[str, Any]:
    """The same as plain values for JSON.

    Args:
        sample: The document's gold and predicted codes with scores.
        titles: Code to title.
        text: The document's text, where it is asked for.
        evidence: Code to the words that it was chosen by, where that is asked for.

    Returns:
        ``id``, ``codes`` (a list of ``code``, ``title``, ``score``, ``gold``, ``predicted``, ``outcome`` and, where given,
        ``evidence``: a list of ``begin``, ``end``, ``weight``) and, where given, ``text``.
    """
    codes = [
        {
            "code": code,
            "title": titles.get(code),
            "score": sample.scores.get(code),
            "gold": outcome != "extra",
            "predicted": outcome != "missed",
            "outcome": outcome,
        }
        | (
            {"evidence": [span._asdict() for span in evidence[code]]}
            if evidence and code in evidence
            else {}
        )
        for outcome, code in _outcomes(sample)
    ]
    return {"id": sample.id, "codes": codes} | ({} if text is None else {"text": text})


def coded_view(note: CodedNote, choice: Choice, one_threshold: bool) -> RenderableType:
    """Render the codes that a note is given.

    Args:
        note: The note's id and its codes.
        choice: Where it isn't the threshold alone that chooses, predicted codes are marked.
        one_threshold: Whether it is the same for all codes and is told elsewhere.

    Returns:
        A rich renderable that fits any width from about 50 columns on: a heading, and a row a code.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    if not choice.by_threshold:
        table.add_column("")
    table.add_column("code", no_wrap=True)
    table.add_column("title")
    table.add_column("score", justify="right", no_wrap=True)
    if not one_threshold:
        table.add_column("threshold", justify="right", no_wrap=True)
    for code in note.codes:
        cells = [] if choice.by_threshold else ["*" if code.predicted else ""]
        cells += [code.code, code.title or "", f"{code.score:.3f}"]
        cells += [] if one_threshold else [f"{code.threshold:.3f}"]
        table.add_row(*map(one_line, cells))
    told, predicted = len(note.codes), sum(code.predicted for code in note.codes)
    counts = f"{told} {'code' if told == 1 else 'codes'}" + (
        "" if choice.by_threshold else f", {predicted} predicted"
    )
    heading = f"Note {note.id}: {counts if note.windows else 'no text'}"
    if note.windows > 1:
        heading += f", read in {note.windows} windows"
    return Group(plain(heading, "bold"), *([table] if note.codes else []), plain(""))
