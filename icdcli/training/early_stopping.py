"""When training stops improving, and when it fails: best value, patience, collapse.

Collapse is a known failure of label attention: from one epoch on, micro-F1 is near zero. Clipped
gradients, a float32 softmax and layer norm make it rare; nothing makes it impossible. Early
stopping would only wait for it to pass, and the scores of the lexical model hide it.

Shapes: N documents, L labels.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SAME = 1e-3
"""Logits with a mean standard deviation over documents below this have collapsed."""

SAMPLE = 512
"""Documents whose logits are enough to recognize a collapse."""

_REMEDY = (
    "resume from the best checkpoint with a lower learning rate (`icdcode resume RUN_DIR "
    "--load metric lr0={lr:g}`), or train with a longer warm-up, a smaller max_grad_norm or a "
    "lower head_lr_factor"
)


@dataclass
class Best:
    """The best value so far, and how many validations passed without a better one.

    Attributes:
        higher_is_better: Whether higher values are better.
        value: The best so far; None before the first validation.
        without_progress: Validations since then.
    """

    higher_is_better: bool
    value: float | None = None
    without_progress: int = 0

    def update(self, value: float) -> bool:
        """Add the value of a validation and return whether it is the best so far.

        The first value is the best so far, NaN or not, so that the first validation always leaves a
        checkpoint. After that, NaN (a value that is undefined) is neither better nor worse.
        """
        if self.value is None or (math.isnan(self.value) and not math.isnan(value)):
            better = True
        else:
            better = value > self.value if self.higher_is_better else value < self.value
        if math.isnan(value) and not better:
            return False
        if better:
            self.value, self.without_progress = value, 0
        else:
            self.without_progress += 1
        return better

    def patience_left(self, patience: int) -> int:
        """Return how many validations without improvement may still follow; 0 means stop."""
        return max(0, patience - self.without_progress)


@dataclass(frozen=True)
class Kept:
    """The checkpoint that ``weights/metric`` or ``weights/loss`` refers to when a run is resumed.

    It may be of a later step than the one that the run is resumed from.

    Attributes:
        value: Its monitored value, or its validation loss.
        step: Its step.
    """

    value: float
    step: int

    def is_replaced_by(self, value: float, step: int, higher_is_better: bool) -> bool:
        """Return whether a validation may replace it: only if it is better, or the same again.

        A run that was killed after it made the checkpoint repeats the step and gets the same value.
        """
        if math.isnan(self.value) or (value == self.value and step == self.step):
            return True
        return value > self.value if higher_is_better else value < self.value


def collapse_warning(
    logits_NL: NDArray[np.float32],
    value: float,
    best: float | None,
    higher_is_better: bool,
    lr0: float,
) -> str | None:
    """Return a warning with a remedy if a validation looks like a collapse, else None.

    Args:
        logits_NL: Logits of the network alone.
        value: The monitored value.
        best: The best value before; None at the first validation.
        higher_is_better: Whether higher monitored values are better.
        lr0: The run's peak learning rate.
    """
    remedy = _REMEDY.format(lr=lr0 / 3)
    if len(logits_NL) > 1 and float(logits_NL[:SAMPLE].std(axis=0).mean()) < _SAME:
        return f"the network gives every document the same scores: it has collapsed; {remedy}"
    if higher_is_better and best is not None and best > 0 and value < best / 2:
        return (
            f"the monitored value fell from {best:.3g} to {value:.3g}: the network may have "
            f"collapsed; {remedy}"
        )
    return None
