"""The scopes of cues: the words before or after them that they speak of."""

from collections.abc import Iterable, Sequence

from icdcli.lexical.assertion.classes import Assertion
from icdcli.lexical.assertion.finder import BOXES, FoundCue
from icdcli.lexical.assertion.sentences import Sentence
from icdcli.lexical.assertion.signs import SIGNS, boxes_trail, signs_lead
from icdcli.lexical.assertion.tokens import EMPTY, Kind

_LONGEST_ITEM = 10
"""Words of a list's item that a scope reaches; more words are hardly one finding."""
_FAR = 50
"""Tokens after which a scope ends at a cue like its own: lists without an end stay quick."""
_LONGEST_LIST = 50
"""Words before an adjective that "and" may join to it."""
_LONGEST_LABEL = 8
_PRONOUNS = frozenset("it this that lo la los las".split())
_CONFIRMED = 20
"""Words between a possible finding and what confirms it."""
_APART = frozenset(":()-")
_COLONS = frozenset(":-(")
_MINUS = (("-",), ("(", "-", ")"))
"""The cues of a sign that denies the word beside it."""
# These end at the cue of another class that begins the next item: "no fever, history of stroke".
_END_AT_OTHERS = frozenset({Assertion.NEGATED, Assertion.HYPOTHETICAL, Assertion.HISTORICAL})


class Scopes:
    """The scopes of the cues of a sentence."""

    def __init__(self, sentence: Sentence, found: Sequence[FoundCue], begin: int) -> None:
        self._tokens, self._kinds, self._begin = sentence.tokens, sentence.kinds, begin
        self._places = sentence.begins
        self._cue_at: dict[int, FoundCue] = {
            place: one for one in found for place in range(one.begin, one.end)
        }
        self._signs_lead = "(" in sentence.tokens and signs_lead(sentence, begin)
        self._boxes_trail = sentence.tokens[-1] in BOXES and boxes_trail(sentence, begin)

    def of(self, one: FoundCue, assertion: Assertion) -> Iterable[tuple[int, int]]:
        """Yield what a cue reaches, as tokens, half-open."""
        if self._signs_lead and one.cue.tokens in _MINUS:
            after = one.end + (self._tokens[one.end : one.end + 1] == [")"])
            yield after, self._forward(after, assertion)
            return
        scope, reached = one.cue.scope, one.end
        if scope == "self":
            yield one.begin, one.end
        if self._boxes_trail and one.cue.tokens == (EMPTY,):
            end = one.begin - (self._tokens[one.begin - 1] == ":")
            yield self._label(end), end
        elif scope in ("forward", "study", "next", "past", "both", "beside", "adjective"):
            if scope != "adjective" or self._leads(one.begin):
                reached = self._forward(one.end, assertion, scope in ("next", "past"))
            yield one.end, reached
        alone = reached == one.end and not (scope == "beside" and self._stops(reached, assertion))
        if (
            scope in ("backward", "item", "dated")
            or (scope in ("beside", "adjective") and alone)
            or (scope == "both" and (alone or not self._begins_item(one.begin)))
        ):
            yield self.before(one, assertion)
        if scope == "between" and self._is_between(one):
            yield self._backward(one.begin, assertion, item=True), one.begin
            yield one.end, self._forward(one.end, assertion, item=True)
        if scope == "value":
            if one.cue.tokens[0] == ",":
                yield self._item(one.begin), one.begin
            else:
                end = one.begin
                while end > self._begin + 1 and self._tokens[end - 1] in _COLONS:
                    end -= 1
                yield self._label(end), end

    def _is_between(self, one: FoundCue) -> bool:
        """Return if a cue stands between words: not as in ``VS 120/80``, the vital signs."""
        kinds = self._kinds[max(one.begin - 1, self._begin) : one.end + 1]
        inner = one.begin > self._begin and len(kinds) == one.end - one.begin + 2
        closed = self._tokens[one.begin - 1] == ")"
        # The full stop of "vs." is a token.
        inner = inner and not self._tokens[one.end].isdigit()
        return inner and (closed or kinds[0] is Kind.WORD) and kinds[-1] in (Kind.WORD, Kind.STOP)

    def before(self, one: FoundCue, assertion: Assertion) -> tuple[int, int]:
        """Return what a cue reaches before it; "which" after a comma joins, as in a dated cue."""
        end, scope = one.begin, one.cue.scope
        if end > self._begin and self._tokens[end - 1] == ":":
            return self._label(end - 1), end - 1
        follows = end > self._begin and self._begins_item(end)
        # "Cough, absent" denies the cough; "cough, absent in March" doesn't.
        last = one.end == len(self._tokens) or self._kinds[one.end] is Kind.COMMA
        whole = last or assertion is not Assertion.NEGATED
        if follows and (scope == "dated" or (scope == "item" and whole)):
            end -= 1
        if scope in ("beside", "adjective"):
            return self._joined(end, assertion), end
        return self._backward(end, assertion, scope == "item"), end

    def possible(self, one: FoundCue, ranks: Sequence[int], rank: int) -> tuple[int, int]:
        """Return the words of a rank before what confirms them; none if it confirms others."""
        end, far = one.begin, not _PRONOUNS.isdisjoint(one.cue.tokens)
        earliest = max(self._begin, end - _CONFIRMED)
        while end > earliest and ranks[end - 1] != rank:
            end -= 1
            if not (far or end in self._cue_at or self._kinds[end] is not Kind.WORD):
                return one.begin, one.begin
        first = end
        while first > earliest and ranks[first - 1] == rank and self._tokens[first - 1] != ")":
            first -= 1
        return first, end

    def _joined(self, end: int, assertion: Assertion) -> int:
        """Return the begin of the item that ends at a token, and of those joined by "and" to it."""
        first = self._backward(end, assertion, item=True)
        joined = False
        while end - first < _LONGEST_LIST and self._is_separator(first - 1):
            joined = joined or self._kinds[first - 1] is not Kind.COMMA
            before = first - 1
            while self._is_separator(before - 1):
                before -= 1
                joined = joined or self._kinds[before] is not Kind.COMMA
            if not joined or self._has_own_cue(before):
                break
            first = self._backward(before, assertion, item=True)
        return first

    def _is_separator(self, place: int) -> bool:
        return place > self._begin and self._separates(place)

    def _leads(self, place: int) -> bool:
        """Return if an adjective at a token describes what is after it."""
        if self._begins_item(place):
            return True
        before = self._cue_at.get(place - 1)
        return (before is not None and before.cue.scope != "none") or (
            self._kinds[place - 1] is Kind.SIGN and self._tokens[place - 1] not in (")", "]")
        )

    def _begins_item(self, place: int) -> bool:
        return place == self._begin or self._separates(place - 1)

    def of_signs(self) -> Iterable[tuple[int, int]]:
        """Yield the items of lists that signs after the list deny: b of ``a/b (+/-)``."""
        tokens = self._tokens
        for opened in [place for place, token in enumerate(tokens) if token == "("]:
            end = opened + 1
            while end < len(tokens) and (tokens[end] in SIGNS or self._separates(end)):
                end += 1
            signs = [token for token in tokens[opened:end] if token in SIGNS]
            if len(signs) < 2 or tokens[end : end + 1] != [")"]:
                continue
            items, after = list[tuple[int, int]](), opened
            while len(items) < len(signs):
                items.insert(0, (self._label(after), after))
                after = items[0][0] - 1
                if after <= self._begin or not self._separates(after):
                    break
            if len(items) == len(signs):
                yield from (item for item, sign in zip(items, signs, strict=True) if sign == "-")

    def _forward(self, begin: int, assertion: Assertion, item: bool = False) -> int:
        place, words, depth = begin, 0, 0
        while place < len(self._tokens):
            token = self._tokens[place]
            if place in self._cue_at:
                if self._takes_over(place, assertion):
                    return self._cue_at[place].end
                if self._stops(place, assertion) or (item and self._has_assertion(place)):
                    break
                if place - begin > _FAR and self._goes_on(place, assertion):
                    break
            if self._separates(place):
                after = self._after_separators(place)
                # "Resolved pneumonia, gout": the word describes the next one alone.
                if (
                    place == begin
                    or (item and not depth)
                    or assertion is Assertion.RESOLVED
                    or self._goes_elsewhere(place, after, assertion)
                ):
                    break
                place, words = after, 0
                continue
            depth += (token == "(") - (token == ")")
            words += self._kinds[place] is Kind.WORD
            if depth < 0 or words > _LONGEST_ITEM or token == "?":
                break
            place += 1
        return place

    def _goes_on(self, place: int, assertion: Assertion) -> bool:
        """Return if a cue of the same class is here, whose scope covers the rest of a list."""
        cue = self._cue_at[place].cue
        return cue.assertion is assertion and cue.scope in ("forward", "both", "beside")

    def _backward(self, end: int, assertion: Assertion, item: bool = False) -> int:
        place, words, depth, listed = end, 0, 0, False
        while place > self._begin:
            before = place - 1
            depth += self._tokens[before] == ")"
            if self._ends_backward(before, assertion):
                break
            if end - place > _FAR and self._reaches_back(before, assertion):
                break
            if self._separates(before):
                if item or self._has_own_cue(before):
                    break
                words, listed = 0, True
            elif place == end and self._in_brackets_after_colon(place):
                pass
            elif self._tokens[before] == "(" and depth and not listed:
                depth -= 1
            elif self._tokens[before] == ":" or (self._tokens[before] == "(" and place != end):
                break
            else:
                words += self._kinds[before] is Kind.WORD
                if words > _LONGEST_ITEM:
                    break
            place = before
        return place

    def _reaches_back(self, place: int, assertion: Assertion) -> bool:
        """Return if a cue of the same class is here, whose scope covers what is before it."""
        found = self._cue_at.get(place)
        return (
            found is not None
            and found.cue.assertion is assertion
            and found.cue.scope in ("backward", "both")
        )

    def _has_assertion(self, place: int) -> bool:
        found = self._cue_at.get(place)
        return found is not None and bool(found.cue.assertion) and found.cue.scope != "stop"

    def _ends_backward(self, place: int, assertion: Assertion) -> bool:
        found = self._cue_at.get(place)
        if found is None:
            return False
        same = found.cue.scope == "forward" and found.cue.assertion is assertion
        # In Korean, verbs come last: "fever is absent, pneumonia suspected" suspects no fever.
        denied = found.cue.scope == "backward" and found.cue.assertion is Assertion.NEGATED
        other = denied and assertion is not Assertion.NEGATED
        clause = found.cue.scope in ("clause", "predicate")
        return same or other or clause or self._stops(place, assertion)

    def _in_brackets_after_colon(self, place: int) -> bool:
        return self._tokens[place - 1 : place + 1] == [":", "("]

    def _label(self, end: int) -> int:
        place = end - self._in_brackets_after_colon(end)
        while place > max(self._begin, end - _LONGEST_LABEL):
            before = place - 1
            lists = self._separates(before) and self._kinds[before] is not Kind.WORD
            apart = self._tokens[before] in _APART and not self._is_hyphen(before)
            if lists or apart or self._scope_at(before) in ("stop", "predicate", "value"):
                break
            place = before
        return place

    def _is_hyphen(self, place: int) -> bool:
        """Return if a dash is within a word: ``Wolff-Parkinson-White``."""
        if self._tokens[place] != "-" or not 0 < place < len(self._tokens) - 1:
            return False
        before, here, after = self._places[place - 1 : place + 2]
        return here - before == len(self._tokens[place - 1]) and after == here + 1

    def _item(self, end: int) -> int:
        """Return the begin of a list's item with its details: ``colitis (in 2010, treated)``."""
        tokens = self._tokens
        if tokens[end - 1] == ")" and "(" in tokens[self._begin : end]:
            end -= tokens[self._begin : end][::-1].index("(") + 1
        nearest = range(max(self._begin, end - _LONGEST_LIST), end)
        brackets = [place for place in nearest if tokens[place] in "()"]
        if brackets and tokens[brackets[-1]] == "(":
            end = brackets[-1]
        place = end
        while place > self._begin:
            before = place - 1
            if tokens[before] in _APART and not self._is_hyphen(before):
                break
            if self._separates(before) and not (place != end and self._is_detail(place)):
                break
            place = before
        return place

    def _is_detail(self, place: int) -> bool:
        """Return if an item that begins at a token says more of the one before it."""
        scope = self._scope_at(place)
        return (
            scope in ("stop", "predicate", "clause", "backward", "dated")
            or self._tokens[place].isdigit()
        )

    def _scope_at(self, place: int) -> str:
        found = self._cue_at.get(place)
        return found.cue.scope if found is not None else ""

    def _confirms_at(self, place: int) -> bool:
        found = self._cue_at.get(place)
        affirmed = found is not None and found.cue.assertion is Assertion.AFFIRMED
        return affirmed and self._scope_at(place) == "backward"

    def _stops(self, place: int, assertion: Assertion) -> bool:
        found = self._cue_at.get(place)
        # "Her mother was diagnosed with lupus": the statement is about the relative.
        about = (
            found is not None and found.cue.scope == "predicate" and assertion is Assertion.FAMILY
        )
        return self._confirms_at(place) or (
            found is not None
            and not about
            and found.cue.scope in ("stop", "predicate")
            and found.cue.assertion in (None, Assertion.AFFIRMED, assertion)
        )

    def _separates(self, place: int) -> bool:
        return (
            self._kinds[place] is Kind.COMMA
            or (self._tokens[place] == "/" and place not in self._cue_at)
            or self._scope_at(place) == "separator"
        )

    def _after_separators(self, place: int) -> int:
        while place < len(self._tokens) and self._separates(place):
            place += 1
        return place

    def _takes_over(self, place: int, assertion: Assertion) -> bool:
        """Return if a cue at a token reaches the same words with the same class."""
        found = self._cue_at.get(place)
        return (
            found is not None
            and found.cue.scope == "forward"
            and found.cue.assertion is assertion
            and found.begin == place
        )

    def _goes_elsewhere(self, place: int, after: int, assertion: Assertion) -> bool:
        """Return if what comes after separators is no item of the list before them."""
        joins = any(
            found is not None and found.cue.scope == "separator" and found.cue.assertion is not None
            for found in map(self._cue_at.get, range(place, after))
        )
        begins = self._cue_at.get(after)
        if (
            begins is not None
            and assertion in _END_AT_OTHERS
            and begins.cue.assertion not in (None, assertion)
            and begins.cue.scope == "forward"
        ):
            return True
        if joins:
            return False
        while after < len(self._tokens) and not self._separates(after):
            scope = self._scope_at(after)
            if scope == "predicate" or self._confirms_at(after):
                return True
            if scope == "stop" and self._stops(after, assertion):
                return False
            if scope in ("clause", "stop"):
                return True
            after += 1
        return False

    def _has_own_cue(self, separator: int) -> bool:
        """Return if the item before a separator has a verb or a cue of its own."""
        place = separator - 1
        while place >= self._begin and not self._separates(place):
            if self._scope_at(place) in (
                "clause",
                "stop",
                "predicate",
                "forward",
                "next",
                "beside",
                "both",
            ):
                return True
            place -= 1
        return False
