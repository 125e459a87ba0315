import re
from collections import Counter, defaultdict
from random import Random

import pytest

from icdcli.data.synthetic.conditions import BY_CODE, CONDITIONS, sample_conditions
from icdcli.data.synthetic.notes import compose_note, reworded
from icdcli.icd.titles import title_of, titles


def write_note(*arguments):
    return compose_note(*arguments).text


# --- the vocabulary


def test_every_code_is_official() -> None:
    assert [
        item.code for item in CONDITIONS if title_of(item.code, item.kind, "icd9") is None
    ] == []
    assert len(BY_CODE) == len(CONDITIONS)


def test_conditions_refer_only_to_earlier_ones() -> None:
    above: set[str] = set()
    for item in CONDITIONS:
        assert {*item.likelier, *item.needs, *item.replaces} <= above, item.code
        above.add(item.code)


def test_every_condition_has_several_wordings_of_its_own() -> None:
    owners = defaultdict(set)
    for item in CONDITIONS:
        assert len(set(item.names)) >= 2, item.code
        for name in item.names:
            owners[name.lower()].add(item.code)
    assert {name: codes for name, codes in owners.items() if len(codes) > 1} == {}


def test_frequencies_have_common_codes_and_a_long_tail() -> None:
    rng = Random(0)
    counts = Counter(item.code for n in range(3000) for item in sample_conditions(rng, "FM"[n % 2]))
    shares = sorted((count / 3000 for count in counts.values()), reverse=True)
    assert 0.30 <= shares[0] <= 0.50
    assert sum(share < 0.02 for share in shares) >= 10
    assert shares[-1] < 0.01


def test_rules_of_the_classification_hold() -> None:
    rng = Random(0)
    drawn = [{item.code for item in sample_conditions(rng, "M")} for _ in range(3000)]
    assert not any(
        {"401.9", "403.90"} <= codes
        or {"305.1", "V15.82"} <= codes
        or {"995.91", "995.92"} <= codes
        for codes in drawn
    )
    assert not any("V10.3" in codes for codes in drawn)
    with_diabetes = [codes for codes in drawn if "250.00" in codes]
    kidneys = sum("585.9" in codes for codes in drawn) / len(drawn)
    assert sum("585.9" in codes for codes in with_diabetes) / len(with_diabetes) > 1.3 * kidneys


# --- the notes


def test_note_names_what_is_coded_and_varies_its_sections() -> None:
    rng, orders, mentioned = Random(3), set(), 0
    for _ in range(60):
        text = write_note(rng, ["584.9"], ["45.13"], {}).lower()
        mentioned += any(
            word.lower() in text for word in (*BY_CODE["584.9", "diagnosis"].names, "creatinine")
        )
        orders.add(tuple(re.findall(r"^([a-z /-]+):$", text, flags=re.MULTILINE)))
    assert mentioned >= 58
    assert len(orders) > 40


def test_no_placeholder_is_left_in_a_note() -> None:
    for item in CONDITIONS:
        codes = {"diagnosis": [], "procedure": [], item.kind: [item.code]}
        assert not re.search(
            r"[{}]", "".join(write_note(Random(seed), *codes.values(), {}) for seed in range(8))
        )


def test_some_conditions_are_not_among_the_discharge_diagnoses() -> None:
    rng, listed = Random(0), 0
    for _ in range(200):
        text = write_note(rng, ["584.9"], [], {})
        section = re.search(
            r"(?:Discharge Diagnosis|DISCHARGE DIAGNOSES|FINAL DIAGNOSIS):\n(.*?)\n\n",
            text,
            re.DOTALL,
        )
        assert section
        listed += any(
            name.lower() in section[1].lower() for name in BY_CODE["584.9", "diagnosis"].names
        )
    assert 80 < listed < 160


def test_every_note_has_mentions_that_do_not_count() -> None:
    note = compose_note(Random(5), ["401.9", "428.0"], [], {})
    assert note.not_counting >= 3
    texts = "".join(write_note(Random(seed), ["401.9"], [], {}) for seed in range(40)).lower()
    for words in ("no evidence of", "was ruled out", "father with", "denies", "since resolved"):
        assert words in texts


@pytest.mark.parametrize("seed", range(30))
def test_what_the_patient_has_is_never_denied(seed: int) -> None:
    text = write_note(Random(seed), ["428.0", "427.31"], [], {}).lower()
    for code in ("428.0", "427.31"):
        for name in BY_CODE[code, "diagnosis"].names:
            assert not re.search(
                r"(no|evidence of|sign of|history of|suspicion for|negative for) "
                rf"{re.escape(name.lower())}\.",
                text,
            )
            assert f"{name.lower()} was ruled out" not in text


def test_note_of_foreign_codes_uses_their_titles() -> None:
    names = {(code, "diagnosis"): title for code, title in titles("icd9", "diagnosis").items()}
    text = write_note(Random(0), ["592.0", "719.70"], [], names)
    assert "calculus of kidney" in text.lower()
    assert "592" not in text
    assert "719" not in text


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("Anemia, unspecified", "anemia"),
        ("Unspecified essential hypertension", "essential hypertension"),
        ("Pressure ulcer, lower back", "lower back pressure ulcer"),
        ("Urinary tract infection, site not specified", "urinary tract infection"),
        ("Human immunodeficiency virus [HIV] disease", "human immunodeficiency virus disease"),
        ("Other and unspecified hyperlipidemia", "hyperlipidemia"),
    ],
)
def test_titles_are_reworded(title: str, words: str) -> None:
    assert reworded(title) == words


def test_every_official_title_leaves_words() -> None:
    assert all(
        reworded(title).strip()
        for kind in ("diagnosis", "procedure")
        for title in titles("icd9", kind).values()
    )
