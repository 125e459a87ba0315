"""Documents with their gold and predicted codes, and the evidence in the running text, as HTML."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from icdcli.explain.spans import EvidenceSpan, without_affirmed
from icdcli.report.views.evidence import NOT_AFFIRMED, SAID_OF_IT

if TYPE_CHECKING:
    from icdcli.evaluation.sample import SampleDocument

PATIENT_TEXT = "This section contains patient text."
"""The words by which a page that has texts is known."""

_SIGNS = {"right": "=", "missed": "−", "extra": "+"}


def documents_html(documents: "Sequence[SampleDocument]", titles: Mapping[str, str]) -> str:
    """Return the section with a few documents.

    Args:
        documents: The documents, with their texts and the evidence for their codes.
        titles: Code to its title.
    """
    parts = [
        "<h2 id=documents>Documents</h2>",
        "<p class=quiet>A few documents of the split, drawn at random: = right, − missed, + not "
        f"gold. A click on a code shows its words. {PATIENT_TEXT}</p>",
    ]
    for place, document in enumerate(documents):
        sample = document.prediction
        codes = {code: "right" if code in sample.gold else "extra" for code in sample.predicted}
        codes |= {code: "missed" for code in sample.gold if code not in codes}
        counts = [sum(one == status for one in codes.values()) for status in _SIGNS]
        summary = "{} right, {} missed, {} not gold".format(*counts)
        lines = "".join(
            _code_html(code, status, document, titles.get(code)) for code, status in codes.items()
        )
        text = "".join(_marked(document.text or "", document.evidence))
        parts.append(
            f"<details{'' if place else ' open'}><summary>{escape(sample.id)} ({summary})</summary>"
            f"<div class=document><div class=text tabindex=0 role=region "
            f'aria-label="Note {escape(sample.id)}">{text}'
            f"</div><ul>{lines or '<li>No code.</li>'}</ul></div></details>"
        )
    return "".join(parts)


def _code_html(code: str, status: str, document: "SampleDocument", title: str | None) -> str:
    spans = document.evidence.get(code, ())
    name = escape(code)
    if spans:
        name = f'<button type=button data-code="{name}" aria-pressed=false>{name}</button>'
    else:
        name = f"<b>{name}</b>"
    said = NOT_AFFIRMED if spans and without_affirmed(code, spans) else ""
    return (
        f"<li><span class={status} aria-hidden=true>{_SIGNS[status]}</span> {name} "
        f"{escape(title or '')} <span class={status}>"
        f"{'not gold' if status == 'extra' else status}</span> "
        f"<span class=quiet>{document.prediction.scores[code]:.3f}"
        f"{', ' + said if said else ''}</span></li>"
    )


def _marked(text: str, evidence: Mapping[str, Sequence[EvidenceSpan]]) -> Iterator[str]:
    """Yield a text in pieces; what is evidence is marked with its codes.

    Its title is the note that it is in, if several notes of an encounter are joined.
    """
    borders = {0, len(text)}
    for spans in evidence.values():
        borders |= {place for span in spans for place in (span.begin, span.end)}
    places = sorted(borders)
    for begin, end in pairwise(places):
        inside = {
            code: span
            for code, spans in evidence.items()
            for span in spans
            if span.begin <= begin and end <= span.end
        }
        piece = escape(text[begin:end])
        if not inside:
            yield piece
            continue
        last = [span for span in inside.values() if span.end == end]
        said = next((SAID_OF_IT[one.assertion] for one in last if one.assertion in SAID_OF_IT), "")
        notes = dict.fromkeys(span.place.note_id for span in inside.values() if span.place)
        title = f' title="{escape(", ".join(notes))}"' if notes else ""
        yield f'<mark data-codes="{escape(" ".join(inside))}"{title}>{piece}</mark>' + (
            f" <small>({said})</small>" if said else ""
        )
