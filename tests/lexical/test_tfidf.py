import json
import re
import stat

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from icdcli.errors import DataError, ResumeError
from icdcli.lexical import tfidf
from icdcli.lexical.linear.machines import WEIGHTS_FROM
from icdcli.lexical.tfidf import Tfidf, _Sigmoid

LABELS = 12


@pytest.fixture(scope="module")
def notes(synthetic_notes):
    return synthetic_notes(300, LABELS)


@pytest.fixture(scope="module")
def fitted(notes):
    return fit(notes)


def fit(notes, targets=None, labels=LABELS, **options):
    return Tfidf.fit(notes.texts, notes.targets if targets is None else targets, labels, **options)


def matrix(targets, labels=LABELS):
    targets_NL = np.zeros((len(targets), labels), bool)
    for row, document in zip(targets_NL, targets, strict=True):
        row[document] = True
    return targets_NL


def probabilities(logits):
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def same(one, other, texts):
    return np.array_equal(one.logits(texts), other.logits(texts))


def test_it_is_the_classifier_of_scikit_learn_without_small_weights(notes, fitted):
    features = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(notes.texts)
    for label in (0, 5):
        [expected] = (
            LinearSVC(dual=False, tol=0.01).fit(features, matrix(notes.targets)[:, label]).coef_
        )
        kept = np.abs(expected) > WEIGHTS_FROM * np.abs(expected).max()
        found = fitted.weights_FL[:, [label]].toarray()[:, 0]
        assert np.array_equal(found != 0, kept)
        assert 0 < kept.sum() < len(kept)
        slopes = found[kept] / expected[kept]
        np.testing.assert_allclose(slopes, slopes[0], rtol=1e-5)
        assert slopes[0] > 0


def test_new_notes_get_their_codes(synthetic_notes, fitted, notes):
    # The same words, which depend only on the labels, in other documents.
    new = synthetic_notes(301, LABELS)
    new_texts = [
        " ".join(notes.names[label] for label in targets) + " and so on" for targets in new.targets
    ]
    scores = fitted.logits(new_texts)
    for row, targets in enumerate(new.targets):
        assert set(np.argsort(-scores[row])[: len(targets)]) == set(targets)


def test_scores_are_calibrated_out_of_fold(notes):
    # Half of the codes' words are missing, so no score can be certain.
    random = np.random.default_rng(0)
    hidden = [
        " ".join(word for word in text.split() if random.random() < 0.5) for text in notes.texts
    ]
    model = Tfidf.fit(hidden[:200], notes.targets[:200], LABELS)
    chances, gold = probabilities(model.logits(hidden[200:])), matrix(notes.targets[200:])
    assert chances.sum() == pytest.approx(gold.sum(), rel=0.2)
    sure, unsure = chances > 0.5, chances < 0.1
    assert gold[sure].mean() == pytest.approx(chances[sure].mean(), abs=0.15)
    assert gold[unsure].mean() < 0.1


def test_a_note_scores_the_same_alone_and_among_others(notes, fitted):
    together = fitted.logits(notes.texts)
    assert all(
        np.array_equal(fitted.logits([text])[0], row)
        for text, row in zip(notes.texts, together, strict=True)
    )


def test_the_number_of_threads_changes_nothing(notes, fitted):
    assert same(fitted, fit(notes), notes.texts)
    assert same(fitted, fit(notes, threads=3), notes.texts)


def test_the_seed_draws_the_folds_and_nothing_else(notes, fitted):
    other = fit(notes, seed=1)
    assert not same(fitted, other, notes.texts)
    ratio = other.weights_FL.data / fitted.weights_FL.data
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)


def test_word_ngrams_are_features_if_configured(notes, fitted):
    longer = fit(notes, longest=2)
    assert set(fitted.vectorizer.vocabulary_) < set(longer.vectorizer.vocabulary_)
    assert notes.names[0] in longer.vectorizer.vocabulary_
    assert " " in notes.names[0]


def test_a_saved_model_gives_the_same_scores(notes, fitted, tmp_path):
    for model in (fitted, fit(notes, longest=2)):
        model.save(tmp_path)
        assert same(model, Tfidf.load(tmp_path, LABELS), [*notes.texts, "", "nothing known"])


def test_the_same_fit_gives_the_same_private_files(notes, fitted, tmp_path):
    for name, model in (("one", fitted), ("other", fit(notes))):
        (tmp_path / name).mkdir()
        model.save(tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["tfidf.npz", "vocabulary.json"]
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()
        assert stat.S_IMODE((tmp_path / "one" / file).stat().st_mode) == 0o600


def damage_arrays(folder):
    path = folder / "tfidf.npz"
    path.write_bytes(path.read_bytes()[:-100])


def lose_a_word(folder):
    content = json.loads((folder / "vocabulary.json").read_text())
    content["words"].pop()
    (folder / "vocabulary.json").write_text(json.dumps(content))


def repeat_a_word(folder):
    content = json.loads((folder / "vocabulary.json").read_text())
    content["words"][0] = content["words"][1]
    (folder / "vocabulary.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    "damage",
    [
        damage_arrays,
        lose_a_word,
        repeat_a_word,
        lambda folder: (folder / "tfidf.npz").unlink(),
        lambda folder: (folder / "tfidf.npz").write_bytes(b""),
        lambda folder: (folder / "vocabulary.json").write_text("{"),
        lambda folder: (folder / "vocabulary.json").write_text("[]"),
    ],
)
def test_damaged_files_are_reported(fitted, tmp_path, damage):
    fitted.save(tmp_path)
    damage(tmp_path)
    with pytest.raises(ResumeError, match="can't be read"):
        Tfidf.load(tmp_path, LABELS)


def test_another_label_space_is_reported(fitted, tmp_path):
    fitted.save(tmp_path)
    with pytest.raises(ResumeError, match="12 labels"):
        Tfidf.load(tmp_path, LABELS + 1)


def test_codes_of_no_document_or_of_all_have_their_frequency(notes):
    targets = [np.append(document, LABELS).astype(np.int32) for document in notes.targets]
    chances = probabilities(
        fit(notes, targets, LABELS + 2).logits(["", *notes.texts[:20], "words that nobody knows"])
    )
    always, never = chances[:, LABELS], chances[:, LABELS + 1]
    assert np.ptp(always) == np.ptp(never) == 0
    assert always[0] > 0.9
    assert 0 < never[0] < 0.01
    assert np.isfinite(chances).all()


def test_without_a_code_there_is_nothing_to_learn(notes):
    nothing = [np.zeros(0, np.int32)] * len(notes.texts)
    with pytest.raises(DataError, match="have no codes"):
        fit(notes, nothing)
    with pytest.raises(DataError, match="have no codes"):
        Tfidf.fit([], [], LABELS)


@pytest.mark.parametrize(
    "texts", [["", "", ""], ["?", "!", "a b"], ["fever", "cough", "dizziness"]]
)
def test_without_a_shared_word_there_is_nothing_to_learn(texts):
    with pytest.raises(DataError, match="share no word"):
        Tfidf.fit(texts, [np.array([0], np.int32)] * 3, 1)


@pytest.mark.parametrize("documents", [1, 2, 3, 4])
def test_a_handful_of_documents_is_enough(documents):
    texts = ["fever and cough", "fever, cough", "rash", "fever"][:documents]
    targets = [np.array(labels, np.int32) for labels in ([0], [0, 1], [1], [])][:documents]
    scores = Tfidf.fit(texts, targets, 3).logits(["fever", "rash", ""])
    assert scores.shape == (3, 3)
    assert np.isfinite(scores).all()


def test_a_thousand_codes_are_fitted_and_some_calibrated(notes, monkeypatch):
    monkeypatch.setattr(tfidf, "_CALIBRATION_LABELS", 3)
    monkeypatch.setattr(tfidf, "_CALIBRATION_PAIRS", 0)
    reported = []
    fit(notes, on_progress=lambda stage, done, total, unit: reported.append((done, total)))
    assert reported[0] == (1, LABELS + 3 * 3)
    assert reported[-1] == (LABELS + 3 * 3, LABELS + 3 * 3)


def test_the_sigmoid_keeps_the_order():
    values = np.linspace(-1, 1, 50, dtype=np.float32)[:, None]
    shares = np.full_like(values, -3)
    backwards = _Sigmoid.fit(values, shares, values < 0)
    assert backwards.slope > 0
    forwards = _Sigmoid.fit(values, shares, values > 0)
    assert forwards.slope > backwards.slope
    # Platt's targets: a score that is never wrong isn't certain.
    assert (
        probabilities(forwards.logits(values.astype(np.float64), shares.astype(np.float64))).min()
        > 1e-3
    )


@pytest.mark.parametrize("longest", [1, 3])
@pytest.mark.parametrize("text", ["İstanbul: {} ΣΟΦΟΣ; {}", "{}", "", "?"])
def test_the_words_contributions_sum_to_the_logits(notes, longest, text):
    fitted = fit(notes, longest=longest)
    text = text.format(notes[0][0], notes[0][1].upper())
    positions, added_KW = fitted.by_word(text, range(LABELS))
    assert [text[begin:end].lower() for begin, end in positions] == [
        word for word in re.findall(r"(?u)\b\w\w+\b", text.lower()) if word
    ]
    logits_L = fitted.logits([text])[0]
    np.testing.assert_allclose(added_KW.sum(axis=1) + fitted.offsets_L, logits_L, atol=1e-5)
    few, same = fitted.by_word(text, [2, 0])[1], added_KW[[2, 0]]
    np.testing.assert_allclose(few, same)


def test_words_with_marks_are_features_of_their_own():
    texts = ["रोगी को दिल कष्ट", "रोगी को दाल कष्ट"] * 20
    fitted = Tfidf.fit(texts, [[number % 2] for number in range(40)], 2)
    assert {"दिल", "दाल"} <= set(fitted.vectorizer.get_feature_names_out())
    best = fitted.logits(texts[:2]).argmax(axis=1)
    assert best.tolist() == [0, 1]
