"""The corpus of a migrated run: its documents may have codes that the model lost.

``migration.json`` in the run folder says what became of them. A code that has become exactly one
other code counts as that one. The other codes that the model doesn't have don't count.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.annotations import ANNOTATIONS, Annotations, read_annotations
from icdcli.data.corpus.reader import Corpus, Labels
from icdcli.data.corpus.views import CorpusView, rebased
from icdcli.errors import DataError

MIGRATION = "migration.json"
MIGRATED = "migrated"
"""The origin of the label space in the card of such a corpus."""
_NAMED = 5


@dataclass(frozen=True)
class MigratedCorpus(Corpus):
    """A corpus with the label space of a migrated model; other codes don't count.

    Attributes:
        became: Codes of documents to the code that took their place.
    """

    became: Mapping[str, str] = field(default_factory=dict)

    def evidence(self, split: str) -> Annotations:
        """Return the annotated evidence of a split; see `Corpus.evidence`."""
        ids = self.documents(split).ids
        return read_annotations(self.folder / ANNOTATIONS, ids, self.code_index, others=True)

    @cached_property
    def code_index(self) -> Mapping[str, int]:
        """Return the label of each code that counts."""
        index = self.labels.index
        return {old: index[new] for old, new in self.became.items() if new in index} | index

    def _labels_of(self, codes: Sequence[str]) -> NDArray[np.int32]:
        labels = {self.code_index[code] for code in codes if code in self.code_index}
        return np.array(sorted(labels), dtype=np.int32)


def corpus_for_run(
    corpus: Corpus,
    run: Path | None,
    labels: Labels,
    on_warning: Callable[[str], object] | None = None,
) -> Corpus:
    """Return a corpus with the label space of a run's model, if the run was migrated.

    Args:
        corpus: The corpus.
        run: The run folder; None: unknown.
        labels: The label space of the model.
        on_warning: Receives a warning if codes of the documents don't count.

    Returns:
        The same corpus if it has this label space, or if the run wasn't migrated.

    Raises:
        DataError: If ``migration.json`` can't be read.
    """
    if run is None or corpus.labels.codes == labels.codes or not (run / MIGRATION).is_file():
        return corpus
    if isinstance(corpus, CorpusView):
        return rebased(corpus, corpus_for_run(corpus.base, run, labels, on_warning))
    into = _read(run / MIGRATION)
    became = {code: codes[0] for code, codes in into.items() if len(codes) == 1}
    counts = dict.fromkeys(labels.codes, (0, 0))
    lost: dict[str, int] = {}
    own = zip(corpus.labels.codes, corpus.labels.counts, corpus.labels.train_counts, strict=True)
    for code, count, train_count in own:
        label = code if code in counts else became.get(code)
        if label in counts:
            counts[label] = (counts[label][0] + count, counts[label][1] + train_count)
        elif count:
            lost[code] = count
    if lost and on_warning is not None:
        on_warning(_warning(corpus, lost, into))
    every, train = zip(*counts.values(), strict=True)
    own_labels = replace(
        labels, counts=every, train_counts=train, editions=corpus.labels.editions or labels.editions
    )
    card = {**corpus.card, "labels": {**corpus.card["labels"], "space": MIGRATED}}
    return MigratedCorpus(corpus.folder, card, own_labels, became)


def _read(path: Path) -> dict[str, list[str]]:
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {one["code"]: list(one["into"]) for one in stored["retired"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: can't be read ({error!r}). Restore it, or migrate the run again."
        ) from error


def _warning(corpus: Corpus, lost: dict[str, int], into: dict[str, list[str]]) -> str:
    ordered = sorted(lost, key=lambda code: (-lost[code], code))
    named = ", ".join(
        f"{code} ({lost[code]:,}{', divided' if len(into.get(code, ())) > 1 else ''})"
        for code in ordered[:_NAMED]
    )
    more = f" and {len(ordered) - _NAMED:,} more" if len(ordered) > _NAMED else ""
    return (
        f"{corpus.name}: {len(lost):,} codes of the documents aren't labels of the migrated "
        f"model and don't count: {named}{more}. Code these documents by the new edition, or leave "
        "them out"
    )
