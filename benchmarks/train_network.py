"""The network of `train.py`: random weights of a given shape, LoRA, mean pooling, a linear layer.

`theirs` is written with transformers and peft alone; `ours` comes from icdcode. All draws are
seeded, so both start from the same weights (`fingerprint`).

Shapes: B documents, T tokens, D width, L labels.
"""

import hashlib
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from train_documents import LABELS, VOCABULARY
from transformers import AutoModel, LlamaConfig

from icdcli.model.backbone import finish_backbone
from icdcli.model.network import CodingNetwork, build_network, use_gradient_checkpointing
from icdcli.model.section import ModelConfig

LORA_R, LORA_ALPHA, POS_WEIGHT = 16, 32, 5.0
# Dense bfloat16 operations per second, from NVIDIA's data sheets; the first name that is part of
# the device's name counts.
PEAKS = {"H200": 989e12, "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "A100": 312e12}


@dataclass(frozen=True)
class Size:
    """The shape of a network and how it is trained.

    Attributes:
        shape: Arguments of the Llama configuration.
        device: The device that trains it.
        bit: Bits per backbone weight; 16 is bfloat16, with autocast.
        checkpointing: Whether activations are recomputed to save memory.
        lr: The learning rate, the same at every step.
    """

    shape: dict[str, Any]
    device: str
    bit: int
    checkpointing: bool
    lr: float


SIZES = {
    "small": Size(
        {
            "vocab_size": VOCABULARY,
            "hidden_size": 256,
            "intermediate_size": 1_024,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
        },
        device="cpu",
        bit=32,
        checkpointing=False,
        lr=2e-3,
    ),
    "8b": Size(  # Llama 3 8B
        {
            "vocab_size": 128_256,
            "hidden_size": 4_096,
            "intermediate_size": 14_336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
        },
        device="cuda:0",
        bit=16,
        checkpointing=True,
        lr=1e-4,
    ),
}


class Plain(nn.Module):
    """Backbone, mean pooling, linear layer and loss, as the Trainer expects them.

    As in icdcode, everything after the backbone is float32.
    """

    def __init__(self, backbone: nn.Module, width: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.output = nn.Linear(width, LABELS)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """Return the mean loss over documents and labels, and logits_BL."""
        hidden_BTD = self.backbone(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state
        with torch.autocast(input_ids.device.type, enabled=False):
            mask_BT1 = attention_mask.unsqueeze(-1).float()
            logits_BL = self.output(
                (hidden_BTD.float() * mask_BT1).sum(dim=1) / mask_BT1.sum(dim=1)
            )
            weight = torch.tensor(POS_WEIGHT, device=logits_BL.device)
            loss = functional.binary_cross_entropy_with_logits(logits_BL, labels, pos_weight=weight)
        return {"loss": loss, "logits": logits_BL}


def theirs(size: Size, max_len: int, seed: int) -> Plain:
    """Return the network of transformers and peft alone; icdcode only turns on checkpointing."""
    import peft  # icdcode silences its import messages

    backbone = _backbone(size, max_len, seed)
    torch.manual_seed(seed + 1)
    options = peft.LoraConfig(
        r=LORA_R, lora_alpha=LORA_ALPHA, lora_dropout=0.0, target_modules="all-linear"
    )
    backbone.requires_grad_(False)
    with warnings.catch_warnings():
        # peft warns about a name that transformers will change.
        warnings.simplefilter("ignore", FutureWarning)
        adapted = peft.get_peft_model(backbone, options)
    torch.manual_seed(seed + 2)
    network = Plain(adapted, size.shape["hidden_size"])
    return _ready(network, network.output, size)


def ours(size: Size, max_len: int, seed: int) -> tuple[CodingNetwork, ModelConfig]:
    """Return icdcode's network and the configuration that it is made from."""
    config = ModelConfig(
        model="llama",
        bit=size.bit,
        max_len=max_len,
        lora_r=LORA_R,
        lora_alpha=LORA_ALPHA,
        lora_dropout=0.0,
    )
    plain = _backbone(size, max_len, seed)
    torch.manual_seed(seed + 1)
    backbone = finish_backbone(config, plain)
    torch.manual_seed(seed + 2)
    network: Any = build_network(config, backbone, LABELS)
    return _ready(network, network.head.output, size), config


def _ready(network: Any, output: nn.Module, size: Size) -> Any:
    output.to(size.device)
    if size.checkpointing:
        use_gradient_checkpointing(network)
    return network


def _backbone(size: Size, max_len: int, seed: int) -> Any:
    """Draw random weights on the device: on a CPU, eight billion of them would take minutes."""
    settings = LlamaConfig(**size.shape, max_position_embeddings=max_len, use_cache=False)
    settings.is_causal = False  # every token attends to every other one, as in icdcode
    dtype = torch.float32 if size.bit == 32 else torch.bfloat16
    torch.manual_seed(seed)
    with torch.device(size.device):
        return AutoModel.from_config(settings, dtype=dtype, attn_implementation="sdpa")


@torch.no_grad()
def fingerprint(network: nn.Module) -> str:
    """Return sixteen hexadecimal digits that differ if weights differ: from sums of their bits."""
    digest = hashlib.sha256()
    for weight in network.parameters():
        bits = weight.detach().view(torch.int32 if weight.element_size() == 4 else torch.int16)
        digest.update(str((tuple(weight.shape), int(bits.sum(dtype=torch.int64)))).encode())
    return digest.hexdigest()[:16]


def useful_operations(network: Any, size: Size, lengths: NDArray[np.int64]) -> float:
    """Return the floating-point operations that training on documents of these lengths needs.

    Per token: 2N forward and 2N for the gradient of the input, N being the frozen weights that a
    token is multiplied with (no embeddings), which need no gradient of their own; 6A for the A
    weights of the adapters, which do; and for attention, in which each of a document's T tokens
    attends to T tokens, 4 x layers x T x width forward and twice that backward. Padding and
    recomputed activations are not counted. Torch's own count of an unpadded batch is 1 to 2 %
    lower on the small network, whose first layer is a quarter of it and needs no gradient of its
    input.
    """
    weights = dict(network.backbone.named_parameters())
    adapters = sum(weight.numel() for weight in weights.values() if weight.requires_grad)
    embeddings = network.backbone.get_input_embeddings().weight.numel()
    frozen = sum(weight.numel() for weight in weights.values()) - adapters - embeddings
    attention = 12 * size.shape["num_hidden_layers"] * size.shape["hidden_size"]
    tokens, pairs = float(lengths.sum()), float((lengths.astype(np.float64) ** 2).sum())
    return float((4 * frozen + 6 * adapters) * tokens + attention * pairs)


def peak_operations(device: str) -> float | None:
    """Return the bfloat16 operations per second of a device's data sheet; None if unknown."""
    return next((peak for name, peak in PEAKS.items() if name in device), None)
