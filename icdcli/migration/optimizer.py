"""The state of a training for another label space: what ``state.pt`` has besides the weights."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from icdcli.data.relabeling import Relabeling


def relabel_state(
    state: Mapping[str, Any], names: list[str], by_label: set[str], relabeling: Relabeling
) -> dict[str, Any]:
    """Return the state of a training after its labels have changed.

    Kept labels keep the optimizer's moments; those of all other labels are zero. The best values so
    far are undefined, since they were measured with other labels, so that the next validation
    counts as the best. All else is as it was, the number of steps included.

    Args:
        state: What `icdcli.training.checkpointing.save_checkpoint` has saved.
        names: The names of the trained weights, in the order of the optimizer's state.
        by_label: The names of those with a row for each label.
        relabeling: What becomes of the labels.
    """
    moments = {
        place: _relabeled(values, relabeling) if names[place] in by_label else values
        for place, values in state["optimizer"]["state"].items()
    }
    run = dict(state["run"])
    for best in ("best_metric", "best_loss"):
        run[best] = {**run[best], "value": math.nan, "without_progress": 0}
    return {**state, "optimizer": {**state["optimizer"], "state": moments}, "run": run}


def _relabeled(values: Mapping[str, Tensor], relabeling: Relabeling) -> dict[str, Tensor]:
    """Return the moments of a weight with a row for each label."""
    sources_L = torch.from_numpy(np.maximum(relabeling.sources_L, 0))
    changed_L = torch.from_numpy(~relabeling.kept_L)
    found = dict(values)
    for name, value in values.items():
        if value.ndim:  # not the number of steps
            rows_LK = value[sources_L.to(value.device)]
            rows_LK[changed_L.to(value.device)] = 0
            found[name] = rows_LK
    return found
