"""Compare models on the same documents and codes; anything else would compare the data.

Shapes: N documents, L labels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from icdcli.data.corpus.reader import Labels
from icdcli.errors import ConfigError
from icdcli.evaluation.evaluate import Evaluation
from icdcli.icd.editions.records import Editions, other_editions
from icdcli.metrics.arrays import Scores
from icdcli.metrics.bootstrap import Difference, differences
from icdcli.metrics.document_statistics import Statistics, statistics_of


@dataclass(frozen=True)
class Contender:
    """One of the models to compare, with its evaluation on the split.

    Attributes:
        name: Its name, usually the folder of its run.
        threshold: A description of its threshold.
        ids: The ids of the documents.
        codes: The label space.
        statistics: Its metrics, and the statistics of each document.
        editions: The editions of its codes; None: unknown.
    """

    name: str
    threshold: str
    ids: tuple[str, ...]
    codes: tuple[str, ...]
    statistics: Statistics
    editions: Editions | None = None

    @classmethod
    def of(cls, name: str, evaluation: Evaluation) -> "Contender":
        """Return an evaluation as a contender."""
        ids, codes = tuple(evaluation.scored.documents.ids), evaluation.labels.codes
        editions = evaluation.labels.editions
        return cls(name, str(evaluation.threshold), ids, codes, evaluation.statistics, editions)


@dataclass(frozen=True)
class Comparison:
    """A comparison of models on the same documents.

    Attributes:
        contenders: The models; the others are compared with the first.
        differences: For each other model, metric to the difference from the first model's.
        evaluated: The evaluation folders that were written for this comparison.
        labels: The label space of the first run, which has the titles of the codes; None: unknown.
        dataset: The data set that the first run was trained on; empty: unknown.
        notes: What may explain differences besides the models, one sentence each.
    """

    contenders: tuple[Contender, ...]
    differences: tuple[dict[str, Difference], ...]
    evaluated: tuple[Path, ...] = ()
    labels: Labels | None = None
    dataset: str = ""
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON.

        Returns:
            ``documents``, ``codes``, and ``runs``: a list of ``name``, ``threshold``,
            ``editions``, ``metrics`` and, except for the first run, ``differences``: metric to
            ``value``, ``low``, ``high`` and ``sure``.
        """
        runs: list[dict[str, Any]] = [
            {
                "name": contender.name,
                "threshold": contender.threshold,
                "editions": contender.editions,
                "metrics": dict(contender.statistics.metrics),
            }
            for contender in self.contenders
        ]
        for run, differences_of_run in zip(runs[1:], self.differences, strict=True):
            if differences_of_run:
                found = {name: value._asdict() for name, value in differences_of_run.items()}
                run["differences"] = found
        first = self.contenders[0]
        return {"documents": len(first.ids), "codes": len(first.codes), "runs": runs}


def compare_models(contenders: Sequence[Contender]) -> Comparison:
    """Compare models with the first of them.

    Args:
        contenders: At least two models.

    Raises:
        ConfigError: If their documents, gold codes or label spaces differ.
    """
    first, *others = contenders
    require_one_label_space({contender.name: contender.codes for contender in contenders})
    aligned = [first, *(_aligned(first, other) for other in others)]
    return Comparison(
        tuple(aligned),
        tuple(differences(first.statistics, other.statistics) for other in aligned[1:]),
    )


def _aligned(first: Contender, other: Contender) -> Contender:
    """Return the second contender with the documents in the first one's order."""
    if set(first.ids) != set(other.ids):
        common = len(set(first.ids) & set(other.ids))
        raise ConfigError(
            f"{other.name}: was evaluated on different documents from {first.name} "
            f"({len(other.ids):,} and {len(first.ids):,}, {common:,} in both). Compare runs on the "
            "same split of the same data."
        )
    place = {document: row for row, document in enumerate(other.ids)}
    statistics = other.statistics.take([place[document] for document in first.ids])
    if not np.array_equal(statistics.gold_NL, first.statistics.gold_NL):
        raise ConfigError(
            f"{other.name}: has different gold codes from {first.name} for the same documents. "
            "Compare runs on the same data."
        )
    return replace(other, ids=first.ids, statistics=statistics)


def require_one_label_space(spaces: Mapping[str, Sequence[str]]) -> None:
    """Check that all models have the same label space.

    Args:
        spaces: Name of a model to its codes.

    Raises:
        ConfigError: If a model's codes differ from those of the first.
    """
    (first, codes), *others = spaces.items()
    for name, its_codes in others:
        if tuple(its_codes) != tuple(codes):
            common = len(set(its_codes) & set(codes))
            remedy = (
                "Pass --intersection to compare on the codes in common."
                if common
                else "Compare runs with the same coding system."
            )
            raise ConfigError(
                f"{name}: its label space ({len(its_codes):,} codes) differs from that of {first} "
                f"({len(codes):,} codes, {common:,} in both). {remedy}"
            )


def edition_warnings(editions: Mapping[str, Editions | None]) -> Iterator[str]:
    """Yield a warning for each model whose codes are of other editions than the first one's.

    Args:
        editions: Name of a model to the editions of its codes; None: unknown.
    """
    (first, its_editions), *others = editions.items()
    for name, found in others:
        if (differing := other_editions(its_editions, found)) is not None:
            one, other = differing
            yield (
                f"{name}: has codes of {other}, but {first} those of {one}. The difference between "
                "these runs may be that of the editions. To compare models, train both with the "
                "same code_system."
            )


def note_warnings(read: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    """Yield a warning for each model that read other notes of the documents than the first one.

    Documents have the same ids and codes in each language of CodiEsp, and a table may have several
    columns of notes.

    Args:
        read: Name of a model to the language and the column of its notes.
    """
    if not read:
        return
    (first, (language, column)), *others = read.items()
    for name, (its_language, its_column) in others:
        differing = [
            f"{key}: {its} instead of {of_first}"
            for key, its, of_first in (
                ("language", its_language, language),
                ("text_column", its_column, column),
            )
            if its != of_first
        ]
        if differing:
            yield (
                f"{name}: read other notes than {first} ({', '.join(differing)}). The difference "
                "between these runs may be that of the notes."
            )


def common_codes(label_spaces: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the codes that are in all label spaces, in the first one's order.

    Raises:
        ConfigError: If there are none.
    """
    inside = set(label_spaces[0]).intersection(*label_spaces[1:])
    if not inside:
        raise ConfigError("the runs have no code in common, so there is nothing to compare")
    return tuple(code for code in label_spaces[0] if code in inside)


def restrict_statistics(
    scores_NL: Scores,
    targets_NL: np.typing.NDArray[np.bool_],
    threshold_L: Scores,
    codes: Sequence[str],
    chosen: Sequence[str],
) -> Statistics:
    """Return the statistics as if there were no codes but the chosen ones.

    They are without the loss, which is a mean over all codes.

    Args:
        scores_NL: The scores of all codes.
        targets_NL: The gold codes.
        threshold_L: The threshold of each label.
        codes: The label space.
        chosen: Some of its codes, in the order of the result.
    """
    place = {code: label for label, code in enumerate(codes)}
    labels = np.array([place[code] for code in chosen])
    return statistics_of(scores_NL[:, labels], targets_NL[:, labels], threshold_L[labels])
