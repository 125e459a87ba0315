"""The documents of an audit, with their gold labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from icdcli.data.corpus.annotations import AnnotatedFragment
from icdcli.data.corpus.reader import Corpus
from icdcli.errors import DataError

AUDITED_SPLITS = ("train", "validation")
FEWEST = 20
"""The fewest documents with codes that can be audited."""


@dataclass(frozen=True, slots=True)
class AuditDocument:
    """A document whose labels are audited.

    Attributes:
        id: Its id.
        subject: Its patient; None: unknown.
        split: Its split.
        text: Its text.
        labels: Its gold labels.
        annotations: The fragments that annotators marked for them.
    """

    id: str
    subject: str | None
    split: str
    text: str = field(repr=False)  # not for logs and tracebacks
    labels: frozenset[int]
    annotations: tuple[AnnotatedFragment, ...] = ()

    def marked(self) -> list[tuple[int, list[AnnotatedFragment]]]:
        """Return label and fragments of each annotation."""
        found: dict[tuple[int, int], list[AnnotatedFragment]] = {}
        for fragment in self.annotations:
            found.setdefault((fragment.group, fragment.label), []).append(fragment)
        return [(label, fragments) for (_, label), fragments in found.items()]

    def words_of(self, fragments: Sequence[AnnotatedFragment]) -> str:
        """Return the words of an annotation, its fragments joined by blanks."""
        return " ".join(self.text[one.begin : one.end] for one in fragments)


def audit_documents(
    corpus: Corpus, on_warning: Callable[[str], object] = lambda _message: None
) -> list[AuditDocument]:
    """Return the documents of the training and the validation split of a corpus.

    The test split stays unseen: if somebody corrects it after looking at a model's scores, results
    on it no longer show how the model does on new notes.

    Args:
        corpus: The corpus.
        on_warning: Receives a warning about what can't be audited.

    Raises:
        DataError: If they are too few, or the corpus can't be read.
    """
    found, outside = [], 0
    for split in (split for split in AUDITED_SPLITS if split in corpus.splits):
        documents, evidence = corpus.documents(split), corpus.evidence(split)
        outside += sum(map(len, documents.outside))
        for row, text in enumerate(corpus.texts(split)):
            found.append(
                AuditDocument(
                    documents.ids[row],
                    documents.subject_ids[row],
                    split,
                    text,
                    frozenset(documents.targets[row].tolist()),
                    tuple(evidence.of(row)),
                )
            )
    if outside:
        on_warning(
            f"{outside:,} gold codes aren't in the label space ({len(corpus.labels):,} codes), so "
            "they aren't audited. To audit them, set label_space=seen and leave out label pruning"
        )
    if (coded := sum(bool(document.labels) for document in found)) < FEWEST:
        raise DataError(
            f"{corpus.name}: has {coded} notes with codes in train and validation. An audit needs "
            f"at least {FEWEST}, since it learns about each code from other notes. Audit a larger "
            "corpus."
        )
    return found
