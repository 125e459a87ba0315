"""The lexical parts read the complete text of documents, or what it affirms."""

from dataclasses import replace

import numpy as np
import pytest

from icdcli.errors import ConfigError
from icdcli.lexical.lexical_model import LexicalModel
from icdcli.lexical.reading import UNCHANGED, NoteReading
from icdcli.lexical.views import Views
from icdcli.lexical.words import placed_words, words

TEXT = "No fever, history of gout. His father had asthma. Pneumonia (R/o sepsis)\nRash: no"
LEARNED = Views.of("learned", "en")


@pytest.fixture(scope="module")
def notes(synthetic_notes):
    """Return notes in each of which another code's words are denied."""
    made = synthetic_notes(60, 8)
    for row, text in enumerate(made.texts):
        absent = next(
            label for label in range(row % 8, row % 8 + 8) if label % 8 not in made.targets[row]
        )
        made.texts[row] = f"{text}. No evidence of {made.names[absent % 8]}."
    return made


@pytest.fixture(scope="module")
def fitted(notes):
    return LexicalModel.fit(
        notes.texts,
        notes.targets,
        [(name,) for name in notes.names],
        notes.annotations,
        reading=NoteReading(LEARNED),
    )


def test_the_affirmed_text_leaves_out_what_is_denied_possible_or_a_relatives():
    kept = words(LEARNED.text("affirmed", TEXT))
    assert {"gout", "pneumonia", "history"} <= set(kept)
    assert not {"fever", "asthma", "sepsis", "rash"} & set(kept)


def test_the_affirmed_text_leaves_out_what_resolved_long_ago_but_not_in_this_encounter():
    text = "PMH: pneumonia in 2010, resolved; gout in 2010.\n\nThe fever resolved by day 2."
    kept = words(LEARNED.text("affirmed", text))
    assert "pneumonia" not in kept
    assert {"gout", "fever"} <= set(kept)


def test_the_words_of_the_affirmed_text_keep_their_places():
    document, places_W2 = placed_words(TEXT)
    affirmed, kept_W2 = placed_words(LEARNED.text("affirmed", TEXT))
    complete = dict(zip(map(tuple, places_W2.tolist()), document, strict=True))
    assert [complete[place] for place in map(tuple, kept_W2.tolist())] == affirmed


@pytest.mark.parametrize(
    ("assertion", "names"),
    [("learned", ("all", "affirmed", "marked")), ("facts", ("affirmed",)), ("mentions", ("all",))],
)
def test_assertion_chooses_the_views(assertion, names):
    views = Views.of(assertion, "en")
    assert views.names == names
    assert views.warning() is None


def test_a_language_without_cues_says_that_assertion_is_off():
    views = Views.of("learned", "fi")
    assert views.names == ("all",)
    assert "no cues for language=fi" in views.warning()
    assert Views.of("mentions", "fi").warning() is None


def test_own_cues_serve_a_language_without_a_table(tmp_path):
    table = tmp_path / "cues.tsv"
    table.write_text("cue\tassertion\tscope\nei\tnegated\tforward\n")
    views = Views.of("facts", "fi", table)
    assert views.warning() is None
    assert words(views.text("affirmed", "ei kuume")) == ["ei"]
    with pytest.raises(ConfigError, match="cannot read the assertion cues"):
        Views.of("facts", "en", tmp_path / "none.tsv")


def test_each_view_has_its_parts(fitted, notes):
    names = ("ngrams", "descriptions", "evidence", "mentions", "terms")
    affirmed = (f"affirmed_{name}" for name in names[1:])
    assert fitted.parts == (*names, *affirmed, "marked_ngrams")
    assert tuple(fitted.scores(notes.texts[:2])) == fitted.parts


def test_a_denied_mention_scores_only_in_the_complete_text(fitted, notes):
    name = notes.names[0]
    denied, affirmed = fitted.scores([f"No evidence of {name}."]), fitted.scores([f"Had {name}."])
    for part in ("descriptions", "evidence", "terms"):
        assert denied[part][0, 0] == pytest.approx(affirmed[part][0, 0])
        assert denied[f"affirmed_{part}"][0, 0] < 0.1 * affirmed[f"affirmed_{part}"][0, 0]


@pytest.mark.slow
def test_the_parts_of_the_complete_text_are_those_of_mentions(fitted, notes):
    alone = LexicalModel.fit(
        notes.texts, notes.targets, [(name,) for name in notes.names], notes.annotations
    )
    assert alone.reading == UNCHANGED
    expected = fitted.scores(notes.texts)
    for part, scores_NL in alone.scores(notes.texts).items():
        assert np.array_equal(scores_NL, expected[part])


def test_denied_words_add_nothing_to_the_affirmed_score(fitted, notes):
    text = f"No evidence of {notes.names[0]}. Had {notes.names[1]}."
    parts = fitted.by_word(text, [0, 1])
    places_W2, weights_KW = parts["affirmed_evidence"]
    denied_W = places_W2[:, 0] < text.index(".")
    assert not weights_KW[:, denied_W].any()
    assert weights_KW[1, ~denied_W].any()
    places_W2, weights_KW = parts["evidence"]
    assert weights_KW[0, places_W2[:, 0] < text.index(".")].any()


def test_a_denied_word_is_another_word_if_classes_are_read(fitted, notes):
    had, denied, possible, mother = fitted.scores(
        [text.format(notes.names[0]) for text in ("Had {}.", "No {}.", "R/o {}.", "Mother had {}.")]
    )["marked_ngrams"][:, 0]
    assert max(denied, possible, mother) < 0.2 * had
    text = f"No evidence of {notes.names[0]}. Had {notes.names[1]}."
    places_W2, weights_KW = fitted.by_word(text, [0, 1])["marked_ngrams"]
    scores_L = fitted.scores([text])["marked_ngrams"][0]
    np.testing.assert_allclose(weights_KW.sum(axis=1), scores_L[:2], atol=1e-4)
    assert [text[begin:end].lower() for begin, end in places_W2] == words(text)


def test_models_with_other_views_stay_readable(notes, tmp_path):
    """Those of affirmed n-grams, as `learned` had them before classes were read."""
    before = replace(LEARNED, names=("all", "affirmed"))
    titles = [(name,) for name in notes.names]
    model = LexicalModel.fit(notes.texts, notes.targets, titles, reading=NoteReading(before))
    assert "affirmed_ngrams" in model.parts
    model.save(tmp_path)
    loaded = LexicalModel.load(tmp_path, 8)
    assert loaded.reading == model.reading
    expected = model.scores(notes.texts)
    for part, scores_NL in loaded.scores(notes.texts).items():
        assert np.array_equal(scores_NL, expected[part])


def test_a_loaded_model_reads_the_same_views(fitted, notes, tmp_path):
    own_cues = LEARNED.cues + "cue\tassertion\tscope\n"
    own = replace(fitted, reading=NoteReading(replace(LEARNED, cues=own_cues)))
    own.save(tmp_path / "lexical")
    loaded = LexicalModel.load(tmp_path / "lexical", 8)
    assert loaded.reading == own.reading
    expected = fitted.scores(notes.texts)
    for part, scores_NL in loaded.scores(notes.texts).items():
        assert np.array_equal(scores_NL, expected[part])
    loaded.save(tmp_path / "again")
    for path in (tmp_path / "lexical").iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
