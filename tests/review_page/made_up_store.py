"""A review store with invented notes and suggestions, without training anything.

As a script, it serves them on this computer, and reads templates and scripts anew each time:

    PYTHONPATH=. python tests/review_page/made_up_store.py 8765
    PYTHONPATH=. python tests/review_page/made_up_store.py 8765 --users   (passwords: see PASSWORD)

No word of it is of a patient.
"""

import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from icdcli.explain.spans import EvidenceSpan
from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.records import edition_id, edition_record
from icdcli.review.decisions import DecisionDraft
from icdcli.review.notes import ReviewNote, import_notes
from icdcli.review.readings import append_decisions
from icdcli.review.store import Store, open_store
from icdcli.review.suggestions import SuggestingModel, Suggestion, add_model, add_suggestions
from icdcli.review.users import Role, create_user

PASSWORD = "made-up password"
USERS: tuple[tuple[str, Role], ...] = (
    ("ana", "reviewer"),
    ("ben", "reviewer"),
    ("eva", "adjudicator"),
    ("root", "admin"),
)
ATTACK = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
LONG_WORDS = 30_000

Mention = tuple[str, str, float, str | None]
"""A code, words of the note, the score, and what the note says of the words."""

PLAIN = (
    "CHIEF COMPLAINT: Cough and fever for three days.\n\n"
    "HISTORY OF PRESENT ILLNESS:\n"
    "A retired gardener came with a productive cough, fever and shivering. She denies chest pain "
    "and has had no vomiting. Her high blood pressure has been treated for ten years.\n\n"
    "FAMILY HISTORY:\nHer mother had breast cancer; a brother has asthma.\n\n"
    "ASSESSMENT AND PLAN:\n"
    "1. Community-acquired pneumonia, right lower lobe. Antibiotics by mouth.\n"
    "2. Hypertension, well controlled. Tablets unchanged.\n"
    "3. Type 2 diabetes mellitus without complications. Diet.\n"
)
SIDES = (
    "ASSESSMENT:\nType 1 diabetes since childhood; the referral says type 2 diabetes instead.\n"
    "Fell from a ladder and broke the left wrist, a closed fracture of the distal radius.\n"
)
SIGNS = (
    "Plan 🩺: the patient 👩🏽‍🌾 said “I’m fine” 😀.\n"
    "Ménière’s disease, written with combining characters: Me\u0301nie\u0300re’s disease.\n"
    "Then 👨‍👩‍👧‍👦 visited. Hypertension 💊 is known; naïve café résumé.\n"
)
KOREAN = (
    "주소: 3일간의 기침과 발열.\n\n과거력:\n고혈압으로 약을 복용 중이다.\n\n"
    "평가:\n폐렴. 당뇨병은 없다.\n"
)
SPANISH = (
    "MOTIVO DE CONSULTA: Tos y fiebre de tres días.\n\n"
    "ANTECEDENTES FAMILIARES:\nSu madre tuvo cáncer de mama.\n\n"
    "JUICIO CLÍNICO:\nNeumonía adquirida en la comunidad. Niega dolor torácico. Hipertensión.\n"
)
PLAIN_MENTIONS: tuple[Mention, ...] = (
    ("J18.9", "Community-acquired pneumonia", 0.93, "affirmed"),
    ("I10", "Hypertension", 0.88, "affirmed"),
    ("E11.9", "Type 2 diabetes mellitus", 0.71, "affirmed"),
    ("R05.9", "productive cough", 0.52, "affirmed"),
    ("R07.9", "chest pain", 0.41, "negated"),
    ("C50.919", "breast cancer", 0.22, "family"),
)


def long_note() -> str:
    """Return an invented note of 30,000 words in sections."""
    sentences = (
        "On day {n} the patient slept well and walked to the window.",
        "Breakfast was eaten, the wound was dry, and the pulse was regular.",
        "The family visited in the afternoon and asked about going home.",
        "Hypertension was treated as before, and there was no fever.",
    )
    parts, words, day = [], 0, 0
    while words < LONG_WORDS:
        day += 1
        part = f"DAY {day}:\n" + " ".join(one.format(n=day) for one in sentences * 6) + "\n\n"
        words += len(part.split())
        parts.append(part)
    return "".join(parts)


def spans(text: str, words: str, assertion: str | None) -> tuple[EvidenceSpan, ...]:
    """Return the first three places of some words."""
    found, place = [], text.find(words)
    while place >= 0 and len(found) < 3:
        found.append(EvidenceSpan(place, place + len(words), 0.5, assertion))
        place = text.find(words, place + 1)
    return tuple(found)


def suggestions_in(text: str, mentions: Sequence[Mention]) -> list[Suggestion]:
    """Return suggestions for the words of a text, the highest score first."""
    edition = find_edition("icd10cm")
    name = edition_id(edition_record(edition))
    return [
        Suggestion(
            *(code, edition.title(code), score, round(score**1.2, 3), 0.5, name),
            spans(text, words, assertion),
        )
        for code, words, score, assertion in sorted(mentions, key=lambda one: -one[2])
    ]


def made_up_notes() -> list[tuple[ReviewNote, list[Suggestion]]]:
    """Return a dozen invented notes with suggestions."""
    found: list[tuple[ReviewNote, list[Suggestion]]] = []

    def add(
        id: str, text: str, mentions: Sequence[Mention], language: str = "en", day: int = 1
    ) -> None:
        note = ReviewNote(id, text, day=date(2026, 5, day), language=language)
        found.append((note, suggestions_in(text, mentions)))

    add("plain", PLAIN, PLAIN_MENTIONS)
    add(
        "findings",  # Excludes1, a category beside its code, a fracture without its last character
        SIDES,
        (
            ("E10.9", "Type 1 diabetes", 0.9, "affirmed"),
            ("E11.9", "type 2 diabetes", 0.6, "affirmed"),
            ("S52.502", "broke the left wrist", 0.8, "affirmed"),
            ("S52.5", "fracture of the distal radius", 0.55, "affirmed"),
        ),
        day=2,
    )
    add(
        "signs",
        SIGNS,
        (
            ("H81.09", "Me\u0301nie\u0300re’s disease", 0.8, "affirmed"),
            ("I10", "Hypertension 💊", 0.7, "historical"),
        ),
    )
    add(
        "attack <b>&amp;</b>",
        f"History: {ATTACK}\nAsthma & allergy < 3 years; \"quoted\" 'words'.\n" + PLAIN,
        (("J45.909", "Asthma", 0.9, "affirmed"), ("I10", ATTACK, 0.6, "affirmed")),
    )
    add(
        "korean",
        KOREAN,
        (
            ("J18.9", "폐렴", 0.9, "affirmed"),
            ("I10", "고혈압", 0.8, "affirmed"),
            ("E11.9", "당뇨병", 0.4, "negated"),
        ),
        "ko",
    )
    add(
        "spanish",
        SPANISH,
        (
            ("J18.9", "Neumonía", 0.9, "affirmed"),
            ("I10", "Hipertensión", 0.8, "affirmed"),
            ("R07.9", "dolor torácico", 0.4, "negated"),
            ("C50.919", "cáncer de mama", 0.3, "family"),
        ),
        "es",
    )
    add("empty", "", ())
    text = long_note()
    add(
        "long",
        text,
        (
            ("I10", "Hypertension", 0.9, "affirmed"),
            ("R50.9", "fever", 0.45, "negated"),
            ("Z48.00", "wound", 0.55, "affirmed"),
        ),
    )
    for number in range(1, 7):
        add(f"more {number}", f"Visit {number}.\n\n{PLAIN}", PLAIN_MENTIONS[: number + 1])
    return found


def fill_made_up(store: Store, *, accept_others: bool = False) -> None:
    """Import the notes and their suggestions; one note is submitted, one has no suggestions."""
    found = made_up_notes()
    import_notes(store, [note for note, _ in found])
    edition = find_edition("icd10cm")
    codes = sorted({one.code for _, several in found for one in several})
    model = SuggestingModel(
        *("made" * 16, "made up", codes, {"diagnosis": edition_record(edition)}),
        {"precision_micro": 0.8},
    )
    add_model(store, model, accept_others=accept_others)
    add_suggestions(
        store, model.sha256, [(note.id, own) for note, own in found if note.id != "more 6"]
    )
    drafts = [
        DecisionDraft("accept", {"code": "J18.9"}, 4.0),
        DecisionDraft("accept", {"code": "I10"}, 2.0),
        DecisionDraft("submit"),
    ]
    append_decisions(store, "more 1", drafts, author="somebody", seen=0)


def made_up_store(path: Path, *, users: bool = False, double_share: float = 0.0) -> Store:
    """Return a new store with invented notes, suggestions and, if asked, users."""
    store = open_store(path, double_share=double_share)
    fill_made_up(store)
    for name, role in USERS if users else ():
        create_user(store, name, PASSWORD, role)
    return store


def main() -> None:
    """Serve a made-up store until Ctrl-C."""
    import uvicorn

    from icdcli.review_page.app import create_review_app
    from icdcli.review_page.settings import PageSettings

    port = next((int(word) for word in sys.argv[1:] if word.isdecimal()), 8765)
    with tempfile.TemporaryDirectory() as folder:
        share = 0.5 if "--double" in sys.argv else 0.0
        with made_up_store(
            Path(folder) / "review.db", users="--users" in sys.argv, double_share=share
        ) as store:
            app = create_review_app(store, PageSettings(reload_files=True))
            uvicorn.run(app, host="127.0.0.1", port=port, proxy_headers=False)


if __name__ == "__main__":
    main()
