from pathlib import Path

import pytest

from icdcli.errors import DataError
from icdcli.evaluation.predictions.run import score_predictions
from icdcli.evaluation.predictions.spelling import CodeSpelling, guess_system


def test_codes_with_and_without_dots_are_the_same() -> None:
    spelling = CodeSpelling("icd10")
    written = ("e119", "E11.9", "E11.9.", " i10 ", "0BJ08ZZ", "s020xxa")
    spelled = [spelling.spelled(code) for code in written]
    assert spelled == ["E11.9", "E11.9", "E11.9", "I10", "0BJ08ZZ", "S02.0XXA"]


def test_a_code_of_icd9_without_its_dot_is_the_one_that_is_there() -> None:
    spelling = CodeSpelling("icd9")
    spelling.learn(["03.31", "428.0"])
    assert spelling.spelled("0331", dots=False) == "03.31"
    assert spelling.spelled("4280", dots=False) == "428.0"
    assert spelling.spelled("0412", dots=False) == "041.2"  # in neither: a diagnosis


def test_a_code_that_may_be_two_is_refused() -> None:
    spelling = CodeSpelling("icd9")
    spelling.learn(["03.31", "033.1"])
    assert spelling.spelled("03.31") == "03.31"
    with pytest.raises(DataError, match=r"p.csv: '0331' has no dot and may be 03.31 or 033.1"):
        spelling.spelled("0331", dots=False, where="p.csv")


def test_in_a_file_with_dots_a_code_without_one_needs_none() -> None:
    spelling = CodeSpelling("icd9")
    spelling.learn(["48.6"])
    assert spelling.spelled("486", dots=True) == "486"
    assert spelling.spelled("486", dots=False) == "48.6"


def test_without_a_system_the_dots_of_the_gold_codes_decide() -> None:
    spelling = CodeSpelling(None)
    spelling.learn(["A15.0", "B1"])
    assert [spelling.spelled(code, dots=False) for code in ("a150", "b1", "c99")] == [
        "A15.0",
        "B1",
        "C99",
    ]


def test_the_system_is_that_of_most_codes() -> None:
    assert guess_system(["I10", "E11.9", "J18.9", "CODE6"]) == "icd10"
    assert guess_system(["4280", "401.9", "V15.82"]) == "icd9"
    assert guess_system(["x1", "y2"]) is None
    assert guess_system([]) is None


@pytest.mark.parametrize(
    "content",
    [
        "id,code,score\na,E11.9,0.4\na,e119,0.6\n",
        'id,codes\na,"{""E11.9"": 0.4, ""E119"": 0.6}"\n',
    ],
)
def test_a_code_in_two_spellings_has_one_score(tmp_path: Path, content: str) -> None:
    predictions, gold = tmp_path / "p.csv", tmp_path / "gold.csv"
    predictions.write_text(content, encoding="utf-8")
    gold.write_text("id,codes\na,E11.9; I10\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"'a' has the code E11\.9 twice .*Write it once\.$"):
        score_predictions(predictions, gold)
    predictions.write_text(content.replace("0.6", "0.4"), encoding="utf-8")
    notes = score_predictions(predictions, gold).notes
    assert any("1 code left out, which the document already has" in note for note in notes)
