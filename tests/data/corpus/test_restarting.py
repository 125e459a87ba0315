"""Texts that are changed once and read often."""

from operator import methodcaller

import numpy as np
import pytest

from icdcli.data import processes
from icdcli.data.corpus import restarting
from icdcli.data.corpus.restarting import Restarting

TEXTS = ["one", "zwei \ud800", "", "三 vier", "five", "six"]


@pytest.fixture
def changed():
    return []


@pytest.fixture
def texts(changed):
    """Return a function that makes texts of which so many characters are kept in memory."""

    def make(most):
        return Restarting(TEXTS, lambda text: changed.append(text) or f"<{text}>", most)

    return make


@pytest.mark.parametrize("most", [0, 9, 1_000])
def test_each_text_is_changed_once_in_memory_or_in_a_file(texts, changed, most):
    own = texts(most)
    for _ in range(3):
        assert list(own) == [f"<{text}>" for text in TEXTS]
    assert changed == TEXTS


def test_a_sample_changes_no_other_texts(texts, changed):
    own = texts(1_000)
    assert list(own.every(3)) == ["<one>", "<三 vier>"]
    assert changed == ["one", "三 vier"]
    assert list(own) == [f"<{text}>" for text in TEXTS]
    assert list(own.every(3)) == ["<one>", "<三 vier>"]
    assert changed.count("zwei \ud800") == 1


def test_an_iteration_may_end_early(texts, changed):
    own = texts(9)
    assert next(iter(own)) == "<one>"
    assert list(own) == [f"<{text}>" for text in TEXTS]
    assert changed == TEXTS


def test_two_at_a_time_read_the_same(texts):
    own = texts(9)
    pairs = list(zip(own, own, strict=True))
    assert pairs == [(f"<{text}>",) * 2 for text in TEXTS]


@pytest.mark.parametrize("problem", ["no space", "a write that fails", "a write in part"])
def test_on_a_full_disk_texts_are_changed_again(texts, changed, monkeypatch, problem):
    if problem == "no space":
        monkeypatch.setattr(restarting, "_FREE_BYTES", np.inf)
    else:
        written = []

        def write(_file, packed, _place):
            written.append(packed)
            if problem == "a write that fails":
                raise OSError("no space left on device")
            return 1

        monkeypatch.setattr(restarting.os, "pwrite", write)
    own = texts(9)
    for _ in range(2):
        assert list(own) == [f"<{text}>" for text in TEXTS]
    assert changed.count("six") == 2
    assert changed.count("one") == 1


@pytest.mark.parametrize("most", [0, 9, 1_000])
def test_versions_are_made_together_and_alike_in_several_processes(changed, monkeypatch, most):
    monkeypatch.setattr(restarting, "KEPT_CHARACTERS", most)
    monkeypatch.setattr(restarting, "_BLOCK", 2)
    monkeypatch.setattr(restarting, "_LEAST", 2)

    def change(text):
        changed.append(text)
        return text.partition("i")

    monkeypatch.setattr(processes, "cores", lambda: 1)
    alone = [list(version) for version in Restarting.together(TEXTS, change, 3)]
    assert changed == TEXTS
    monkeypatch.setattr(processes, "cores", lambda: 2)
    versions = Restarting.together(TEXTS, methodcaller("partition", "i"), 3)
    assert list(versions[2].every(3)) == ["", "er"]
    assert [list(version) for version in versions] == alone
    assert [list(version) for version in versions] == alone
    assert list(versions[2].every(3)) == ["", "er"]
    assert [*zip(*alone, strict=True)] == [text.partition("i") for text in TEXTS]
