"""The rows of words: the lexical model alone, and what more cases would gain."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

WORDS = {
    "j18.9": "neumonía basal",
    "i10": "hipertensión arterial",
    "e11.9": "diabetes mellitus",
    "n20.0": "litiasis renal",
    "k35.80": "apendicitis aguda",
}
CHANGES = ("label_space=train", "lexical=ngrams", "lexicon=False")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return cases of two codes each; dev has a code that train has only once."""
    cases = [*WORDS.items()]
    for folder, number in (("train", 20), ("dev", 20)):
        part = tmp_path / "codiesp" / folder
        (part / "text_files").mkdir(parents=True)
        lines = []
        for case in range(number):
            first = cases[case % 4]
            second = cases[4] if folder == "dev" or case == 7 else cases[(case + 1) % 4]
            text = f"Paciente con {first[1]}. También {second[1]}."
            (part / "text_files" / f"{folder}{case}.txt").write_text(text, "utf-8")
            lines += [f"{folder}{case}\t{code}" for code, _ in (first, second)]
        (part / f"{folder}D.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    return tmp_path / "codiesp"


@pytest.mark.slow
def test_the_gain_is_that_of_models_that_have_seen_most_of_dev(
    script: Callable[[str], ModuleType], data: Path, tmp_path: Path
) -> None:
    words = script("quality_words")
    found = words.gain_of_words("codiesp_es.yaml", list(CHANGES), data, tmp_path / "out")
    assert found["gain"]["trained_on"] == {"run": 20, "folds": 36, "refit": 40}
    assert found["gain"]["measured_on"] == 20
    assert found["metrics"]["map"] > 0.1
    low, high = found["intervals"]["map"]
    assert 0 < low < found["metrics"]["map"] < high


@pytest.mark.slow
def test_cross_fitting_scores_all_cases(
    script: Callable[[str], ModuleType], data: Path, tmp_path: Path
) -> None:
    words = script("quality_words")
    found = words.cross_fit_words("codiesp_es.yaml", list(CHANGES), data, tmp_path / "out")
    assert found["metrics"]["map"] > 0.8
    assert found["metrics"]["recall_micro"] > 0.8
