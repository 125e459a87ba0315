"""The codes of one document: gold and predicted side by side, or only the predicted ones."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from icdcli.errors import counted
from icdcli.evaluation.sample import SamplePrediction
from icdcli.explain.spans import EvidenceSpans
from icdcli.predict.batches import CodedNote, Selection
from icdcli.report.formatting import one_line, plain

_SIGNS = {"right": ("=", "green"), "missed": ("-", "yellow"), "extra": ("+", "red")}


def _outcomes(sample: SamplePrediction) -> list[tuple[str, str]]:
    """Return (outcome, code): right, missed, then extra, each by descending score, then by code."""
    gold, predicted = set(sample.gold), set(sample.predicted)
    by_outcome = {"right": gold & predicted, "missed": gold - predicted, "extra": predicted - gold}
    return [
        (outcome, code)
        for outcome, codes in by_outcome.items()
        for code in sorted(codes, key=lambda code: (-sample.scores.get(code, 0.0), code))
    ]


def prediction_line(sample: SamplePrediction) -> Text:
    """Return the counts of one document and the codes that are wrong, on one line.

    A terminal cuts it off at its width.
    """
    outcomes = _outcomes(sample)
    parts = [f"{sum(outcome == 'right' for outcome, _ in outcomes)} right"]
    for name in ("missed", "extra"):
        if codes := [code for outcome, code in outcomes if outcome == name]:
            parts.append(f"{len(codes)} {name}: {', '.join(codes)}")
    return one_line(f"{sample.id}: {'; '.join(parts)}")


def prediction_view(
    sample: SamplePrediction, titles: Mapping[str, str], text: str | None = None
) -> RenderableType:
    """Render the gold and predicted codes of one document, in at least about 50 columns.

    Args:
        sample: The document's gold and predicted codes with scores.
        titles: Code to title; some codes have none.
        text: The text of the document, if it is to be shown.

    Returns:
        A rich renderable: a heading with the counts, the text if given, and a row per code.
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
    return Group(
        *parts, table if outcomes else plain("no gold codes and no predicted codes"), plain("")
    )


def prediction_dict(
    sample: SamplePrediction,
    titles: Mapping[str, str],
    text: str | None = None,
    evidence: Mapping[str, EvidenceSpans] | None = None,
) -> dict[str, Any]:
    """Return the same as values for JSON.

    Args:
        sample: The document's gold and predicted codes with scores.
        titles: Code to title.
        text: The text of the document, if requested.
        evidence: Code to its evidence, if requested.

    Returns:
        ``id``, ``codes`` (a list of ``code``, ``title``, ``score``, ``gold``, ``predicted``,
        ``outcome`` and, if given, ``evidence``: a list of what `EvidenceSpan.to_json` returns) and,
        if given, ``text``.
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
            {"evidence": [span.to_json() for span in evidence[code]]}
            if evidence and code in evidence
            else {}
        )
        for outcome, code in _outcomes(sample)
    ]
    return {"id": sample.id, "codes": codes} | ({} if text is None else {"text": text})


def coded_view(note: CodedNote, selection: Selection, one_threshold: bool) -> RenderableType:
    """Render the codes of a note, in at least about 50 columns.

    Args:
        note: The id of the note and its codes.
        selection: The selection of codes. Unless only the threshold selects, predicted codes are
            marked.
        one_threshold: All codes have the same threshold, so that no column shows it.

    Returns:
        A rich renderable: a heading, and a row per code.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    if not selection.by_threshold:
        table.add_column("")
    table.add_column("code", no_wrap=True)
    table.add_column("title")
    table.add_column("score", justify="right", no_wrap=True)
    if not one_threshold:
        table.add_column("threshold", justify="right", no_wrap=True)
    if selection.accept_score is not None:
        table.add_column("action", no_wrap=True)
    with_principal = any(code.principal for code in note.codes)
    if with_principal:
        table.add_column("", no_wrap=True)
    shown = [code for code in note.codes if not (selection.by_threshold and code.dropped)]
    for code in shown:
        cells = [] if selection.by_threshold else ["*" if code.predicted else ""]
        cells += [code.code, code.title or "", f"{code.score:.3f}"]
        cells += [] if one_threshold else [f"{code.threshold:.3f}"]
        cells += [code.action] if code.action else []
        cells += ["principal" if code.principal else ""] if with_principal else []
        table.add_row(*map(one_line, cells))
    count, predicted = len(shown), sum(code.predicted for code in note.codes)
    counts = counted(count, "code") + ("" if selection.by_threshold else f", {predicted} predicted")
    heading = f"Note {note.id}: {counts if note.windows else 'no text'}"
    if note.windows > 1:
        heading += f", read in {note.windows} windows"
    if note.read < 1:
        heading += f", only the first {note.read:.0%} of the text read"
    return Group(
        plain(heading, "bold"), *([table] if shown else []), *_findings_of(note), plain("")
    )


def _findings_of(note: CodedNote) -> Iterator[RenderableType]:
    for code in note.codes:
        if code.dropped:
            yield plain(
                f"  removed {code.code} ({code.score:.3f}), {one_line(code.dropped)}", "yellow"
            )
    if note.findings == () and note.windows:
        yield plain(f"  no findings by {', '.join(note.checked_by)}")
    for one in note.findings or ():
        yield plain(f"  {one.severity}, {one.kind}: {one_line(one.words)}", "yellow")
        yield plain(f"    {one_line(one.advice)}")
