"""Views of what scores decide on a split: the acceptance table and the gain by calibration."""

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from rich import box
from rich.console import RenderableType
from rich.table import Table

from icdcli.report.formatting import plain
from icdcli.report.html_table import html_table

if TYPE_CHECKING:
    from icdcli.evaluation.acceptance.measuring import Acceptance
    from icdcli.metrics.acceptance import Accepted

ACCEPTANCE_COLUMNS = ("precision", "score from", "codes", "notes", "observed", "95 % interval")
_PAGE_COLUMNS = (
    "right, at least",
    "score from",
    "share of predicted codes",
    "notes with all codes accepted",
    "right, as observed",
    "95 % interval",
)


def acceptance_view(acceptance: "Acceptance", split: str) -> Iterator[RenderableType]:
    """Yield the tables for the terminal; they fit 80 columns."""
    yield plain("codes to accept without review (predict --accept-at)", "bold")
    if any(row.score is not None for row in acceptance.shown):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
        for column in ACCEPTANCE_COLUMNS:
            table.add_column(column, justify="right", no_wrap=True)
        for row in acceptance.shown:
            table.add_row(*acceptance_cells(row))
        yield table
    for sentence in _sentences(acceptance, split):
        yield plain(sentence)
    yield plain("")


def acceptance_html(acceptance: "Acceptance", split: str) -> str:
    """Return the section of the page."""
    rows = [acceptance_cells(row) for row in acceptance.shown]
    sentences = " ".join(_sentences(acceptance, split))
    return (
        "<h2 id=acceptance>Codes to accept without review</h2>"
        "<p>Predicted codes with at least this score could be accepted without review "
        "(<code>icdcode predict --accept-at</code>). An accepted note may still lack codes that "
        "the model missed.</p>"
        + (html_table(_PAGE_COLUMNS, rows, text=()) if rows else "")
        + f"<p class=quiet>{escape(sentences)}</p>"
    )


def acceptance_cells(row: "Accepted") -> tuple[str, ...]:
    """Return the cells of a row of the table, in the order of `ACCEPTANCE_COLUMNS`."""
    precision = f"{row.precision:.2f}"
    if row.score is None:
        return precision, "none", "", "", "", ""
    low, high = row.interval or (float("nan"), float("nan"))
    observed = (
        ("", "") if row.observed is None else (f"{row.observed:.3f}", f"{low:.3f}–{high:.3f}")
    )
    return precision, f"{row.score:.4f}", f"{row.codes:.1%}", f"{row.notes:.1%}", *observed


def _sentences(acceptance: "Acceptance", split: str) -> Iterator[str]:
    """Yield sentences on how the scores were chosen, and on what the confidence gains."""
    shown = ", ".join(f"{row.precision:.2f}" for row in acceptance.shown)
    documents = f"{acceptance.documents:,} documents ({acceptance.fitted_on})"
    if not acceptance.rows:
        yield (
            "Too few codes are predicted for an acceptance table."
            if split == "validation"
            else "The checkpoint has no table. Evaluate it with --split validation first."
        )
    elif all(row.score is None for row in acceptance.shown):
        yield f"No score reaches any of the precisions {shown} on {documents}: review all codes."
    elif acceptance.fitted_on == split:
        yield f"Chosen on {documents}; observed by cross-fitting on documents that didn't choose."
    else:
        yield f"Chosen on {documents}; observed on this split."
    if gain := acceptance.confidence:
        yield (
            f"Confidence ({gain.method}, fitted on {gain.fitted_on}) instead of scores: "
            f"calibration error {gain.error_before:.4f} → {gain.error_after:.4f}, "
            f"Brier score {gain.brier_before:.4f} → {gain.brier_after:.4f}."
        )
