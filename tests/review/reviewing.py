"""Notes, models and suggestions that the tests of reviewing share."""

from collections.abc import Sequence

from icdcli.explain.spans import EvidenceSpan
from icdcli.review.notes import ReviewNote, import_notes
from icdcli.review.store import Store
from icdcli.review.suggestions import SuggestingModel, Suggestion, add_model, add_suggestions

TEXT = "Admitted with pneumonia. Denies chest pain. Known hypertension."
EDITIONS = {"diagnosis": {"name": "icd10cm-2026-04", "sha256": "6f1c" * 16}}
CODES = ("E11.9", "I10", "J18.9", "R07.9")


def model(name: str = "first", **changes: object) -> SuggestingModel:
    values = {
        "sha256": (name.encode().hex() + "0" * 64)[:64],
        "name": name,
        "codes": CODES,
        "editions": EDITIONS,
        "validation": {"precision_micro": 0.75},
    }
    return SuggestingModel(**{**values, **changes})


def suggestion(code: str, score: float = 0.9, threshold: float = 0.5) -> Suggestion:
    spans = {
        "J18.9": (EvidenceSpan(14, 23, 0.5, "affirmed"),),
        "R07.9": (EvidenceSpan(32, 42, 0.25, "negated"),),
        "I10": (EvidenceSpan(50, 62, 0.5, "historical"),),
    }
    return Suggestion(
        *(code, f"Title of {code}", score, score, threshold, "icd10cm-2026-04@6f1c6f1c6f1c"),
        spans.get(code, ()),
    )


def suggested(*scores: float) -> list[Suggestion]:
    """Return suggestions of J18.9, I10 and R07.9 with these scores, else .9, .6 and .3."""
    values: Sequence[float] = scores or (0.9, 0.6, 0.3)
    return [
        suggestion(code, score)
        for code, score in zip(("J18.9", "I10", "R07.9"), values, strict=False)
    ]


def fill(store: Store, count: int = 1) -> list[str]:
    """Import notes n1, n2 … with suggestions of a model."""
    ids = [f"n{number}" for number in range(1, count + 1)]
    import_notes(store, [ReviewNote(id, f"{TEXT} Note {id}.") for id in ids])
    add_model(store, model())
    add_suggestions(store, model().sha256, [(id, suggested()) for id in ids])
    return ids
