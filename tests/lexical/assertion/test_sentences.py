"""Notes are cut into sentences although they wrap lines and leave out full stops."""

import pytest

from icdcli.lexical.assertion.sentences import SentenceSplitter

LONG = "the patient was seen in the emergency department today and"


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("No fever. Cough", ["no fever", "cough"]),
        ("3.5 mg e.g. iron", ["3 5 mg e g . iron"]),
        ("seen by Dr. House", ["seen by dr . house"]),
        ("Asma: no. Tos: no. Bed no. 5", ["asma : no", "tos : no", "bed no . 5"]),
        ("No hepatitis B. Gout", ["no hepatitis b", "gout"]),
        ("Gout -> no, asthma → yes => x", ["gout : no , asthma : yes : x"]),
        ("1. Gout\n2. Asthma", ["1 . gout", "2 . asthma"]),
        (f"{LONG}\nfever was found", [f"{LONG} fever was found"]),
        (f"{LONG}\nAspirin was given", [f"{LONG} aspirin was given"]),
        (f"{LONG}\nPlan: rest", [LONG, "plan : rest"]),
        (f"{LONG}\n- rest", [LONG, "- rest"]),
        (f"{LONG}\n\nrest", [LONG, "rest"]),
        ("Fever\nCough", ["fever", "cough"]),
        ("fever\tno", ["fever : no"]),
        (" \n ", []),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    found = [" ".join(sentence.tokens) for sentence in SentenceSplitter().split(text)]
    assert found == sentences


def test_a_text_without_marks_is_cut_at_times() -> None:
    sentences = list(SentenceSplitter().split("word " * 4_500))
    assert [len(sentence.tokens) for sentence in sentences] == [2_000, 2_000, 500]


def test_each_token_has_its_place() -> None:
    text = "No fever.\n\nCough: n\u0303o"
    for sentence in SentenceSplitter().split(text):
        for token, begin in zip(sentence.tokens, sentence.begins, strict=True):
            assert text[begin].lower() == token[0]
