"""The sections of a note: what a header says of everything under it."""

from collections.abc import Sequence

from icdcli.lexical.assertion.classes import Assertion
from icdcli.lexical.assertion.finder import FoundCue
from icdcli.lexical.assertion.sentences import Sentence
from icdcli.lexical.assertion.tokens import Kind

_LONGEST_LINE = 8
"""Tokens of a line of a list without bullets."""


class CurrentSection:
    """The section in which a sentence is.

    Attributes:
        assertion: The class of the section.
        begin: The token of the sentence after its header; 0 if it has none.
        current: Its header says that it is about this encounter.
    """

    def __init__(self) -> None:
        self.assertion = Assertion.AFFIRMED
        self.begin = 0
        self.current = False
        self._ends_with_line = self._ends_with_sentence = False
        self._around: Assertion | None = None
        """The class of the section around an open list."""

    def enter(self, sentence: Sentence, found: Sequence[FoundCue]) -> None:
        """Follow a sentence into the next section, if it begins one or leaves one."""
        self.begin = 0
        header = next((one for one in found[:1] if one.cue.scope == "section"), None)
        if header is not None:
            self._around = None
            self.assertion = header.cue.assertion or Assertion.AFFIRMED
            self.current = header.cue.assertion is Assertion.AFFIRMED
            self.begin = header.end
            self._ends_with_line = len(sentence.tokens) > header.end + 1
            # Amid a paragraph, "Family history: father with gout." says nothing of what follows.
            self._ends_with_sentence = (
                self._ends_with_line
                and not sentence.starts_line
                and self.assertion is Assertion.FAMILY
            ) or _is_empty(sentence, found)
            return
        if self._around is not None and self._left_list(sentence):
            self.assertion, self._around = self._around, None
        if self._around is None and self.assertion and self._left(sentence, found):
            self.assertion = Assertion.AFFIRMED

    def open_list(self, sentence: Sentence, last: int) -> None:
        """Open a list below a sentence that ends with a colon, such as ``She denies:``.

        Args:
            sentence: The sentence that was entered last.
            last: The class of its last token.
        """
        if self.begin or not sentence.ends_line:
            return
        if last != self.assertion and self._around is None:
            self._around, self.assertion = self.assertion, Assertion(last)

    def _left_list(self, sentence: Sentence) -> bool:
        if not sentence.starts_line:
            return False
        long = len(sentence.tokens) > _LONGEST_LINE and not _is_listed(sentence)
        return sentence.after_blank or sentence.tokens[-1] == ":" or long

    def _left(self, sentence: Sentence, found: Sequence[FoundCue]) -> bool:
        if self._ends_with_sentence:
            return True
        if sentence.starts_line:
            if self._ends_with_line and not _is_listed(sentence):
                return True
            if sentence.after_blank and ":" in sentence.tokens[:6]:
                return True
        if not found or found[0].begin:
            return False
        first = found[0].cue
        # "Allergies: none. Patient has a cough": the subject, with a verb or its own predicate.
        subject = first.scope == "stop" and first.assertion is Assertion.FAMILY
        verb = found[1].cue.scope if found[1:] and found[1].begin == found[0].end else ""
        return (
            (first.scope == "stop" and first.assertion is self.assertion)
            or (first.scope == "predicate" and first.assertion is Assertion.AFFIRMED)
            or (subject and verb in ("clause", "predicate"))
        )


def _is_empty(sentence: Sentence, found: Sequence[FoundCue]) -> bool:
    """Return if only a denial follows a header (``Allergies: none``)."""
    value = found[1].cue if len(found) == 2 and found[1].end == len(sentence.tokens) else None
    denied = value is not None and value.assertion is Assertion.NEGATED
    return denied and not sentence.ends_line


def _is_listed(sentence: Sentence) -> bool:
    return sentence.kinds[0] is not Kind.WORD or sentence.tokens[0].isdigit()
