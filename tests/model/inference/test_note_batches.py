"""Notes are read a batch ahead, each time by the same tokenizer."""

import threading

import numpy as np
import pytest

from icdcli.data.token_cache import TokenizedText
from icdcli.model.coding_model import NoteScores
from icdcli.model.inference.note_batches import ReadNotes, note_scores, score_batches
from icdcli.model.inference.scored import Scored

BATCHES = [["one", " ", "three"], ["  "], ["four"]]


def scores_of(read):
    rows = [[len(text) / 10, 0.5] for text in read]
    windows, shares = [2] * len(read), [0.5] * len(read)
    return NoteScores(np.array(rows, np.float32), windows, shares, [None] * len(read))


@pytest.mark.parametrize("ahead", [False, True])
def test_batches_are_scored_in_order_and_notes_without_text_are_not(ahead):
    found = list(score_batches(BATCHES, "none", 2, list, scores_of, ahead))
    expected = [[[0.3, 0.5], [0, 0], [0.5, 0.5]], [[0, 0]], [[0.4, 0.5]]]
    for scores, rows in zip(found, expected, strict=True):
        np.testing.assert_allclose(scores.scores_NL, rows, atol=1e-6)
    assert [scores.window_counts for scores in found] == [[2, 0, 2], [0], [2]]
    assert [scores.read_shares for scores in found] == [[0.5, 1.0, 0.5], [1.0], [0.5]]


def test_a_batch_is_read_in_another_thread_while_the_one_before_is_scored():
    second_is_read, threads = threading.Event(), set()

    def read(texts):
        threads.add(threading.get_ident())
        if texts == ["b"]:
            second_is_read.set()
        return texts

    def score(texts):
        assert second_is_read.wait(30)
        return scores_of(texts)

    assert len(list(score_batches([["a"], ["b"]], "none", 2, read, score, ahead=True))) == 2
    assert threading.get_ident() not in threads


def test_nothing_is_read_ahead_unless_requested():
    threads, seen = set(), []

    def read(texts):
        threads.add(threading.get_ident())
        seen.append(texts)
        return texts

    scored = score_batches([["a"], ["b"]], "none", 2, read, scores_of)
    next(scored)
    assert seen == [["a"]]
    assert threads == {threading.get_ident()}


def test_an_error_of_reading_is_raised_where_the_scores_are_used():
    def read(texts):
        raise ZeroDivisionError(texts[0])

    with pytest.raises(ZeroDivisionError, match="one"):
        next(score_batches(BATCHES, "none", 2, read, scores_of, ahead=True))


def test_a_note_has_its_highest_logit_and_the_share_that_is_read():
    tokens = [TokenizedText([1, 2, 3, 4]), TokenizedText([5])]
    logits_WL = np.array([[0, 2], [1, -1], [3, 3]], np.float32)
    scored = Scored(logits_WL, np.zeros(3))
    found = note_scores(ReadNotes(tokens, {}), [[(0, 2), (1, 3)], [(0, 1)]], scored, None)
    np.testing.assert_allclose(found.scores_NL, 1 / (1 + np.exp(-np.array([[1.0, 2], [3, 3]]))))
    assert found.window_counts == [2, 1]
    assert found.read_shares == [0.75, 1.0]
    assert found.windows[0].ids == [1, 2, 3, 4]
    np.testing.assert_array_equal(found.windows[1].logits_WL, [[3, 3]])
