"""The codes in notes: in every form that the tabular list has, and how many are understood."""

import pytest

from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.rules.references import parse_notes, references_in, understood_notes


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("fractures of radius (S59.2-)", ["S59.201A", "S59.2"], ["S59.1", "S59"]),
        ("head injury NOS (S09.90)", ["S09.90", "S09.90XA"], ["S09.9", "S09.91"]),
        ("diabetes (E08-E13)", ["E08", "E10.9", "E13.9"], ["E07.9", "E14"]),
        ("heart failure (I50.2-I50.43)", ["I50.2", "I50.43", "I50.31"], ["I50.9", "I50.1"]),
        ("influenza (J09.X1, J10.0-, J11.0-)", ["J09.X1", "J10.08"], ["J10.1", "J09"]),
        ("conditions classifiable to S06.0- to S06.8-code to it", ["S06.0X0A", "S06.8"], ["S06.9"]),
        ("tendinitis as classified in M75-M77", ["M75.0", "M77.9"], ["M78"]),
        ("vitamin B12 deficiency anemia (D51.-)", ["D51.0"], ["B12", "D52"]),
        ("tuberculosis, any type in A15 (J65)", ["J65"], ["A15.0"]),
        ("aphasia (I69. with final characters -20)", ["I69.020", "I69.920"], ["I69.021", "I69"]),
        ("amnesia (F10-F19 with 5th character .6)", ["F10.16", "F19.96"], ["F10.15", "F10.6"]),
        ("hallucinations (F11-F19 with fifth to sixth characters 51)", ["F11.151"], ["F11.150"]),
        ("disorder (F10-F19 with .51-.52)", ["F10.51", "F10.52"], ["F10.50", "F10.53"]),
        ("open fracture (S02.- with 7th character B)", ["S02.0XXB"], ["S02.0XXA", "S02.0"]),
        ("absence of knee (Z89.52-", ["Z89.521"], ["Z89.51"]),
        ("torticollis NOS M43.6", ["M43.6"], ["M43.5"]),
    ],
)
def test_notes_refer_to_codes(text, inside, outside):
    note = parse_notes([text])[0]
    assert [code for code in inside if not note.has(code)] == []
    assert [code for code in outside if note.has(code)] == []


@pytest.mark.parametrize(
    "text",
    [
        "newborn atelectasis",
        "traumatic rupture of muscle - see strain of muscle by body region",
        "open fracture of elbow (S52.- with open fracture 7th character)",
    ],
)
def test_words_and_conditions_that_are_no_characters_are_no_references(text):
    assert references_in(text) == ()


def test_headings_go_before_the_items_of_their_list():
    notes = parse_notes(["underlying disease, such as:", "gout (M10.-)", "amyloidosis (E85.-)"])
    assert [note.text for note in notes] == [
        "underlying disease, such as: gout (M10.-)",
        "underlying disease, such as: amyloidosis (E85.-)",
    ]


def test_notes_in_words_only_can_be_listed():
    edition = find_edition("icd10cm-2026-04")
    found = understood_notes(edition, "excludes1")
    assert found.places == sum(1 for _ in edition.noted("excludes1"))
    assert found.places - found.understood == len({code for code, _ in found.in_words}) < 85
    assert ("J98.11", "newborn atelectasis") in found.in_words
    assert all(not references_in(text) for _, text in found.in_words)


# Places with notes of a kind in April 2026; those of which every note is understood.
@pytest.mark.parametrize(
    ("kind", "places", "understood"),
    [("excludes1", 2_647, 2_570), ("excludes2", 1_165, 1_145), ("code_first", 363, 280)],
)
def test_most_notes_of_april_2026_are_understood(kind, places, understood):
    found = [parse_notes(notes) for _, notes in find_edition("icd10cm-2026-04").noted(kind)]
    assert abs(len(found) - places) <= 4
    assert sum(all(note.references for note in notes) for notes in found) >= understood


def test_what_notes_refer_to_exists():
    """Three references of April 2026 are to codes that it doesn't have (G31.90, R10.4 …)."""
    edition = find_edition("icd10cm-2026-04")
    bare = sorted(code.replace(".", "") for code in edition.codes)
    known = {code[:length] for code in bare for length in range(3, len(code) + 1)}
    missing = {
        code
        for kind in ("excludes1", "excludes2", "code_first", "use_additional", "code_also")
        for _, notes in edition.noted(kind)
        for note in parse_notes(notes)
        for one in note.references
        for code in (one.first, one.last)
        if code not in known
    }
    assert len(missing) <= 3, missing
