"""The tagger: it marks words as annotators do, also words that it has never read."""

from random import Random

import numpy as np
import pytest

from icdcli.lexical.mentions.marked_words import marks_of
from icdcli.lexical.mentions.tagger import Tagger

WORDS = [first + second for first in "bdfglmnprst" for second in ("ano", "erto", "iba", "os")]


def documents(number=60):
    """Yield documents in which two words after "presents" are marked."""
    random = Random(0)
    for _ in range(number):
        found = [random.choice(WORDS) for _ in range(2)]
        around = [random.choice(WORDS) for _ in range(20)]
        document = [*around[:10], "presents", *found, "today", *around[10:]]
        yield document, marks_of(document, [(0, " ".join(found))])


NOTE = "fano liba presents xylo quorum today nerto".split()


@pytest.fixture(scope="module")
def tagger():
    return Tagger.fit(documents())


def stretches(tagger, note):
    return [note.split()[each.begin : each.end] for each in tagger.mentions(note.split())]


def test_unknown_words_are_mentions_by_the_words_around_them(tagger):
    found = stretches(tagger, " ".join(NOTE))
    assert ["xylo", "quorum"] in found
    assert all("fano" not in each and "nerto" not in each for each in found)


def test_a_mention_has_its_probabilities(tagger):
    best = max(tagger.mentions("presents xylo quorum today".split()), key=lambda each: each.mean)
    assert (best.begin, best.end) == (1, 3)
    assert 0.5 < best.least <= best.mean <= 1
    assert best.starts > 0.5 < best.stops


def test_few_documents_have_one_pass(tagger):
    assert tagger.second is None
    assert np.array_equal(tagger.probabilities(NOTE), tagger.first.probabilities(NOTE))


@pytest.mark.parametrize("number", [60, 100])
def test_a_fit_is_always_the_same_and_kept_exactly(number):
    tagger = Tagger.fit(documents(number))
    assert (tagger.second is None) == (number < 100)
    for other in (Tagger.fit(documents(number)), Tagger.from_arrays(tagger.arrays())):
        assert np.array_equal(other.probabilities(NOTE), tagger.probabilities(NOTE))


def test_the_second_pass_knows_which_strings_are_marked():
    random = Random(1)

    def notes():
        for _ in range(100):
            around = [random.choice(WORDS) for _ in range(30)]
            found = random.sample(["alfa beta", "gamma delta"], random.randint(0, 2))
            for string in found:
                place = random.randrange(len(around))
                around[place:place] = string.split()
            # Marked at most places where it occurs, like what annotators overlook.
            marked = [(0, string) for string in found if random.random() < 0.9]
            yield around, marks_of(around, marked)

    known, new = list(notes()), list(notes())
    tagger = Tagger.fit(known)

    def loss(probabilities):
        gold = np.concatenate([marks.inside_W for _, marks in new])
        likely = np.concatenate([probabilities(document)[:, 0] for document, _ in new])
        return -np.log(np.where(gold, likely, 1 - likely).clip(1e-9)).mean()

    assert loss(tagger.probabilities) < 0.9 * loss(tagger.first.probabilities)


@pytest.mark.parametrize("inside", [False, True])
def test_nothing_is_learned_from_words_that_are_all_alike(inside):
    marks = marks_of(["gout"] * 3, [(0, "gout")] if inside else [])
    tagger = Tagger.fit([(["gout"] * 3, marks)])
    assert bool(tagger.mentions(["sepsis"])) == inside
    assert Tagger.fit([]).mentions(["gout"]) == []


def test_an_empty_note_has_no_mentions(tagger):
    assert tagger.mentions([]) == []


def test_neighboring_mentions_and_long_runs_are_divided(monkeypatch):
    tagger = Tagger.fit([])
    probabilities_W2 = np.array([[0.9, 0.9], [0.8, 0.1], [0.9, 0.9], [0.2, 0.1], [0.1, 0.1]])
    monkeypatch.setattr(Tagger, "probabilities", lambda self, document: probabilities_W2)
    found = [(each.begin, each.end) for each in tagger.mentions(["word"] * 5)]
    assert found == [(0, 2), (2, 3), (2, 4)]
    probabilities_W2 = np.full((25, 2), [0.9, 0.1])
    found = [(each.begin, each.end) for each in tagger.mentions(["word"] * 25)]
    assert found == [(0, 10), (10, 20), (20, 25)]
