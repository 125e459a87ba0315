"""What the runs of a comparison find: per code, per group of codes, and what only one of them does.

Shapes: N documents, L labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from icdcli.config.yaml_values import text_of
from icdcli.data.corpus.reader import Labels
from icdcli.errors import IcdcodeError
from icdcli.evaluation.compare import Comparison
from icdcli.evaluation.groups import by_chapter, by_training_frequency
from icdcli.icd.code_system import CodeSystem, open_code_system
from icdcli.icd.codes import KINDS
from icdcli.metrics.arrays import Booleans, Integers


@dataclass(frozen=True)
class FoundCodes:
    """The codes that one run of a comparison predicts.

    Attributes:
        predicted_L: The documents in which each label is predicted.
        right_L: Those in which it is also gold.
    """

    predicted_L: Integers
    right_L: Integers


@dataclass(frozen=True)
class Against:
    """The codes of a run beside those of the first run.

    Attributes:
        both: Gold codes that both find, over all documents.
        only_first: Gold codes that only the first run finds.
        only_other: Gold codes that only the other run finds.
        neither: Gold codes that both miss.
        extra_both: Predicted codes of both that aren't gold.
        extra_first: Predicted codes of the first run alone that aren't gold.
        extra_other: Predicted codes of the other run alone that aren't gold.
        only_first_L: The documents in which only the first run finds a gold code, for each label.
        only_other_L: The documents in which only the other run finds it.
    """

    both: int
    only_first: int
    only_other: int
    neither: int
    extra_both: int
    extra_first: int
    extra_other: int
    only_first_L: Integers
    only_other_L: Integers


class Findings:
    """What the runs of a comparison find.

    Args:
        comparison: The comparison.
        labels: A label space that has the titles and training counts of its codes.
    """

    def __init__(self, comparison: Comparison, labels: Labels) -> None:
        self._statistics = [one.statistics for one in comparison.contenders]
        self.labels = _of_codes(labels, comparison.contenders[0].codes)
        self.gold_L: Integers = self._statistics[0].gold_NL.sum(axis=0)
        self.found = [
            FoundCodes(
                statistics.predicted_NL.sum(axis=0),
                (statistics.predicted_NL & statistics.gold_NL).sum(axis=0),
            )
            for statistics in self._statistics
        ]

    @cached_property
    def system(self) -> CodeSystem | None:
        """Return the coding system of the codes; None if it isn't on this machine."""
        editions = self.labels.editions or {}
        kind = next((kind for kind in KINDS if kind in editions), None)
        if kind is None:
            return None
        try:
            return open_code_system(editions[kind]["name"])
        except (IcdcodeError, KeyError):
            return None  # an edition of another machine: the page has no chapters

    @cached_property
    def against_first(self) -> list[Against]:
        """Return each run but the first beside the first."""
        gold_NL, first_NL = self._statistics[0].gold_NL, self._statistics[0].predicted_NL
        found = []
        for statistics in self._statistics[1:]:
            other_NL = statistics.predicted_NL
            only_first_L = (gold_NL & first_NL & ~other_NL).sum(axis=0)
            only_other_L = (gold_NL & other_NL & ~first_NL).sum(axis=0)
            found.append(
                Against(
                    both=_count(gold_NL & first_NL & other_NL),
                    only_first=int(only_first_L.sum()),
                    only_other=int(only_other_L.sum()),
                    neither=_count(gold_NL & ~first_NL & ~other_NL),
                    extra_both=_count(~gold_NL & first_NL & other_NL),
                    extra_first=_count(~gold_NL & first_NL & ~other_NL),
                    extra_other=_count(~gold_NL & other_NL & ~first_NL),
                    only_first_L=only_first_L,
                    only_other_L=only_other_L,
                )
            )
        return found

    @cached_property
    def frequencies(self) -> dict[str, tuple[int, list[float]]]:
        """Return the gold codes of each band of training frequency, and the F1 of each run."""
        return self._by_group(by_training_frequency(self.labels))

    @cached_property
    def chapters(self) -> dict[str, tuple[int, list[float]]]:
        """Return the same by chapter."""
        return self._by_group(self.chapter_masks)

    @cached_property
    def chapter_masks(self) -> dict[str, Booleans]:
        """Return the labels of each chapter; empty if the coding system isn't known."""
        return by_chapter(self.labels, self.system)

    def f1(self, run: int, label: int) -> float | None:
        """Return the F1 of a label by a run; None if it is undefined."""
        found = self.found[run]
        either = int(self.gold_L[label] + found.predicted_L[label])
        return 2 * int(found.right_L[label]) / either if either else None

    def _by_group(self, groups: Mapping[str, Booleans]) -> dict[str, tuple[int, list[float]]]:
        """Return the gold codes of each group that has some, and the micro-F1 of each run."""
        return {
            name: (
                int(self.gold_L[chosen_L].sum()),
                [
                    2
                    * int(found.right_L[chosen_L].sum())
                    / int((self.gold_L + found.predicted_L)[chosen_L].sum())
                    for found in self.found
                ],
            )
            for name, chosen_L in groups.items()
            if self.gold_L[chosen_L].any()
        }


def _of_codes(labels: Labels, codes: tuple[str, ...]) -> Labels:
    """Return the labels of the compared codes, which may be some of all, or more."""
    if codes == labels.codes:
        return labels
    known = [labels.index.get(code) for code in codes]
    return replace(
        labels,
        codes=codes,
        kinds=tuple(KINDS[0] if one is None else labels.kinds[one] for one in known),
        titles=tuple(None if one is None else labels.titles[one] for one in known),
        counts=tuple(0 if one is None else labels.counts[one] for one in known),
        train_counts=tuple(0 if one is None else labels.train_counts[one] for one in known),
    )


def _count(mask_NL: Booleans) -> int:
    return int(np.count_nonzero(mask_NL))


def different_keys(configurations: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the keys of configurations whose values aren't the same in all of them.

    Args:
        configurations: For each run, key to value, the same keys in each.

    Returns:
        Key to the value of each run as YAML, without the names of the runs.
    """
    values = {
        key: [text_of(configuration[key]) for configuration in configurations]
        for key in configurations[0]
        if key not in ("name", "project")
    }
    return {key: found for key, found in values.items() if len(set(found)) > 1}
