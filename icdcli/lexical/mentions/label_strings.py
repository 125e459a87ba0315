"""Strings that are signs of labels, and how similar a mention is to those of each label.

Shapes: S strings, H features, E pairs of a string and a label, L labels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from icdcli.data.relabeling import Relabeling
from icdcli.io.npz import Arrays
from icdcli.lexical.mentions.string_vectors import string_vectors, vectors_of

String = tuple[str, ...]
"""The folded words of a string."""

LEAST_SIMILARITY = 0.27
"""Less similar strings count as different; even a string that is worth 1 is then worth .02."""


@dataclass(frozen=True)
class LabelStrings:
    """Strings of labels, as vectors.

    Attributes:
        vectors_SH: The vector of each string; see `string_vectors`.
        string_E: The string of each pair of a string and its label.
        label_E: The label.
        worth_E: What a string is worth as a sign of its label, 0 to 1.
    """

    vectors_SH: sparse.csr_matrix
    string_E: NDArray[np.int32]
    label_E: NDArray[np.int32]
    worth_E: NDArray[np.float32]

    @classmethod
    def of(
        cls, worth: Mapping[tuple[int, String], float], idf_H: NDArray[np.float32]
    ) -> "LabelStrings":
        """Make the vectors of strings.

        Args:
            worth: What a string is worth, by its label and the string.
            idf_H: The weights of features.
        """
        pairs = sorted(worth)
        strings = sorted({string for _, string in pairs})
        place = {string: number for number, string in enumerate(strings)}
        return cls(
            string_vectors(strings, idf_H),
            np.array([place[string] for _, string in pairs], np.int32),
            np.array([label for label, _ in pairs], np.int32),
            np.array([worth[pair] for pair in pairs], np.float32),
        )

    def compare(
        self, vector_H: sparse.csr_matrix, number_of_labels: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Compare a mention with the strings of each label.

        Returns:
            The similarity of the most similar string, and the largest product of a string's worth
            with the third power of its similarity, (L,) each; 0 without a similar string.
        """
        similar_L, worth_L = np.zeros((2, number_of_labels), np.float32)
        similar_S = (vector_H @ self._vectors_HS).toarray()[0]
        pairs = np.flatnonzero((similar_S > LEAST_SIMILARITY)[self.string_E])
        similar, label = similar_S[self.string_E[pairs]], self.label_E[pairs]
        np.maximum.at(similar_L, label, similar)
        np.maximum.at(worth_L, label, similar**3 * self.worth_E[pairs])
        return similar_L, worth_L

    def relabeled(self, relabeling: Relabeling, only_kept: bool = False) -> "LabelStrings":
        """Return the strings of other labels, which share what the strings are worth.

        Args:
            relabeling: What becomes of the labels.
            only_kept: Whether labels that aren't kept have none.
        """
        followers = relabeling.followers()
        pairs = sorted(
            (label, string, worth / relabeling.shares_L[label])
            for label_before, string, worth in zip(
                self.label_E.tolist(), self.string_E.tolist(), self.worth_E.tolist(), strict=True
            )
            for label in followers[label_before]
            if relabeling.kept_L[label] or not only_kept
        )
        return LabelStrings(
            self.vectors_SH,
            np.array([string for _, string, _ in pairs], np.int32),
            np.array([label for label, _, _ in pairs], np.int32),
            np.array([worth for _, _, worth in pairs], np.float32),
        )

    def joined(self, other: "LabelStrings") -> "LabelStrings":
        """Return the strings of both."""
        return LabelStrings(
            sparse.vstack([self.vectors_SH, other.vectors_SH], format="csr"),
            np.concatenate([self.string_E, other.string_E + np.int32(self.vectors_SH.shape[0])]),
            np.concatenate([self.label_E, other.label_E]),
            np.concatenate([self.worth_E, other.worth_E]),
        )

    def arrays(self) -> Arrays:
        """Return the arrays that `from_arrays` needs besides the weights of features."""
        return {
            "columns": self.vectors_SH.indices.astype(np.uint16),
            "starts": self.vectors_SH.indptr.astype(np.int64),
            "string": self.string_E,
            "label": self.label_E,
            "worth": self.worth_E,
        }

    @classmethod
    def from_arrays(
        cls, arrays: Arrays, idf_H: NDArray[np.float32], number_of_labels: int
    ) -> "LabelStrings":
        """Make them from arrays.

        Raises:
            ValueError: If the arrays don't fit together.
            KeyError: If one is missing.
        """
        string_E, label_E, worth_E = arrays["string"], arrays["label"], arrays["worth"]
        vectors_SH = vectors_of(arrays["columns"].astype(np.int32), arrays["starts"], idf_H)
        if not len(string_E) == len(label_E) == len(worth_E):
            raise ValueError("the strings of mentions don't fit together")
        for name, indices, length in (
            ("strings", string_E, vectors_SH.shape[0]),
            ("labels", label_E, number_of_labels),
        ):
            if len(indices) and not 0 <= indices.min() <= indices.max() < length:
                raise ValueError(f"{name} of mentions out of range")
        return cls(vectors_SH, string_E, label_E, worth_E)

    @cached_property
    def _vectors_HS(self) -> sparse.csr_matrix:
        return self.vectors_SH.T.tocsr()


def description_worth(
    descriptions: Iterable[tuple[int, Sequence[String]]], worth: float
) -> dict[tuple[int, String], float]:
    """Return the same worth for all descriptions of labels that have words."""
    return {
        (label, string): worth for label, strings in descriptions for string in strings if string
    }
