"""What becomes of the labels of a model when its coding system gets another edition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from icdcli.data.corpus.reader import Labels
from icdcli.data.relabeling import Relabeling
from icdcli.icd.code_system import CodeSystem
from icdcli.icd.editions.edition import Edition
from icdcli.icd.editions.records import of_kinds
from icdcli.icd.editions.successors import Successors


class RetiredLabel(NamedTuple):
    """A label whose code can't be assigned any more.

    Attributes:
        code: The code.
        title: Its title in the older edition; None: it has none.
        documents: The training documents that have it.
        into: The codes that took its place; empty: it was deleted.
    """

    code: str
    title: str | None
    documents: int
    into: tuple[str, ...]


@dataclass(frozen=True)
class LabelPlan:
    """The label space for another edition.

    Attributes:
        labels: The label space, sorted by code as in a corpus.
        sources: The label before that each label takes over from; -1: none.
        kept: Whether each label is that of the same code as before.
        retired: The labels before that are gone.
        before: The number of labels before.
    """

    labels: Labels
    sources: tuple[int, ...]
    kept: tuple[bool, ...]
    retired: tuple[RetiredLabel, ...]
    before: int

    @property
    def successors(self) -> list[str]:
        """Return the codes that start from a retired one."""
        taken = zip(self.labels.codes, self.sources, self.kept, strict=True)
        return [code for code, source, kept in taken if source >= 0 and not kept]

    @property
    def new(self) -> list[str]:
        """Return the codes that start from their descriptions alone."""
        found = zip(self.labels.codes, self.sources, strict=True)
        return [code for code, source in found if source < 0]

    def relabeling(self, before: Labels, descriptions: Sequence[Sequence[str]]) -> Relabeling:
        """Return what the parts of a model need to follow.

        Args:
            before: The label space before.
            descriptions: The descriptions of each label.
        """
        divided = {retired.code: max(len(retired.into), 1) for retired in self.retired}
        shares = [
            1 if kept or source < 0 else divided[before.codes[source]]
            for source, kept in zip(self.sources, self.kept, strict=True)
        ]
        return Relabeling(
            self.before,
            np.array(self.sources, np.int64),
            np.array(shares, np.int64),
            np.array(self.kept, bool),
            descriptions,
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "labels": len(self.labels),
            "kept": sum(self.kept),
            "successors": self.successors,
            "new": self.new,
            "retired": [one._asdict() for one in self.retired],
        }


def plan_labels(
    labels: Labels, older: Mapping[str, Edition], newer: CodeSystem, described: bool
) -> LabelPlan:
    """Decide what becomes of each label.

    A label is kept if the newer edition can assign its code, or if neither edition can: codes of
    real data are often retired ones, or categories. The codes that took the place of a retired one
    are new labels, whether or not a document has them.

    Args:
        labels: The label space before.
        older: The edition of each kind of code before, as far as it is known.
        newer: The coding system after.
        described: Whether all other codes that can be assigned are labels, too.
    """
    newest: dict[str, Edition] = dict(newer.editions.items())
    changes = {kind: Successors(older.get(kind), newest[kind]) for kind in newest}
    kept: dict[str, tuple[str, int]] = {}
    retired: dict[int, tuple[str, ...]] = {}
    for label, (code, kind) in enumerate(zip(labels.codes, labels.kinds, strict=True)):
        if kind in changes and changes[kind].is_retired(code):
            retired[label] = changes[kind].of(code)
        else:
            kept[code] = kind, label
    after = dict(kept)
    # Of several retired codes that became one, the most frequent has the most to pass on.
    for label in sorted(retired, key=lambda label: (-labels.train_counts[label], label)):
        for code in retired[label]:
            after.setdefault(code, (labels.kinds[label], label))
    if described:
        for code, kind, _ in newer.described_codes(sorted(set(labels.kinds))):
            after.setdefault(code, (kind, -1))
    codes = sorted(after)
    kinds = tuple(after[code][0] for code in codes)
    sources = tuple(after[code][1] for code in codes)
    is_kept = tuple(code in kept for code in codes)
    rows = list(zip(codes, kinds, sources, is_kept, strict=True))
    return LabelPlan(
        Labels(
            tuple(codes),
            kinds,
            tuple(
                newer.title(code, kind) or (labels.titles[source] if keeps else None)
                for code, kind, source, keeps in rows
            ),
            tuple(labels.counts[source] if keeps else 0 for _, _, source, keeps in rows),
            tuple(labels.train_counts[source] if keeps else 0 for _, _, source, keeps in rows),
            of_kinds(newer.to_json(), kinds),
        ),
        sources,
        is_kept,
        tuple(
            RetiredLabel(
                labels.codes[label], labels.titles[label], labels.train_counts[label], into
            )
            for label, into in sorted(retired.items())
        ),
        len(labels),
    )
