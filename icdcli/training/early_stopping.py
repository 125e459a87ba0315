"""Best-so-far and patience."""

import math
from dataclasses import dataclass


@dataclass
class Best:
    """The best value so far and how many validations passed without a better one.

    Attributes:
        higher_is_better: Whether progress is upwards.
        value: The best so far; None before the first validation.
        without_progress: Validations since then.
    """

    higher_is_better: bool
    value: float | None = None
    without_progress: int = 0

    def update(self, value: float) -> bool:
        """Take a validation's value; whether it is the best so far.

        The first value sets the mark and is no lack of progress. A NaN (a metric that is undefined on the split) is never the
        best, but the first validation always leaves a checkpoint behind.
        """
        if self.value is None or (math.isnan(self.value) and not math.isnan(value)):
            better = True
        else:
            better = value > self.value if self.higher_is_better else value < self.value
        if better:
            self.value, self.without_progress = value, 0
        else:
            self.without_progress += 1
        return better

    def patience_left(self, patience: int) -> int:
        """Validations without progress that may still follow; 0 means stop."""
        return max(0, patience - self.without_progress)
