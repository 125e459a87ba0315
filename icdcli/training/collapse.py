"""Telling when a network has collapsed: a known end of label attention, whose micro-F1 is near zero from one epoch on.

Clipped gradients, a float32 softmax and layer norm make it rare; nothing makes it impossible. Early stopping would only wait
for it to pass, and scores of words alone hide it.

Shapes: N documents, L labels.
"""

import numpy as np
from numpy.typing import NDArray

_SAME = 1e-3
"""How little logits may differ between documents, on average over the codes, in units of a logit."""

SAMPLE = 512
"""Documents that are enough to tell."""

_REMEDY = (
    "go back to the best checkpoint with a lower learning rate (`icdcode resume RUN_DIR --load metric lr0={lr:g}`), or train "
    "with a longer warm-up, a smaller max_grad_norm or a lower head_lr_factor"
)


def alarm(
    logits_NL: NDArray[np.float32],
    value: float,
    best: float | None,
    higher_is_better: bool,
    lr0: float,
) -> str | None:
    """Whether a validation looks like a collapse, in words that name the remedy.

    Args:
        logits_NL: The network's own.
        value: The monitored value.
        best: The best before it; None at the first validation.
        higher_is_better: Whether the monitored value goes upwards as coders get better.
        lr0: The run's highest learning rate.

    Returns:
        None where nothing is wrong.
    """
    remedy = _REMEDY.format(lr=lr0 / 3)
    if len(logits_NL) > 1 and float(logits_NL[:SAMPLE].std(axis=0).mean()) < _SAME:
        return f"the network says the same of every document: it has collapsed; {remedy}"
    if higher_is_better and best is not None and best > 0 and value < best / 2:
        return f"the monitored value fell from {best:.3g} to {value:.3g}: the network may have collapsed; {remedy}"
    return None
