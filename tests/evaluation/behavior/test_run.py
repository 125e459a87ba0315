"""The tests pass and fail as the model behaves."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from icdcli.data.corpus.reader import Labels
from icdcli.errors import ConfigError
from icdcli.evaluation.behavior.condition_names import names_of
from icdcli.evaluation.behavior.run import run_behavior
from icdcli.evaluation.behavior.templates import LANGUAGES
from icdcli.lexical.views import Views
from icdcli.model.coding_model import CodePrediction

CODES = ("I10", "E11.9", "J18.9", "I50.9", "N39.0", "R05", "R11.10", "R50.9", "N17.9", "Z99.9")
NUMBER = len(CODES)
COUNTS = tuple(range(NUMBER, 0, -1))
LABELS = Labels(CODES, ("diagnosis",) * NUMBER, (None,) * NUMBER, COUNTS, COUNTS)
DENIED = ("negated", "list of negatives", "family", "family section", "ruled out")
DENIED = (*DENIED, "return precautions", "indication", "allergy reaction", "unchecked box")


def model(assertion: str, language: str = "en", knows: str = "everything") -> SimpleNamespace:
    """Return a model that codes the names of its labels, in facts or in mentions."""
    views = Views.of(assertion, language)
    words = {}
    for code in CODES:
        names = names_of(code, "icd10", language)
        known = (*names.usual, *names.synonyms, *names.wordings)
        words[code] = (*known, *(names.abbreviations if knows == "everything" else ()))

    def predict(texts):
        found = []
        for text in texts:
            read = " ".join(views.read(text).lower().split())
            codes = [c for c, names in words.items() if any(n.lower() in read for n in names)]
            found.append([CodePrediction(code, None, 0.9) for code in codes])
        return found

    return SimpleNamespace(labels=LABELS, views=views, predict=predict)


def rates(report) -> dict[str, float]:
    return {one.name: one.rate for one in report.capabilities}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_model_of_facts_passes_and_one_of_mentions_codes_what_is_denied(language: str) -> None:
    facts, mentions = (
        rates(run_behavior(model(one, language), "icd10")) for one in ("facts", "mentions")
    )
    assert facts["affirmed"] == facts["abbreviation"] == mentions["affirmed"] == 1
    # The templates aren't made for the cues: some wordings are beyond them.
    assert min(facts[name] for name in DENIED) > 0.5
    assert {name: mentions[name] for name in DENIED} == dict.fromkeys(DENIED, 0.0)
    for same in ("line breaks", "placeholders", "date formats", "order of sections"):
        assert mentions[same] == 1, same
    inexact = "spacing" if language == "ko" else "typo"
    assert facts[inexact] < 1  # it knows exact words only


def test_what_fails_is_listed_with_what_was_predicted() -> None:
    report = run_behavior(model("facts", knows="no abbreviation"), "icd10", codes=4)
    assert report.codes == CODES[:4]
    failed = next(one for one in report.capabilities if one.name == "abbreviation")
    assert failed.rate < 1
    assert failed.failures[0]["predicted"] == []
    assert "HTN" in " ".join(one["text"] for one in failed.failures)
    values = report.to_json()
    assert values["notes"] == sum(one["notes"] for one in values["capabilities"])


def test_progress_is_reported_until_all_notes_are_tested() -> None:
    seen = []
    run_behavior(model("facts"), "icd10", on_progress=lambda *given: seen.append(given))
    assert [stage for stage, *_ in seen] == ["testing behavior"] * len(seen)
    assert {unit for *_, unit in seen} == {"notes"}
    done = [one[1] for one in seen]
    assert done == sorted(set(done))
    assert done[0] == 0  # announced before the first notes are read
    assert done[-1] == seen[-1][2]


def test_changed_codes_are_listed_with_those_of_the_base() -> None:
    forgetful = model("mentions")
    predict = forgetful.predict
    forgetful.predict = lambda texts: [
        [] if "___" in text else found for text, found in zip(texts, predict(texts), strict=True)
    ]
    report = run_behavior(forgetful, "icd10")
    changed = next(one for one in report.capabilities if one.name == "placeholders")
    assert changed.rate < 1
    assert all("___" in one["text"] and not one["predicted"] for one in changed.failures)
    assert all(one["of_base"] for one in changed.failures)


def test_held_out_notes_have_their_own_rate_and_stay_unread_unless_requested() -> None:
    blind = model("mentions")
    report = run_behavior(blind, "icd10")
    negated = next(one for one in report.capabilities if one.name == "negated")
    assert 0 < negated.held_out_notes < negated.notes
    only = run_behavior(blind, "icd10", held_out=True)
    alone = next(one for one in only.capabilities if one.name == "negated")
    assert (alone.notes, alone.passed) == (negated.held_out_notes, negated.held_out_passed)
    assert alone.seen_rate is None
    listed, hidden = ({one["text"] for one in r.failures} for r in (negated, alone))
    assert listed
    assert hidden
    assert not listed & hidden


def test_a_side_needs_its_own_code_and_not_the_other() -> None:
    codes = ("I10", "M25.561", "M25.562")
    labels = Labels(codes, ("diagnosis",) * 3, (None,) * 3, (3, 2, 1), (3, 2, 1))

    def of(answer):
        def predict(texts):
            return [[CodePrediction(code, None, 0.9) for code in answer(text)] for text in texts]

        views = Views.of("mentions", "en")
        tested = SimpleNamespace(labels=labels, views=views, predict=predict)
        return rates(run_behavior(tested, "icd10"))["laterality"]

    assert of(lambda text: [codes[1] if "right" in text else codes[2]]) == 1
    assert of(lambda _: codes) == 0
    assert of(lambda _: codes[1:2]) == 0.5


def test_a_history_needs_the_code_that_means_it() -> None:
    codes = ("I10", "Z80.3", "Z85.3", "C50.919")
    labels = Labels(codes, ("diagnosis",) * 4, (None,) * 4, (4, 3, 2, 1), (4, 3, 2, 1))

    def of(answer: str) -> dict[str, float]:
        def predict(texts):
            return [[CodePrediction(answer, None, 0.9)] for _ in texts]

        views = Views.of("mentions", "en")
        tested = SimpleNamespace(labels=labels, views=views, predict=predict)
        return rates(run_behavior(tested, "icd10"))

    assert of("Z85.3")["personal history"] == of("Z80.3")["family history"] == 1
    assert of("C50.919")["personal history"] == of("Z85.3")["family history"] == 0


def test_what_a_label_space_cannot_test_is_skipped_with_the_reason(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text('mine: {expect: coded, templates: ["my {name}"]}')
    lipids = model("facts", "ko")
    lipids.labels = Labels(("E78.5",), ("diagnosis",), (None,), (9,), (9,))
    few = run_behavior(lipids, "icd10", templates=own, held_out=True).skipped
    assert few["allergy reaction"] == "no symptom among the conditions"
    assert few["spacing"] == "no condition has the words that its templates need"
    assert few["mine"] == "none of its notes is held out"
    assert "mine" not in run_behavior(lipids, "icd10", templates=own).skipped
    skipped = run_behavior(model("facts"), "icd10").skipped
    assert "right and the left side" in skipped["laterality"]
    assert "means a personal history" in skipped["personal history"]
    assert run_behavior(model("facts"), "icd10").to_json()["skipped"] == skipped


def test_a_model_without_such_conditions_is_refused() -> None:
    with pytest.raises(ConfigError, match="has a name in the clinical lexicon"):
        run_behavior(model("facts"), None)
