"""Whether scores can be read as probabilities: of all codes scored about 0.7, are seven in ten gold?

Every pair of document and code is one probability, as in a reliability diagram of a binary classifier. Most pairs are easy
negatives with a score near zero, so that the expected calibration error of thousands of codes is small for any coder that
knows how rare they are: it compares coders of one label space, and the diagram says where they are wrong.

Shapes: N documents, L labels, B bins.
"""

import numpy as np
import numpy.typing as npt

from icdcli.metrics.ranking import Booleans, Floats, Scores, blocks

BINS = 15
"""Bins of equal width, each with its upper edge and without its lower, as in Guo et al. 2017."""


def calibration_bins(scores_NL: Scores, targets_NL: Booleans) -> Floats:
    """Count each document's scores by bin.

    Returns:
        (N, B, 3): how many scores, their sum, and how many of them are of gold codes.
    """
    documents, labels = scores_NL.shape
    bins_NB3 = np.empty((documents, BINS, 3))
    edges = np.linspace(0, 1, BINS + 1)[1:-1]
    # A float32 is above an edge where it is above the float32 next to it from below: the same bins without float64 scores.
    rounded = edges.astype(np.float32)
    edges_32 = np.where(rounded > edges, np.nextafter(rounded, np.float32(0)), rounded)
    for block in blocks(documents, labels):
        scores_BL = scores_NL[block]
        cells = np.searchsorted(edges_32, scores_BL) + BINS * np.arange(len(scores_BL))[:, None]
        size = BINS * len(scores_BL)
        for place, weights in enumerate((None, scores_BL.ravel())):
            bins_NB3[block, :, place] = np.bincount(cells.ravel(), weights, size).reshape(-1, BINS)
        bins_NB3[block, :, 2] = np.bincount(cells[targets_NL[block]], minlength=size).reshape(
            -1, BINS
        )
    return bins_NB3


def expected_calibration_error(bins_B3: npt.NDArray[np.floating]) -> Floats:
    """The gap between mean score and share of gold codes, mean over the bins, each counted by its scores.

    Args:
        bins_B3: How many scores each bin has, their sum, and those of gold codes; axes before these are kept.
    """
    # |sum of scores / scores - gold / scores| * scores / all scores
    gaps: Floats = np.abs(bins_B3[..., 1] - bins_B3[..., 2]).sum(axis=-1) / bins_B3[..., 0].sum(
        axis=-1
    )
    return gaps
