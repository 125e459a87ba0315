"""The similarity of a code's descriptions to a document: a prior without training documents.

The prior adds ``weight · max(similarity − offset)`` to the logit of a code, the maximum over its
descriptions: its title, inclusion terms and synonyms. The similarity is the cosine between the
description and the most similar window of the document, both as means of a frozen backbone's hidden
states. The offset is the description's mean similarity to the training documents, since some
descriptions are similar to everything. Only the weight is learned.

Shapes: B documents, N documents of a split, T tokens, D width, L labels, M descriptions, P
positions of a window.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from icdcli.data.encoded_documents import DescriptionSimilarity, JoinedRows
from icdcli.model.batch import Segments

WINDOW = 6
"""The tokens of a window: about the length of a diagnosis in a note."""

_POSITIONS_AT_ONCE = 4_096
"""Bounds the matrix of windows and descriptions: 150 MB for 8,929 descriptions."""

_DOCUMENTS_AT_ONCE = 1_024


class DescriptionPrior(nn.Module):
    """The part of a network that adds the similarity of the descriptions to the logits.

    Args:
        width: The width of the backbone's hidden states.
        descriptions: The number of descriptions of each label, at least one.
        weight: The initial weight of the similarity.

    Attributes:
        descriptions_MD: The mean hidden state of each description, of length 1, in the order of the
            labels; zero for a label without a description.
        offset_M: The number that is subtracted from each description's similarity.
        firsts_L: The first description of each label.
        weight: The weight of the similarity.
        precision: The precision in which similarities are computed.
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
        self.precision = torch.float32

    @property
    def counts(self) -> list[int]:
        """Return the number of descriptions of each label."""
        return (
            torch.cat([self.firsts_L, torch.tensor([len(self.offset_M)]).to(self.firsts_L)])
            .diff()
            .tolist()
        )

    @torch.no_grad()
    def start_from_descriptions(self, descriptions_MD: Tensor) -> None:
        """Set the descriptions.

        Args:
            descriptions_MD: The mean hidden state of each description, float32, in the order of the
                labels; zero for a label without a description.
        """
        self.descriptions_MD.copy_(functional.normalize(descriptions_MD, dim=1))

    @torch.no_grad()
    def start_from_similarities(self, cosine_NM: NDArray[np.float16] | JoinedRows) -> None:
        """Set the offsets to each description's mean similarity to the training documents."""
        sums_M = np.zeros(cosine_NM.shape[1], np.float64)
        for start in range(0, len(cosine_NM), _DOCUMENTS_AT_ONCE):
            sums_M += cosine_NM[start : start + _DOCUMENTS_AT_ONCE].sum(axis=0, dtype=np.float64)
        self.offset_M.copy_(torch.from_numpy(sums_M / len(cosine_NM)))

    def forward(self, similarity_BL: Tensor) -> Tensor:
        """Return the amount to add to logits_BL."""
        return self.weight * similarity_BL

    def adjusted(self, cosine_NM: NDArray[np.float16] | JoinedRows) -> DescriptionSimilarity:
        """Return the similarities with the offsets, as a batch reads them."""
        return DescriptionSimilarity(
            cosine_NM, self.offset_M.cpu().numpy(), self.firsts_L.cpu().numpy()
        )

    @torch.inference_mode()
    def similarities(self, hidden_TD: Tensor, documents: Segments) -> Tensor:
        """Return the similarity of each description to the most similar window of each document.

        Args:
            hidden_TD: The frozen backbone's hidden states, one per token, of any floating dtype.
            documents: The borders of the documents.

        Returns:
            cosine_BM, float32, in [-1, 1].
        """
        rows = []
        descriptions_DM = self.descriptions_MD.to(self.precision).T
        for states in hidden_TD.float().split(list(documents.lengths)):
            windows_PD = _windows(states).to(self.precision)
            best_M = torch.full((len(self.descriptions_MD),), -1.0, device=states.device)
            for part in windows_PD.split(_POSITIONS_AT_ONCE):
                best_M = torch.maximum(best_M, (part @ descriptions_DM).amax(dim=0))
            rows.append(best_M)
        return torch.stack(rows)

    def cosines(self, hidden_TD: Tensor, documents: Segments) -> NDArray[np.float16]:
        """Return cosine_BM, the `similarities` in half precision, as they are kept on disk."""
        return self.similarities(hidden_TD, documents).half().cpu().numpy()

    @torch.inference_mode()
    def nearest(self, hidden_TD: Tensor, labels: Sequence[int]) -> list[tuple[float, int]]:
        """Return the most similar window of one document for the descriptions of some codes.

        Args:
            hidden_TD: The frozen backbone's hidden states of the document, as in `similarities`.
            labels: The codes.

        Returns:
            For each code, the amount that is added to its logit, and the first position of the
            window. The window is `WINDOW` long, or as long as the document if that is shorter.
        """
        windows_PD = _windows(hidden_TD.float())
        found = []
        for label in labels:
            mine = slice(int(self.firsts_L[label]), int(self.firsts_L[label]) + self.counts[label])
            similarity_P = (windows_PD @ self.descriptions_MD[mine].T - self.offset_M[mine]).amax(
                dim=1
            )
            position = int(similarity_P.argmax())
            found.append((float(self.weight * similarity_P[position]), position))
        return found


def _windows(hidden_TD: Tensor) -> Tensor:
    """Return the direction of the mean of every window, or of a document shorter than a window."""
    size = min(WINDOW, len(hidden_TD))
    means_PD = functional.avg_pool1d(hidden_TD.T[None], size, stride=1)[0].T
    return functional.normalize(means_PD, dim=1)
