"""Calibration: of all codes with a score of about 0.7, are seven in ten gold?

Every pair of a document and a code is one probability, as in a reliability diagram of a binary
classifier. Most pairs are easy negatives with a score near zero, so the expected calibration error
over thousands of codes is small for any model that knows how rare they are. It compares models with
the same label space; the reliability diagram shows at which scores they are wrong.

Shapes: N documents, L labels, B bins.
"""

import numpy as np
import numpy.typing as npt

from icdcli.metrics.arrays import Booleans, Floats, Scores, row_blocks

BINS = 15
"""Bins of equal width, open below and closed above, as in Guo et al. 2017."""


def calibration_bins(scores_NL: Scores, targets_NL: Booleans) -> Floats:
    """Count each document's scores per bin.

    Returns:
        (N, B, 3): the number of scores, their sum, and the number that belong to gold codes.
    """
    documents, labels = scores_NL.shape
    bins_NB3 = np.empty((documents, BINS, 3))
    edges = np.linspace(0, 1, BINS + 1)[1:-1]
    # A float32 score is above an edge if it is above the largest float32 that isn't above the edge.
    # This gives the same bins without converting the scores to float64.
    rounded = edges.astype(np.float32)
    edges_32 = np.where(rounded > edges, np.nextafter(rounded, np.float32(0)), rounded)
    for block in row_blocks(documents, labels):
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
    """Return the expected calibration error.

    It is the mean over the bins, weighted by their numbers of scores, of the absolute difference
    between a bin's mean score and its share of gold codes.

    Args:
        bins_B3: For each bin the number of scores, their sum, and the number that belong to gold
            codes. Leading axes are kept.
    """
    # |sum of scores / scores - gold / scores| * scores / all scores
    gaps: Floats = np.abs(bins_B3[..., 1] - bins_B3[..., 2]).sum(axis=-1) / bins_B3[..., 0].sum(
        axis=-1
    )
    return gaps
