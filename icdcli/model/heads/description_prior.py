"""How near each code's descriptions come to some words of a document: a prior that needs no training document.

The logit of a code gets ``weight · max(similarity − offset)`` over its descriptions, its title and its inclusion terms: a
similarity is the cosine between the description and the nearest window of the document, both as means of a frozen backbone's
states; the offset is the description's mean similarity over the training documents, since some are near everything. Only the
weight is learned.

Shapes: B documents, N documents of a split, T tokens, D width, L labels, M descriptions, P places of a window.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from icdcli.data.token_cache import DescriptionSimilarity
from icdcli.model.batch import Segments

WINDOW = 6
"""Tokens of a window: about as many as the words that a diagnosis takes in a note."""

_PLACES_AT_ONCE = 4_096
"""Bounds the matrix of windows and descriptions: 150 MB with 8,929 of these."""

_DOCUMENTS_AT_ONCE = 1_024


class DescriptionPrior(nn.Module):
    """What the descriptions add to the logits.

    Args:
        width: Of the backbone's states.
        descriptions: How many each label has; at least one.
        weight: How much nearness counts at first.

    Attributes:
        descriptions_MD: Each description's mean state, of length 1, in the order of the labels; zero for a label without one.
        offset_M: What is taken off each one's similarity.
        firsts_L: Which is the first description of each label.
        weight: How much nearness counts.
    """

    descriptions_MD: Tensor
    offset_M: Tensor
    firsts_L: Tensor

    def __init__(self, width: int, descriptions: Sequence[int], weight: float = 10.0) -> None:
        super().__init__()
        self.register_buffer("descriptions_MD", torch.zeros(sum(descriptions), width))
        self.register_buffer("offset_M", torch.zeros(sum(descriptions)))
        self.register_buffer("firsts_L", torch.tensor([0, *descriptions[:-1]]).cumsum(0))
        self.weight = nn.Parameter(torch.tensor(weight))

    @property
    def counts(self) -> list[int]:
        """How many descriptions each label has."""
        return (
            torch.cat([self.firsts_L, torch.tensor([len(self.offset_M)]).to(self.firsts_L)])
            .diff()
            .tolist()
        )

    @torch.no_grad()
    def start_from_descriptions(self, descriptions_MD: Tensor) -> None:
        """Take the descriptions' mean states, float32, in the order of the labels; zero for a label without one."""
        self.descriptions_MD.copy_(functional.normalize(descriptions_MD, dim=1))

    @torch.no_grad()
    def start_from_similarities(self, cosine_NM: NDArray[np.float16]) -> None:
        """Take off from now on what each description's similarity is on average over the training documents."""
        sums_M = np.zeros(cosine_NM.shape[1], np.float64)
        for start in range(0, len(cosine_NM), _DOCUMENTS_AT_ONCE):
            sums_M += cosine_NM[start : start + _DOCUMENTS_AT_ONCE].sum(axis=0, dtype=np.float64)
        self.offset_M.copy_(torch.from_numpy(sums_M / len(cosine_NM)))

    def forward(self, similarity_BL: Tensor) -> Tensor:
        """What is added to logits_BL."""
        return self.weight * similarity_BL

    def adjusted(self, cosine_NM: NDArray[np.float16]) -> DescriptionSimilarity:
        """The similarities as a batch reads them."""
        return DescriptionSimilarity(
            cosine_NM, self.offset_M.cpu().numpy(), self.firsts_L.cpu().numpy()
        )

    @torch.inference_mode()
    def similarities(self, hidden_TD: Tensor, documents: Segments) -> Tensor:
        """The similarity of each description to the nearest window of each document.

        Args:
            hidden_TD: The frozen backbone's states, one a token, of any floating dtype.
            documents: Where the documents lie.

        Returns:
            cosine_BM, float32, in [-1, 1].
        """
        rows = []
        for states in hidden_TD.float().split(list(documents.lengths)):
            windows_PD = _windows(states)
            best_M = torch.full((len(self.descriptions_MD),), -1.0, device=states.device)
            for part in windows_PD.split(_PLACES_AT_ONCE):
                best_M = torch.maximum(best_M, (part @ self.descriptions_MD.T).amax(dim=0))
            rows.append(best_M)
        return torch.stack(rows)

    @torch.inference_mode()
    def nearest(self, hidden_TD: Tensor, labels: Sequence[int]) -> list[tuple[float, int]]:
        """Where the descriptions of some codes come nearest to one document.

        Args:
            hidden_TD: The frozen backbone's states of the document, as `similarities` takes them.
            labels: The codes that are asked for.

        Returns:
            For each, what is added to its logit, and at which state the nearest window begins; it is `WINDOW` long, or as long
            as the document where this is shorter.
        """
        windows_PD = _windows(hidden_TD.float())
        found = []
        for label in labels:
            mine = slice(int(self.firsts_L[label]), int(self.firsts_L[label]) + self.counts[label])
            near_P = (windows_PD @ self.descriptions_MD[mine].T - self.offset_M[mine]).amax(dim=1)
            place = int(near_P.argmax())
            found.append((float(self.weight * near_P[place]), place))
        return found


def _windows(hidden_TD: Tensor) -> Tensor:
    """The direction of the mean of every window; of the whole document where it is shorter."""
    size = min(WINDOW, len(hidden_TD))
    means_PD = functional.avg_pool1d(hidden_TD.T[None], size, stride=1)[0].T
    return functional.normalize(means_PD, dim=1)
