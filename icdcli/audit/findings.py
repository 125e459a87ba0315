"""What an audit found, in words for the person who decides on it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from icdcli.audit.clues import CorpusClues, DocumentClues, chance
from icdcli.audit.mentions import Mention
from icdcli.audit.ranking import ErrorKind, Suspicion
from icdcli.data.corpus.reader import Labels
from icdcli.lexical.assertion.classes import Assertion

_MOST_PLACES = 5
_AROUND = 60
_SAID = {
    Assertion.NEGATED: "denied",
    Assertion.HYPOTHETICAL: "only possible",
    Assertion.FAMILY: "said of a relative",
    Assertion.RESOLVED: "long past",
    Assertion.OTHER: "no finding",
}


@dataclass(frozen=True, slots=True)
class EvidencePlace:
    """A place in a note that speaks for or against a finding.

    Attributes:
        begin: The first character.
        end: The character after the last.
        assertion: How the note mentions it, such as ``negated``.
    """

    begin: int
    end: int
    assertion: str


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """A suspected error in the labels of a note.

    Attributes:
        rank: Its place among all findings; 1: the likeliest error.
        id: The note.
        split: The split of the note.
        kind: ``missing``: gold lacks the code; ``unsupported``: the note doesn't support the gold
            code; ``swap``: another code is right instead of the gold code.
        code: The code that may be wrong.
        title: Its title.
        instead: The code that may be right instead of it; None: it isn't a swap.
        instead_title: Its title.
        score: How likely it is an error, if as many codes are wrong as were planted.
        model_score: The score of the code by a model that hasn't seen the note.
        instead_score: That of the code that may be right instead.
        reason: Why it is suspected. It contains no words of the note.
        evidence: The places in the note to look at.
        context: The words at these places and around them; None: texts weren't requested.
    """

    rank: int
    id: str
    split: str
    kind: ErrorKind
    code: str
    title: str | None
    instead: str | None
    instead_title: str | None
    score: float
    model_score: float
    instead_score: float | None
    reason: str
    evidence: tuple[EvidencePlace, ...]
    context: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        # A traceback or a log that shows a finding must not show words of a note.
        return f"AuditFinding({self.rank}, {self.kind}, {self.id!r}, {self.code})"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        values: dict[str, Any] = {name: getattr(self, name) for name in FINDING_FIELDS}
        values["evidence"] = [
            {"begin": one.begin, "end": one.end, "assertion": one.assertion}
            for one in self.evidence
        ]
        if self.context is not None:
            values["context"] = list(self.context)
        return values


FINDING_FIELDS = (
    *("rank", "id", "split", "kind", "code", "title", "instead", "instead_title"),
    *("score", "model_score", "instead_score", "reason"),
)
"""The attributes of a finding that are one value each."""


class FindingWriter:
    """Puts suspicions into words."""

    def __init__(self, clues: CorpusClues, labels: Labels, with_text: bool) -> None:
        """Prepare it.

        Args:
            clues: The clues of the documents.
            labels: The label space.
            with_text: Whether findings contain words of the notes.
        """
        self._clues, self._labels, self._with_text = clues, labels, with_text
        self._documents: dict[int, DocumentClues] = {}

    def finding(self, rank: int, one: Suspicion) -> AuditFinding:
        """Return a suspicion as a finding."""
        document = self._clues.documents[one.row]
        here = self._of(one.row)
        code = one.right if one.gold is None else one.gold
        assert code is not None
        instead = one.right if one.kind == "swap" else None
        places = _places(here, one)
        context = None
        if self._with_text:
            context = tuple(
                document.text[max(place.begin - _AROUND, 0) : place.end + _AROUND]
                for place in places
            )
        return AuditFinding(
            rank=rank,
            id=document.id,
            split=document.split,
            kind=one.kind,
            code=self._labels.codes[code],
            title=self._labels.titles[code],
            instead=None if instead is None else self._labels.codes[instead],
            instead_title=None if instead is None else self._labels.titles[instead],
            score=round(one.score, 4),
            model_score=_score(here, code),
            instead_score=None if instead is None else _score(here, instead),
            reason="; ".join(self._reasons(here, one)),
            evidence=tuple(places),
            context=context,
        )

    def _of(self, row: int) -> DocumentClues:
        if row not in self._documents:
            document = self._clues.documents[row]
            self._documents = {
                row: DocumentClues(self._clues, row, document.labels, document.annotations)
            }
        return self._documents[row]

    def _reasons(self, here: DocumentClues, one: Suspicion) -> Iterator[str]:
        if one.gold is not None:
            yield from self._against(here, one.gold)
        if one.right is not None:
            yield from self._for(here, one.right)

    def _against(self, here: DocumentClues, code: int) -> Iterator[str]:
        """Yield why a gold code may be wrong."""
        name = self._labels.codes[code]
        usual = float(chance(self._clues.typical(here.row, code)))
        if self._clues.others(here.row, code):
            yield f"score {_score(here, code):.3g}, in other notes with {name} usually {usual:.3g}"
        else:
            yield f"no other note has {name}; its score is {_score(here, code):.3g}"
        for meanings in here.meanings(code)[:1]:
            own = meanings.get(code, 0.0)
            other = max(meanings, key=lambda label: meanings[label], default=code)
            if not meanings:
                yield "no other note has the annotated words as evidence"
            elif other != code and meanings[other] > own:
                yield (
                    f"the annotated words mean {self._labels.codes[other]} in "
                    f"{_percent(meanings[other])} of other notes, and {name} in {_percent(own)}"
                )
        mentions = here.mentions.get(code, ())
        if not mentions:
            yield f"no term for {name} is in the note"
        elif not any(mention.affirmed for mention in mentions):
            said = sorted({_SAID[mention.assertion] for mention in mentions})
            yield f"{name} is mentioned only as {' or '.join(said)}"

    def _for(self, here: DocumentClues, code: int) -> Iterator[str]:
        """Yield why a code may be missing."""
        name = self._labels.codes[code]
        yield f"{name} has a score of {_score(here, code):.3g}"
        if mentions := here.mentions.get(code, ()):
            best = mentions[0]
            coded, contain = self._clues.phrases.counts(here.row, best.phrase, code)
            said = "" if best.affirmed else f", although it is {_SAID[best.assertion]} here"
            if contain:
                yield f"{coded} of {contain} other notes with the same words have {name}{said}"
            else:
                yield f"a term for {name} is in the note{said}"
        else:
            yield f"no term for {name} is in the note"
        siblings = [
            self._labels.codes[one]
            for one in here.corpus.members[here.corpus.categories[code]]
            if one in here.labels
        ]
        if siblings:
            yield f"the gold codes include {', '.join(siblings)} of the same category"


def _places(here: DocumentClues, one: Suspicion) -> list[EvidencePlace]:
    """Return the places to look at, in the order of the note."""
    found: list[EvidencePlace] = []
    if one.gold is not None:
        found += [
            EvidencePlace(fragment.begin, fragment.end, "annotated")
            for fragment in here.fragments
            if fragment.label == one.gold
        ]
    mentions: list[Mention] = []
    for code in (one.right, one.gold):
        if code is not None and (code == one.right or not found):
            mentions += here.mentions.get(code, ())[:_MOST_PLACES]
    for mention in mentions:
        if all(mention.end <= place.begin or place.end <= mention.begin for place in found):
            found.append(EvidencePlace(mention.begin, mention.end, mention.assertion.label))
    return sorted(found[:_MOST_PLACES], key=lambda place: place.begin)


def _score(here: DocumentClues, code: int) -> float:
    return float(f"{float(chance(here.logits_L[code])):.4g}")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def worded_findings(
    suspicions: Sequence[Suspicion], clues: CorpusClues, labels: Labels, with_text: bool
) -> list[AuditFinding]:
    """Return suspicions as findings, with their ranks from 1 on."""
    writer = FindingWriter(clues, labels, with_text)
    return [writer.finding(rank, one) for rank, one in enumerate(suspicions, start=1)]
