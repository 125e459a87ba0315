"""Scored predictions as contenders of a comparison, beside runs.

Predictions of another system have another label space than a run, so they are compared on all codes
of both. What they have in common must be the gold codes of each document; metrics that depend on
codes that are neither gold nor predicted are left out.

Shapes: N documents, L labels.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from icdcli.errors import ConfigError
from icdcli.evaluation.compare import Contender
from icdcli.evaluation.files import STATISTICS, read_statistics
from icdcli.metrics.arrays import Booleans
from icdcli.metrics.document_statistics import Statistics

_BY_LABEL_SPACE = frozenset(
    (
        *("loss", "aucroc_micro", "aucprc_micro", "calibration_error", "f1_macro_caml"),
        *("f1_macro_all", "precision_macro_all", "recall_macro_all"),
    )
)
"""Metrics that change with the number of codes that are neither gold nor predicted."""


def is_scored(folder: Path) -> bool:
    """Return whether a folder is what ``icdcode score --out`` writes."""
    return (folder / STATISTICS).is_file() and not (folder / "args.yaml").exists()


def scored_contender(folder: Path, split: str) -> Contender:
    """Read scored predictions as a contender.

    Args:
        folder: The folder that ``icdcode score --out`` has written.
        split: The split that the others are compared on.

    Raises:
        ConfigError: If it isn't such a folder, or has another split.
        DataError: If a file is damaged.
    """
    stored = read_statistics(folder / STATISTICS)
    if "predictions" not in stored.about:
        raise ConfigError(
            f"{folder}: is the evaluation of a run. Pass the folder of the run instead."
        )
    own = stored.about.get("split")
    if own not in (None, split):
        raise ConfigError(
            f"{folder}: has predictions on the split {own}, but --split is {split}. Pass "
            f"--split {own}."
        )
    return Contender(
        str(folder),
        stored.about["threshold"],
        stored.ids,
        stored.codes,
        stored.statistics,
        stored.about.get("editions"),
    )


def on_all_codes(contenders: Iterable[Contender]) -> list[Contender]:
    """Return contenders with the label space of all of them together.

    Args:
        contenders: At least two; their gold codes may be different sets of codes only where no
            document has them.
    """
    found = list(contenders)
    codes = tuple(sorted(set().union(*(one.codes for one in found))))
    if all(one.codes == codes for one in found):
        return found
    place = {code: label for label, code in enumerate(codes)}
    return [replace(one, codes=codes, statistics=_spread(one, place, len(codes))) for one in found]


def _spread(contender: Contender, place: dict[str, int], labels: int) -> Statistics:
    """Return the statistics in another label space that has all codes of the own one."""
    columns = [place[code] for code in contender.codes]

    def spread(chosen_NL: Booleans) -> Booleans:
        result_NL = np.zeros((len(chosen_NL), labels), bool)
        result_NL[:, columns] = chosen_NL
        return result_NL

    own = contender.statistics
    names = [name for name in own.metrics if name not in _BY_LABEL_SPACE]
    return replace(
        own.only(names), predicted_NL=spread(own.predicted_NL), gold_NL=spread(own.gold_NL)
    )
