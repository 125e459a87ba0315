"""The assertion class of every word of a note, by its cues, lists and sections.

The algorithm is ConText's (Harkema et al. 2009, doi:10.1016/j.jbi.2009.05.002): cues with a scope,
words that end a scope, and words that only look like a cue. It differs where notes do:

- A scope goes on over a list ("negative for a, b, c or d") as long as its items are short, and ends
  before an item that is a clause of its own ("no fever, and the CT showed a mass").
- Answers after labels ("Fever: no") and unchecked boxes ("[ ] fever") count.
- A sign in brackets belongs to the word before it, or to the one after it if the list begins with a
  sign ("(+) cough (-) fever"); several signs belong to as many words ("fever/cough (+/-)").
- The header of a section gives its class to the section. No scope leaves a section.

The tree of cues is walked from every word that begins a cue; the longest cue counts.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np

from icdcli.lexical.assertion.classes import Assertion, Assertions
from icdcli.lexical.assertion.cues import Node, load_cues
from icdcli.lexical.assertion.finder import CueFinder, FoundCue
from icdcli.lexical.assertion.scopes import Scopes
from icdcli.lexical.assertion.sections import CurrentSection
from icdcli.lexical.assertion.sentences import Sentence, SentenceSplitter


class AssertionReader:
    """Reads the assertion classes of texts."""

    def __init__(self, cues: Node) -> None:
        """Read by a tree of cues; see `icdcli.lexical.assertion.cues.load_cues`."""
        self._finder = CueFinder(cues)
        self._splitter = SentenceSplitter()

    def read(self, text: str) -> Assertions:
        """Return the assertion class of every character of a text.

        A cue itself isn't in its own scope.
        """
        starts, classes = [0], [int(Assertion.AFFIRMED)]
        section = CurrentSection()
        for sentence in self._splitter.split(text):
            found = self._finder.find(sentence)
            section.enter(sentence, found)
            values = _classes(sentence, found, section.assertion, section.begin)
            for begin, value in zip(sentence.begins, values, strict=True):
                if value != classes[-1]:
                    if begin == 0:
                        classes[0] = value
                    else:
                        starts.append(begin)
                        classes.append(value)
        return Assertions(np.array(starts, np.int64), np.array(classes, np.uint8))


@cache
def reader_of(cues: str) -> AssertionReader:
    """Return the reader of a table of cues, made once per process.

    Args:
        cues: The content of the table; see `icdcli.lexical.assertion.cues`.
    """
    return AssertionReader(load_cues(cues))


def _classes(
    sentence: Sentence, found: Sequence[FoundCue], section: Assertion, begin: int
) -> bytearray:
    """Return the class of each token of a sentence whose section begins at a token."""
    values = bytearray([section]) * len(sentence.tokens)
    if begin:
        values[:begin] = bytes(begin)
    scopes = Scopes(sentence, found, begin)
    for one in found:
        assertion = one.cue.assertion
        if assertion is None or one.cue.scope in ("section", "stop", "separator"):
            continue
        for first, after in scopes.of(one, assertion):
            for place in range(first, after):
                values[place] = max(values[place], assertion)
    if "(" in sentence.tokens and "-" in sentence.tokens:
        for first, after in scopes.of_signs():
            for place in range(first, after):
                values[place] = max(values[place], Assertion.NEGATED)
    return values
