"""From which score on a code counts as predicted: one number for all codes or one a code, given or tuned on validation.

It belongs to the coder: a score means little without the threshold that was chosen for it, and a threshold little without
saying on which documents it was chosen. How one is tuned stands in `icdcli.evaluation.threshold_tuning`.

Shapes: L labels.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

How = Literal["fixed", "auto", "auto_per_code"]


@dataclass(frozen=True)
class Threshold:
    """A decision threshold, and where it comes from.

    Attributes:
        value: The score from which a code counts as predicted, where the code has none of its own.
        how: ``fixed`` (given in the configuration), ``auto`` (one, tuned) or ``auto_per_code`` (one a code, tuned).
        tuned_on: The split that it was tuned on; None where it wasn't, or not yet.
        per_code: A threshold a label, where there is one.
    """

    value: float = 0.5
    how: How = "fixed"
    tuned_on: str | None = None
    per_code: tuple[float, ...] | None = None

    @classmethod
    def configured(cls, positive_threshold: float | str) -> "Threshold":
        """What ``positive_threshold`` of the configuration means before anything was tuned: 0.5 where it is to be."""
        match positive_threshold:
            case "auto" | "auto_per_code":
                return cls(how=positive_threshold)
            case _:
                return cls(float(positive_threshold))

    def values_L(self, labels: int) -> NDArray[np.float32]:
        """The threshold of each label; a float32 score at or above it counts as predicted.

        Raises:
            ValueError: Where it was tuned for another number of labels.
        """
        if self.per_code is None:
            return np.full(labels, self.value, np.float32)
        if len(self.per_code) != labels:
            raise ValueError(
                f"the threshold was tuned for {len(self.per_code)} labels, not {labels}"
            )
        return np.array(self.per_code, np.float32)

    def __str__(self) -> str:
        """In words, for everything that shows a decision."""
        if self.how == "fixed":
            return f"{self.value:g}"
        if self.tuned_on is None:
            return f"{self.value:g} ({self.how}, not tuned yet)"
        tuned = f"({self.how}, tuned on the {self.tuned_on} split)"
        if self.per_code is None:
            return f"{self.value:.4g} {tuned}"
        return f"{min(self.per_code):.3g} to {max(self.per_code):.3g}, one a code {tuned}"

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads; values of JSON's types."""
        per_code = {} if self.per_code is None else {"per_code": list(self.per_code)}
        return {"value": self.value, "how": self.how, "tuned_on": self.tuned_on, **per_code}

    @classmethod
    def from_json(cls, content: float | dict[str, Any]) -> "Threshold":
        """A threshold as a checkpoint holds it; a bare number, in older ones, was fixed."""
        if isinstance(content, int | float):
            return cls(float(content))
        per_code = content.get("per_code")
        how, tuned_on = content["how"], content["tuned_on"]
        return cls(content["value"], how, tuned_on, None if per_code is None else tuple(per_code))
