"""Stores for the tests of the page: invented notes, and suggestions made by hand."""

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from icdcli.explain.spans import EvidenceSpan
from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.records import edition_id, edition_record
from icdcli.review.notes import ReviewNote, import_notes
from icdcli.review.store import Store, open_store
from icdcli.review.suggestions import SuggestingModel, Suggestion, add_model, add_suggestions

EDITION = "icd10cm-2026-04"
TEXT = """Chief complaint:
Fever and cough for three days.

History of present illness:
A 71-year-old man with known hypertension and type 2 diabetes was admitted with \
community-acquired pneumonia of the right lower lobe. He denies chest pain. His mother had \
breast cancer.

Hospital course:
Ceftriaxone and azithromycin were given for pneumonia. Creatinine rose to 1.9 mg/dL, as expected \
in chronic kidney disease, stage 3. The blood pressure was controlled with lisinopril.

Discharge diagnoses:
Pneumonia. Hypertension. Diabetes mellitus type 2.
"""
# Code, confidence, its words in the text, and what the note says of them.
SUGGESTED = (
    ("J18.9", 0.96, ("community-acquired pneumonia", "pneumonia. Creatinine"), "affirmed"),
    ("I10", 0.91, ("known hypertension", "Hypertension."), "affirmed"),
    ("E11.9", 0.84, ("type 2 diabetes", "Diabetes mellitus type 2"), "affirmed"),
    ("N18.3", 0.62, ("chronic kidney disease, stage 3",), "affirmed"),
    ("R07.9", 0.31, ("chest pain",), "negated"),
    ("C50.919", 0.12, ("breast cancer",), "family"),
)
"""N18.3 is not assignable (N18.30 and so on are): a hard finding. The last two are below .5."""
PREDICTED = ("J18.9", "I10", "E11.9", "N18.3")


def span(text: str, words: str, assertion: str = "affirmed", weight: float = 0.5) -> EvidenceSpan:
    """Return the span of the first occurrence of words."""
    begin = text.index(words)
    return EvidenceSpan(begin, begin + len(words), weight, assertion)


def suggestion(
    code: str, confidence: float, spans: Iterable[EvidenceSpan] = (), title: str | None = None
) -> Suggestion:
    """Return a suggestion with the title of the edition, or another one."""
    edition = find_edition(EDITION)
    where = edition_id(edition_record(edition))
    title = edition.title(code) if title is None else title
    return Suggestion(code, title, confidence, confidence, 0.5, where, tuple(spans))


def suggested(text: str = TEXT) -> list[Suggestion]:
    """Return the suggestions for `TEXT`, or for one that contains it."""
    return [
        suggestion(code, confidence, [span(text, words, assertion) for words in several])
        for code, confidence, several, assertion in SUGGESTED
    ]


def made_store(
    path: Path,
    notes: Sequence[tuple[ReviewNote, Sequence[Suggestion]]] = (),
    *,
    count: int = 0,
    **options: object,
) -> Store:
    """Return a new store, open, with notes and their suggestions.

    Args:
        path: The file.
        notes: Notes with what is suggested for them.
        count: Add this many notes of `TEXT`: n1, n2 and so on, from the most uncertain one on.
        options: Further options of `open_store`.
    """
    same = [
        (ReviewNote(f"n{number}", TEXT, day=date(2026, 11, number), language="en"), suggested())
        for number in range(1, count + 1)
    ]
    store = open_store(path, **options)
    every = [*same, *notes]
    edition = find_edition(EDITION)
    codes = sorted({one.code for _, several in every for one in several})
    model = SuggestingModel(
        "5e" * 32, "outputs/notes", codes, {"diagnosis": edition_record(edition)}
    )
    import_notes(store, [note for note, _ in every])
    add_model(store, model)
    add_suggestions(store, model.sha256, [(note.id, several) for note, several in every])
    return store
