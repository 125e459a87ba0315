from collections.abc import Callable

import pytest

from icdcli.data.encounters.boundaries import NotePlace
from icdcli.explain.spans import EvidenceSpan
from icdcli.report.console import Output
from icdcli.report.views.evidence import evidence_view, passages

Render = Callable[..., list[str]]

TEXT = "Mujer de 43 años.\nNiega fiebre; refiere  lumbalgia\tintensa 😷.  Alta."


def spans(text: str, *words: str) -> tuple[EvidenceSpan, ...]:
    return tuple(
        EvidenceSpan(text.index(word), text.index(word) + len(word), 0.5) for word in words
    )


def passages_of(text: str, *words: str) -> list[str]:
    found = passages(text, spans(text, *words))
    return [
        "".join(f"[{piece}]" if marked else piece for piece, marked in passage) for passage in found
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fiebre"], ["Niega [fiebre]; refiere lumbalgia intensa 😷."]),
        (["fiebre", "lumbalgia\tintensa"], ["Niega [fiebre]; refiere [lumbalgia intensa] 😷."]),
        (["Mujer", "Alta"], ["[Mujer] de 43 años.", "[Alta]."]),
        (["años.\nNiega"], ["Mujer de 43 [años. Niega] fiebre; refiere lumbalgia intensa 😷."]),
        ([], []),
    ],
)
def test_evidence_is_shown_in_its_sentences(words: list[str], expected: list[str]) -> None:
    assert passages_of(TEXT, *words) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He was treated for\nfever. Home.", "He was treated for [fever]."),
        ("PLAN:\n- fever\n  and chills\n- rest", "- [fever] and chills"),
        ("No complaints\n\nfever since Monday", "[fever] since Monday"),
        ("fever\nCough", "[fever]"),
    ],
)
def test_a_sentence_continues_on_a_line_that_begins_in_lower_case(text: str, expected: str) -> None:
    assert passages_of(text, "fever") == [expected]


def test_long_sentences_are_cut_around_the_evidence() -> None:
    text = " ".join(f"w{number}" for number in range(400))
    (one,) = passages_of(text, "w200")
    assert one.startswith("…w1")
    assert one.endswith("…")
    assert "[w200]" in one
    assert len(one) < 260
    assert all(word.strip("[]…") in text.split() for word in one.split())
    near, far = passages_of(text, "w200", "w203", "w300")
    assert "[w200]" in near
    assert "[w203]" in near
    assert "[w300]" in far
    assert passages_of(text, "w0 ")[0].startswith("[w0 ]w1")
    assert passages_of(text, "w399")[0].endswith("w398 [w399]")


def test_a_very_long_word_around_the_evidence_is_left_out() -> None:
    text = "x" * 400 + " fiebre " + "y" * 400
    assert passages_of(text, "fiebre") in (["…[fiebre]…"], ["… [fiebre] …"])


def test_asterisks_replace_the_style_in_plain_text(render: Render) -> None:
    view = evidence_view(
        TEXT,
        [("M54.5", "Low back [bold]pain", spans(TEXT, "lumbalgia")), ("R50", None, ())],
        signs=True,
    )
    assert render(view) == [
        "M54.5  Low back [bold]pain",
        "  Niega fiebre; refiere **lumbalgia** intensa 😷.",
        "R50",
        "",
    ]


def test_it_fits_the_width(render: Render) -> None:
    text = "fiebre " * 40
    for width in (40, 80):
        lines = render(
            evidence_view(text, [("R50", "Fever " * 30, spans(text, "fiebre"))], signs=True), width
        )
        assert max(map(len, lines)) <= width
        assert len(lines) > 3


def test_on_a_terminal_the_words_have_a_style_and_no_asterisks(terminal: Output) -> None:
    terminal.show(evidence_view(TEXT, [("M54.5", None, spans(TEXT, "lumbalgia"))], signs=False))
    shown = terminal.console.file.getvalue()  # type: ignore[attr-defined]
    assert "**" not in shown
    assert "\x1b[1;7mlumbalgia\x1b[0m" in shown


def test_control_characters_never_reach_the_terminal(render: Render) -> None:
    text = "ni\x1b[31mega fiebre"
    lines = render(evidence_view(text, [("R50", None, spans(text, "fiebre"))], signs=True))
    assert lines[1] == "  ni�[31mega **fiebre**"


def with_classes(text: str, classes: dict[str, str | None]) -> tuple[EvidenceSpan, ...]:
    """Return spans of some words with the class that the note gives them."""
    found = zip(spans(text, *classes), classes.values(), strict=True)
    return tuple(span._replace(assertion=assertion) for span, assertion in found)


def test_evidence_that_is_not_affirmed_carries_what_the_note_says_of_it(render: Render) -> None:
    marked = with_classes(TEXT, {"fiebre": "negated", "lumbalgia": "affirmed"})
    assert render(evidence_view(TEXT, [("R50", None, marked)], signs=True))[:2] == [
        "R50",
        "  Niega **fiebre** (denied); refiere **lumbalgia** intensa 😷.",
    ]


@pytest.mark.parametrize(
    ("assertion", "marked"),
    [
        ("negated", True),
        ("family", True),
        ("resolved", True),
        ("historical", False),
        ("affirmed", False),
        (None, False),
    ],
)
def test_a_code_without_affirmed_evidence_is_marked(
    render: Render, assertion: str | None, marked: bool
) -> None:
    code = ("R50", "Fever", with_classes(TEXT, {"fiebre": assertion}))
    heading = render(evidence_view(TEXT, [code], signs=True))[0]
    assert ("(no affirmed evidence)" in heading) == marked


@pytest.mark.parametrize(
    ("code", "assertion", "marked"),
    [
        ("Z80.0", "family", False),
        ("V16.0", "family", False),
        ("Z80.0", "negated", True),
        ("Z80.0", "resolved", True),
        ("Z87.01", "resolved", False),
        ("V12.61", "resolved", False),
        ("Z87.01", "family", True),
    ],
)
def test_a_history_is_what_codes_of_a_history_say(
    render: Render, code: str, assertion: str, marked: bool
) -> None:
    found = (code, None, with_classes(TEXT, {"fiebre": assertion}))
    heading = render(evidence_view(TEXT, [found], signs=True))[0]
    assert ("(no affirmed evidence)" in heading) == marked


def test_a_code_without_any_evidence_is_not_marked(render: Render) -> None:
    assert render(evidence_view(TEXT, [("R50", "Fever", ())], signs=True))[0] == "R50  Fever"


@pytest.mark.parametrize(("several", "ends"), [(True, " [n1]"), (False, "")])
def test_the_note_of_a_passage_is_named_if_several_are_joined(
    render: Render, several: bool, ends: str
) -> None:
    (span,) = spans(TEXT, "fiebre")
    marked = (span._replace(place=NotePlace("n1", 6, 12)),)
    lines = render(evidence_view(TEXT, [("R50", None, marked)], True, several))
    assert lines[1].rstrip() == f"  Niega **fiebre**; refiere lumbalgia intensa 😷.{ends}"
