"""The tests pass and fail as the model behaves."""

from types import SimpleNamespace

import pytest

from icdcli.data.corpus.reader import Labels
from icdcli.errors import ConfigError
from icdcli.evaluation.behavior.run import run_behavior, wilson_interval
from icdcli.evaluation.behavior.suite import conditions_of
from icdcli.icd.lexicon.abbreviations import abbreviations
from icdcli.icd.lexicon.synonyms import synonyms
from icdcli.lexical.views import Views
from icdcli.model.coding_model import CodePrediction

CODES = ("I10", "E11.9", "J18.9", "I50.9", "N39.0", "Z99.9")
LABELS = Labels(CODES, ("diagnosis",) * 6, (None,) * 6, (9, 8, 7, 6, 5, 4), (9,) * 6)


def model(assertion: str, knows: str = "everything") -> SimpleNamespace:
    """Return a model that codes the words of the lexicon, in facts or in mentions."""
    views = Views.of(assertion, "en")
    words = {
        code: [name.lower() for name in synonyms("en").get(code, ())]
        + [
            short.lower()
            for short, senses in abbreviations("en").items()
            if senses[0].code == code and knows == "everything"
        ]
        for code in CODES
    }

    def predict(texts):
        found = []
        for text in texts:
            read = f" {' '.join(views.read(text).lower().split())} ".replace(",", " ")
            codes = [c for c, names in words.items() if any(name in read for name in names)]
            found.append([CodePrediction(code, None, 0.9) for code in codes])
        return found

    return SimpleNamespace(labels=LABELS, views=views, predict=predict)


def rates(report) -> dict[str, float]:
    return {one.name: one.rate for one in report.capabilities}


def test_a_model_of_facts_passes_and_one_of_mentions_codes_what_is_denied() -> None:
    facts, mentions = (rates(run_behavior(model(a), "icd10")) for a in ("facts", "mentions"))
    assert facts["affirmed"] == facts["abbreviation"] == mentions["affirmed"] == 1
    denied = ("negated", "list of negatives", "family", "family section", "ruled out")
    denied = (*denied, "indication", "allergy reaction", "unchecked box")
    assert {name: facts[name] for name in denied} == dict.fromkeys(denied, 1.0)
    assert {name: mentions[name] for name in denied} == dict.fromkeys(denied, 0.0)
    assert facts["line breaks"] == facts["irrelevant sentences"] == 1
    assert facts["typo"] < 1  # it knows exact words only


def test_what_fails_is_listed_with_what_was_predicted() -> None:
    report = run_behavior(model("facts", knows="no abbreviation"), "icd10", codes=4)
    assert report.codes == CODES[:4]
    failed = next(one for one in report.capabilities if one.name == "abbreviation")
    assert (failed.passed, failed.rate) == (0, 0)
    assert failed.failures[0]["predicted"] == []
    assert "HTN" in " ".join(one["text"] for one in failed.failures)
    values = report.to_json()
    assert values["notes"] == sum(one["notes"] for one in values["capabilities"])


def test_conditions_are_those_with_documents_and_names() -> None:
    found = conditions_of(LABELS, "icd10", "en", 10)
    assert [one.code for one in found] == list(CODES[:5])
    assert conditions_of(LABELS, None, "en", 10) == []


def test_a_model_without_such_conditions_is_refused() -> None:
    with pytest.raises(ConfigError, match="has synonyms in the clinical lexicon"):
        run_behavior(model("facts"), None)


@pytest.mark.parametrize(
    ("passed", "notes", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)],
)
def test_wilson_interval(passed: int, notes: int, low: float, high: float) -> None:
    assert wilson_interval(passed, notes) == pytest.approx((low, high), abs=1e-4)
