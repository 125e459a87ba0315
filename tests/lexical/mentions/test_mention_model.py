"""The part ``mentions``: mentions of codes, and the words that annotators wouldn't mark."""

import json
from random import Random

import numpy as np
import pytest

from icdcli.errors import ResumeError
from icdcli.io.npz import read_arrays, write_arrays
from icdcli.lexical.lexical_model import LexicalModel, fit_out_of_fold
from icdcli.lexical.normalization.expansion import Expansion
from icdcli.lexical.reading import NoteReading
from icdcli.lexical.views import Views

DISEASES = {
    "gota tofacea": 0,
    "fractura de cadera": 1,
    "neumonia lobar": 2,
    "anemia ferropenica": 3,
    "hernia inguinal": 4,
    "litiasis renal": 5,
}
DESCRIPTIONS = [
    *((name,) for name in DISEASES),
    ("Fracture of left wrist",),
    ("zebra",),
]
OTHERS = "paciente varon refiere dolor visita servicio control consulta plan alta dieta".split()
SPANISH = NoteReading(Views(language="es"), expansion=Expansion.of("es"))
PARTS = ["mentions"]


@pytest.fixture(scope="module")
def notes():
    """Return too few notes for trees."""
    return made_up(80)


def made_up(number, doubtful=False):
    """Return notes that diagnose some diseases, and name others as those that they don't mean.

    Args:
        number: The number of notes.
        doubtful: Whether annotators marked those in every third note, too.
    """
    random = Random(0)
    texts, targets, annotations = [], [], []
    for place in range(number):
        found = random.sample(list(DISEASES), 4)
        words = [random.choice(OTHERS) for _ in range(24)]
        words[4:4] = f"diagnostico de {found[0]} hoy".split()
        words[14:14] = f"diagnostico de {found[1]} hoy".split()
        words[24:24] = f"folleto sobre {found[2]} entregado".split()
        texts.append(" ".join(words))
        marked = found[: 3 if doubtful and place % 3 == 0 else 2]
        targets.append(np.array(sorted(DISEASES[name] for name in marked), np.int32))
        annotations.append([(DISEASES[name], name) for name in marked])
    return texts, targets, annotations


@pytest.fixture(scope="module")
def fitted(notes):
    return fit(notes)


@pytest.fixture(scope="module")
def with_trees():
    return fit(made_up(160, doubtful=True))


def fit(notes):
    texts, targets, annotations = notes
    return LexicalModel.fit(texts, targets, DESCRIPTIONS, annotations, PARTS, SPANISH)


def model_of(lexical):
    return lexical.fitted["mentions"]


def scores_of(model, *texts):
    return model.scores(texts)["mentions"]


def test_only_more_documents_are_enough_for_trees(fitted, with_trees):
    assert model_of(fitted).trees is None
    assert model_of(with_trees).trees is not None


@pytest.mark.parametrize("model", ["fitted", "with_trees"])
def test_a_disease_that_annotators_would_mark_has_the_higher_score(model, request):
    fitted = request.getfixturevalue(model)
    marked, unmarked = scores_of(
        fitted,
        "control diagnostico de gota tofacea hoy",
        "control folleto sobre gota tofacea entregado",
    )
    assert marked.argmax() == DISEASES["gota tofacea"]
    assert marked[0] > 0.5 > 2 * unmarked[0]


def test_the_code_with_the_more_similar_string_is_better(fitted):
    scores_L = scores_of(fitted, "control diagnostico de fractura de la cadera hoy")[0]
    assert scores_L.argmax() == DISEASES["fractura de cadera"]


def test_a_code_never_seen_is_found_by_its_translated_title(fitted):
    wrist = len(DISEASES)
    scores_L = scores_of(fitted, "control diagnostico de fractura de muñeca izquierda hoy")[0]
    assert scores_L.argmax() == wrist
    assert scores_L[wrist] > 5 * scores_of(fitted, "control de dieta")[0, wrist]


def test_without_the_lexicon_titles_are_not_translated(notes):
    texts, targets, annotations = notes
    plain = NoteReading(Views(language="es"))
    model = LexicalModel.fit(texts, targets, DESCRIPTIONS, annotations, PARTS, plain)
    wrist = len(DISEASES)
    assert scores_of(model, "diagnostico de fractura de muñeca izquierda hoy")[0].argmax() != wrist


@pytest.mark.parametrize("model", ["fitted", "with_trees"])
def test_scores_are_the_same_in_every_batch(model, notes, request):
    fitted = request.getfixturevalue(model)
    together = scores_of(fitted, *notes[0])
    alone = np.concatenate([scores_of(fitted, text) for text in notes[0]])
    assert np.array_equal(together, alone)


@pytest.mark.slow
def test_scores_out_of_fold_do_not_know_the_own_annotations(notes):
    texts, targets, annotations = notes
    unusual = "diagnostico de xeroftalmia hoy"
    texts = [unusual, *texts]
    targets = [np.array([7], np.int32), *targets]
    annotations = [[(7, "xeroftalmia")], *annotations]
    model, scores = fit_out_of_fold(texts, targets, DESCRIPTIONS, annotations, PARTS, SPANISH)
    assert scores_of(model, unusual)[0, 7] > 0.3
    assert scores["mentions"][0, 7] == 0
    assert scores["mentions"].shape == (len(texts), len(DESCRIPTIONS))


def test_a_document_without_annotations_is_scored_like_a_new_one(notes):
    texts, targets, annotations = notes
    annotations = [[], *annotations[1:]]
    model, scores = fit_out_of_fold(texts, targets, DESCRIPTIONS, annotations, PARTS, SPANISH)
    assert np.array_equal(scores["mentions"][0], scores_of(model, texts[0])[0])


@pytest.mark.parametrize("annotations", [None, [[]] * 80])
def test_without_annotations_there_is_no_such_part(notes, annotations):
    texts, targets, _ = notes
    assert LexicalModel.fit(texts, targets, DESCRIPTIONS, annotations, PARTS).parts == ()


def test_one_annotated_document_is_enough(notes):
    texts, targets, annotations = notes
    few = [annotations[0], *([] for _ in texts[1:])]
    model = LexicalModel.fit(texts, targets, DESCRIPTIONS, few, PARTS)
    assert set(scores_of(model, texts[0])[0].argsort()[-2:]) == set(targets[0].tolist())


@pytest.mark.parametrize("model", ["fitted", "with_trees"])
def test_a_saved_model_has_its_scores_and_no_words_of_notes(model, notes, tmp_path, request):
    fitted = request.getfixturevalue(model)
    fitted.save(tmp_path)
    loaded = LexicalModel.load(tmp_path, len(DESCRIPTIONS))
    assert np.array_equal(scores_of(loaded, *notes[0]), scores_of(fitted, *notes[0]))
    kept = json.loads((tmp_path / "lexical.json").read_text())
    assert kept["mentions"] == {"language": "es"}
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.suffix == ".npz")
    assert not any(word.encode() in stored for name in DISEASES for word in name.split()[:1])


def test_evidence_is_the_best_mention(fitted):
    text = "control diagnostico de gota tofacea hoy plan diagnostico de hernia inguinal hoy"
    weights = fitted.by_word(text, [DISEASES["hernia inguinal"]])["mentions"]
    words = [text[begin:end] for begin, end in weights.places_W2.tolist()]
    best = sorted(zip(weights.weights_KW[0].tolist(), words, strict=True))[-2:]
    assert {word for _, word in best} == {"hernia", "inguinal"}
    assert fitted.by_word(text, [7])["mentions"].weights_KW.sum() == 0


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("coefficients", lambda array: array[1:]),
        ("idf", lambda array: array[1:]),
        ("marked_label", lambda array: array + len(DESCRIPTIONS)),
        ("marked_string", lambda array: array - 1),
        ("described_worth", lambda array: array[1:]),
        ("described_starts", lambda array: array + 1),
        ("tagger_known", lambda array: array + (1 << 18)),
        ("tagger_bias", lambda array: array[1:]),
        ("pairs_feature_D", lambda array: array + 24),
        ("pairs_left_D", lambda array: array + 10_000),
    ],
)
def test_arrays_that_do_not_fit_are_refused(with_trees, tmp_path, name, change):
    with_trees.save(tmp_path)
    arrays = read_arrays(tmp_path / "mentions.npz")
    write_arrays(tmp_path / "mentions.npz", {**arrays, name: change(arrays[name])})
    with pytest.raises(ResumeError, match="the lexical model can't be read"):
        LexicalModel.load(tmp_path, len(DESCRIPTIONS))
