"""The score from which a code is predicted: one for all codes or one per code, fixed or tuned.

It belongs to the model: a score means little without the threshold chosen for it, and a threshold
means little without the documents that it was chosen on. `icdcli.evaluation.threshold_tuning` tunes
thresholds.

Shapes: L labels.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from icdcli.data.sources.admission import SPLITS

How = Literal["fixed", "auto", "auto_per_code"]


@dataclass(frozen=True)
class Threshold:
    """A decision threshold and its origin.

    Attributes:
        value: The score from which a code is predicted, unless the code has its own threshold.
        how: ``fixed`` (given in the configuration), ``auto`` (tuned, one for all codes) or
            ``auto_per_code`` (tuned, one per code).
        tuned_on: The split that it was tuned on, or how else; None: it wasn't, or hasn't been yet.
        per_code: The threshold of each label, if they differ.
    """

    value: float = 0.5
    how: How = "fixed"
    tuned_on: str | None = None
    per_code: tuple[float, ...] | None = None

    @classmethod
    def configured(cls, positive_threshold: float | str) -> "Threshold":
        """Return the threshold for ``positive_threshold``; 0.5 if it is to be tuned."""
        match positive_threshold:
            case "auto" | "auto_per_code":
                return cls(how=positive_threshold)
            case _:
                return cls(float(positive_threshold))

    def values_L(self, labels: int) -> NDArray[np.float32]:
        """Return the threshold of each label; a float32 score at or above it is predicted.

        Raises:
            ValueError: If it was tuned for another number of labels.
        """
        if self.per_code is None:
            return np.full(labels, self.value, np.float32)
        if len(self.per_code) != labels:
            raise ValueError(
                f"the threshold was tuned for {len(self.per_code)} labels, not {labels}"
            )
        return np.array(self.per_code, np.float32)

    def with_more(self, labels: int) -> "Threshold":
        """Return the same with more labels at the end, which have the single threshold."""
        if self.per_code is None or not labels:
            return self
        return replace(self, per_code=(*self.per_code, *(self.value for _ in range(labels))))

    def __str__(self) -> str:
        """Return the threshold in words, for everything that shows decisions."""
        if self.how == "fixed":
            return f"{self.value:g}"
        if self.tuned_on is None:
            return f"{self.value:g} ({self.how}, not tuned yet)"
        # Otherwise it is a description of what it was tuned on.
        place = (
            f"on the {self.tuned_on} split" if self.tuned_on in SPLITS else f"by {self.tuned_on}"
        )
        tuned = f"({self.how}, tuned {place})"
        if self.per_code is None:
            return f"{self.value:.4g} {tuned}"
        return f"{min(self.per_code):.3g} to {max(self.per_code):.3g}, one per code {tuned}"

    def to_json(self) -> dict[str, Any]:
        """Return the content of a checkpoint, as `from_json` reads it."""
        per_code = {} if self.per_code is None else {"per_code": list(self.per_code)}
        return {"value": self.value, "how": self.how, "tuned_on": self.tuned_on, **per_code}

    @classmethod
    def from_json(cls, content: float | dict[str, Any]) -> "Threshold":
        """Return the threshold of a checkpoint; a bare number, in older ones, was fixed."""
        if isinstance(content, int | float):
            return cls(float(content))
        per_code = content.get("per_code")
        how, tuned_on = content["how"], content["tuned_on"]
        return cls(content["value"], how, tuned_on, None if per_code is None else tuple(per_code))
