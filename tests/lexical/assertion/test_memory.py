import numpy as np

from icdcli.lexical.assertion.classes import Assertion
from icdcli.lexical.assertion.cues import built_in_cues
from icdcli.lexical.assertion.memory import RememberingReader
from icdcli.lexical.assertion.reader import AssertionReader, reader_of


class Counting(AssertionReader):
    """A reader that counts what it reads."""

    def __init__(self):
        self.reads = 0

    def read(self, text):
        self.reads += 1
        return reader_of(built_in_cues("en")).read(text)

    def read_twice(self, text):
        self.reads += 1
        return reader_of(built_in_cues("en")).read_twice(text)


def test_a_text_is_read_once_and_read_alike():
    counting = Counting()
    reader = RememberingReader(counting)
    texts = ["No fever, history of gout. \ud800 His father had asthma.", "Cough", "", "no fever"]
    first, second = [reader.read(text) for text in texts], [reader.read(text) for text in texts]
    assert counting.reads == len(texts)
    for one, again in zip(first, second, strict=True):
        assert np.array_equal(one.starts_S, again.starts_S)
        assert np.array_equal(one.classes_S, again.classes_S)
        assert (one.starts_S.dtype, one.classes_S.dtype) == (np.int64, np.uint8)
        assert (again.starts_S.dtype, again.classes_S.dtype) == (np.int64, np.uint8)
    assert second[0].at([3, 20]).tolist() == first[0].at([3, 20]).tolist()


def test_the_oldest_texts_are_forgotten():
    counting = Counting()
    reader = RememberingReader(counting, most_texts=2)
    for text in ("no fever", "no cough", "no rash", "no rash", "no cough"):
        reader.read(text)
    assert counting.reads == 3
    reader.read("no fever")
    assert counting.reads == 4


def test_of_very_long_texts_the_last_is_remembered():
    counting = Counting()
    reader = RememberingReader(counting)
    first, second = ("Cough. No fever.\n\n" * count for count in (2_000, 2_001))
    assert reader.read(first) is reader.read(first)
    reader.read("no fever")
    reader.read(first)
    assert counting.reads == 2
    for text in (second, second, first):
        reader.read(text)
    assert counting.reads == 4


def test_what_was_read_without_relatives_is_remembered_too():
    text = "Cough. His father had asthma, no gout."
    for texts in ([text], ["Cough. No fever. His father had asthma.\n\n" * 2_000, text]):
        counting = Counting()
        reader = RememberingReader(counting)
        for each in texts:
            read, without = reader.read_twice(each)
            again, without_again = reader.read_twice(each)
            assert np.array_equal(reader.read(each).classes_S, read.classes_S)
            assert np.array_equal(again.classes_S, read.classes_S)
            assert np.array_equal(without_again.classes_S, without.classes_S)
            assert Assertion.FAMILY in read.classes_S
            assert Assertion.FAMILY not in without.classes_S
        assert counting.reads == len(texts)
