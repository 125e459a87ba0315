"""Load the weights of a network from a file that has exactly these, without transformers' loader.

That loader converts the weights of all architectures and places them on several devices. It takes
longer to start than most networks for a CPU take to load.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoModel, PreTrainedModel

_WEIGHTS = "model.safetensors"
_LARGEST = 2**31
"""The most bytes of a file that is worth it; loading larger ones takes long in any case."""


def load_plain_network(folder: Path, settings: Any) -> PreTrainedModel | None:
    """Load a network with float32 weights; the result is that of ``AutoModel.from_pretrained``.

    Args:
        folder: The folder of the pretrained model.
        settings: Its settings.

    Returns:
        The network; None if the folder's weights aren't exactly those of the network.
    """
    path = folder / _WEIGHTS
    if not path.is_file() or path.stat().st_size > _LARGEST:
        return None
    if getattr(settings, "quantization_config", None) is not None:
        return None
    try:
        from transformers.initialization import no_init_weights
    except ImportError:  # not in all versions
        return None
    with no_init_weights():
        network: Any = AutoModel.from_config(settings, dtype=torch.float32)
    own, computed = network.state_dict(), dict(network.named_buffers())
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        if not own.keys() <= names <= own.keys() | computed.keys():
            return None
        for name in names:
            stored, weight = file.get_tensor(name), own.get(name)
            if weight is None:  # earlier versions also wrote what is computed
                if not torch.equal(stored, computed[name]):
                    return None
            elif stored.dtype != weight.dtype or stored.shape != weight.shape:
                return None
            else:
                weight.copy_(stored)
    return network.eval()  # type: ignore[no-any-return]
