"""Stores for the tests of the page: invented notes, and suggestions made by hand."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from made_up_store import suggestions_in

from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.records import edition_record
from icdcli.review.notes import ReviewNote, import_notes
from icdcli.review.store import Store, open_store
from icdcli.review.suggestions import SuggestingModel, Suggestion, add_model, add_suggestions

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
SUGGESTED = (
    ("J18.9", "pneumonia", 0.96, "affirmed"),
    ("I10", "hypertension", 0.91, "affirmed"),
    ("E11.9", "type 2", 0.84, "affirmed"),
    ("N18.3", "chronic kidney disease, stage 3", 0.62, "affirmed"),
    ("R50.9", "Fever", 0.58, "affirmed"),
    ("R05.9", "cough", 0.55, "affirmed"),
    ("R07.9", "chest pain", 0.31, "negated"),
    ("C50.919", "breast cancer", 0.12, "family"),
)
"""N18.3 is not assignable (N18.30 and so on are): a hard finding. The last two are below .5."""
PREDICTED = ("J18.9", "I10", "E11.9", "N18.3", "R50.9", "R05.9")


def suggested(text: str = TEXT) -> list[Suggestion]:
    """Return the suggestions for `TEXT`, or for a text that contains it."""
    return suggestions_in(text, SUGGESTED)


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
        count: Add this many notes with `TEXT`: n1, n2 and so on, from the most uncertain one on.
        options: Further options of `open_store`.
    """
    same = []
    for number in range(1, count + 1):
        text, day = f"{TEXT}Note {number}.\n", date(2026, 11, number)
        same.append((ReviewNote(f"n{number}", text, day=day, language="en"), suggested()))
    store = open_store(path, **options)
    every = [*same, *notes]
    edition = find_edition("icd10cm")
    codes = sorted({one.code for _, several in every for one in several})
    model = SuggestingModel(
        "5e" * 32, "outputs/notes", codes, {"diagnosis": edition_record(edition)}
    )
    import_notes(store, [note for note, _ in every])
    add_model(store, model)
    add_suggestions(store, model.sha256, [(note.id, several) for note, several in every])
    return store


def long_text(words: int) -> str:
    """Return a note of about this many words in 20 sections, which begins with `TEXT`."""
    sentence = "The patient was seen on rounds, and no acute events occurred overnight. "
    per_section = max(words // 20 // len(sentence.split()), 1)
    parts = [f"Progress note {part}:\n{sentence * per_section}\n" for part in range(1, 21)]
    return "\n".join([TEXT, *parts])
