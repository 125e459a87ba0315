"""The network of `train.py`: random weights of a given shape, LoRA, a head.

`theirs` is written with transformers and peft alone; `ours` comes from icdcode. All draws are
seeded, so both start from the same weights (`fingerprint`). Weights of 8 and 4 bits are made from
the random ones, layer by layer on the device.

Shapes: B documents, T tokens, D width, L labels, O and I width of a layer's output and input.
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
from train_documents import VOCABULARY
from transformers import AutoModel, LlamaConfig

from icdcli.model.backbone import finish_backbone
from icdcli.model.network import CodingNetwork, build_network
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
        bit: Bits per backbone weight, unless the command line has others; 16 is bfloat16, with
            autocast, as are the computations with 8 and 4.
        lr: The learning rate, the same at every step.
    """

    shape: dict[str, Any]
    device: str
    bit: int
    lr: float

    @property
    def width(self) -> int:
        """Return the width of the hidden states."""
        width: int = self.shape["hidden_size"]
        return width

    @property
    def layer_weights(self) -> int:
        """Return the weights of all layers and of the last norm, without the embeddings."""
        shape, width = self.shape, self.width
        grouped = width * shape["num_key_value_heads"] // shape["num_attention_heads"]
        matrices = 2 * width * width + 2 * width * grouped + 3 * width * shape["intermediate_size"]
        return int(shape["num_hidden_layers"] * (matrices + 2 * width) + width)


SIZES = {
    "tiny": Size(
        {
            "vocab_size": VOCABULARY,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
        },
        device="cpu",
        bit=32,
        lr=2e-3,
    ),
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
        lr=2e-3,
    ),
    "1b": Size(  # Llama 3.2 1B
        {
            "vocab_size": 128_256,
            "hidden_size": 2_048,
            "intermediate_size": 8_192,
            "num_hidden_layers": 16,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
        },
        device="cuda:0",
        bit=16,
        lr=1e-4,
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
        lr=1e-4,
    ),
}


@dataclass(frozen=True)
class Wanted:
    """The network to make.

    Attributes:
        size: Its shape.
        bit: Bits per backbone weight.
        max_len: The most tokens of a document.
        seed: The seed of the first weights.
        head: ``mean`` or ``label_attention``.
        labels: The number of labels.
    """

    size: Size
    bit: int
    max_len: int
    seed: int
    head: str
    labels: int


class Plain(nn.Module):
    """Backbone, mean pooling, linear layer and loss, as the Trainer expects them.

    As in icdcode, everything after the backbone is float32.
    """

    def __init__(self, backbone: nn.Module, width: int, labels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.output = nn.Linear(width, labels)

    def scores(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return logits_BL."""
        hidden_BTD = self.backbone(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state
        with torch.autocast(input_ids.device.type, enabled=False):
            mask_BT1 = attention_mask.unsqueeze(-1).float()
            logits_BL: Tensor = self.output(
                (hidden_BTD.float() * mask_BT1).sum(dim=1) / mask_BT1.sum(dim=1)
            )
        return logits_BL

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """Return the mean loss over documents and labels, and logits_BL."""
        logits_BL = self.scores(input_ids, attention_mask)
        with torch.autocast(input_ids.device.type, enabled=False):
            weight = torch.tensor(POS_WEIGHT, device=logits_BL.device)
            loss = functional.binary_cross_entropy_with_logits(logits_BL, labels, pos_weight=weight)
        return {"loss": loss, "logits": logits_BL}


def theirs(wanted: Wanted) -> Plain:
    """Return the network of transformers and peft alone."""
    import peft  # icdcode silences its import messages

    backbone = _backbone(wanted)
    torch.manual_seed(wanted.seed + 1)
    options = peft.LoraConfig(
        r=LORA_R, lora_alpha=LORA_ALPHA, lora_dropout=0.0, target_modules="all-linear"
    )
    backbone.requires_grad_(False)
    with warnings.catch_warnings():
        # peft warns about a name that transformers will change.
        warnings.simplefilter("ignore", FutureWarning)
        adapted = peft.get_peft_model(backbone, options)
    torch.manual_seed(wanted.seed + 2)
    network = Plain(adapted, wanted.size.width, wanted.labels)
    network.output.to(wanted.size.device)
    return network


def ours(wanted: Wanted) -> tuple[CodingNetwork, ModelConfig]:
    """Return icdcode's network and the configuration that it is made from."""
    config = ModelConfig(
        model="llama",
        bit=wanted.bit,
        max_len=wanted.max_len,
        pooling_mode=wanted.head,
        lora_r=LORA_R,
        lora_alpha=LORA_ALPHA,
        lora_dropout=0.0,
    )
    plain = _backbone(wanted)
    torch.manual_seed(wanted.seed + 1)
    backbone = finish_backbone(config, plain)
    torch.manual_seed(wanted.seed + 2)
    network = build_network(config, backbone, wanted.labels)
    network.head.to(wanted.size.device)
    return network, config


def set_checkpointing(network: Any, on: bool) -> None:
    """Turn the recomputation of activations by transformers on or off."""
    word = "enable" if on else "disable"
    # A later version of transformers 5 renamed the methods.
    change = getattr(network.backbone, f"activation_checkpointing_{word}", None) or getattr(
        network.backbone, f"gradient_checkpointing_{word}"
    )
    if on:
        change({"use_reentrant": False})
    else:
        change()


def _backbone(wanted: Wanted) -> Any:
    """Draw random weights on the device: on a CPU, eight billion of them would take minutes."""
    settings = LlamaConfig(
        **wanted.size.shape, max_position_embeddings=wanted.max_len, use_cache=False
    )
    settings.is_causal = False  # every token attends to every other one, as in icdcode
    dtype = torch.float32 if wanted.bit == 32 else torch.bfloat16
    torch.manual_seed(wanted.seed)
    with torch.device(wanted.size.device):
        backbone = AutoModel.from_config(settings, dtype=dtype, attn_implementation="sdpa")
    if wanted.bit in (8, 4):
        _quantize(backbone, wanted.bit)
    return backbone


@torch.no_grad()
def _quantize(backbone: Any, bit: int) -> None:
    """Replace the linear layers by those of bitsandbytes, with the settings of `bit` in icdcode."""
    for name, layer in list(backbone.named_modules()):
        if type(layer) is nn.Linear:
            parent, _, last = name.rpartition(".")
            setattr(backbone.get_submodule(parent), last, _quantized(layer.weight, bit))
            layer.weight = None  # 16 bits and what they become are never all in memory
    # peft asks for these.
    backbone.is_loaded_in_8bit, backbone.is_loaded_in_4bit = bit == 8, bit == 4


def _quantized(weight_OI: Tensor, bit: int) -> nn.Module:
    from bitsandbytes import functional as quantization
    from bitsandbytes import nn as layers

    wide, narrow = weight_OI.shape
    with torch.device("meta"):
        made: Any = (
            layers.Linear8bitLt(narrow, wide, bias=False, has_fp16_weights=False, threshold=6.0)
            if bit == 8
            else layers.Linear4bit(
                narrow, wide, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4"
            )
        )
    if bit == 8:
        packed_OI, scales_O, _ = quantization.int8_vectorwise_quant(weight_OI.half())
        made.weight = layers.Int8Params(
            packed_OI, requires_grad=False, has_fp16_weights=False, CB=packed_OI, SCB=scales_O
        )
        return made  # type: ignore[no-any-return]
    made.weight = layers.Params4bit(
        weight_OI.data, requires_grad=False, quant_type="nf4", module=made
    ).to(weight_OI.device)
    # CPUs with AVX-512 BF16 otherwise evaluate in a format without a gradient.
    made.support_avx512bf16_for_cpu = False
    return made  # type: ignore[no-any-return]


@torch.no_grad()
def fingerprint(network: nn.Module) -> str:
    """Return sixteen hexadecimal digits that differ if weights differ: from sums of their bits."""
    whole = {1: torch.int8, 2: torch.int16, 4: torch.int32}
    digest = hashlib.sha256()
    for weight in network.parameters():
        bits = weight.detach().view(whole[weight.element_size()])
        digest.update(str((tuple(weight.shape), int(bits.sum(dtype=torch.int64)))).encode())
    return digest.hexdigest()[:16]


def useful_operations(
    size: Size, adapters: int, lengths: NDArray[np.int64], training: bool = True
) -> float:
    """Return the floating-point operations that documents of these lengths need.

    In training, per token: 2N forward and 2N for the gradient of the input, N being the frozen
    weights that a token is multiplied with (no embeddings), which need no gradient of their own;
    6A for the A weights of the adapters, which do; and for attention, in which each of a document's
    T tokens attends to T tokens, 4 x layers x T x width forward and twice that backward. In
    prediction only the forward part. Padding, recomputed activations and the head are not counted.
    Torch's own count of an unpadded batch is 1 to 2 % lower on the small network, whose first layer
    is a quarter of it and needs no gradient of its input.

    Args:
        size: The shape of the network.
        adapters: The number of the adapters' weights.
        lengths: The tokens of each document.
        training: Whether gradients are computed.
    """
    per_pair = 4 * size.shape["num_hidden_layers"] * size.width
    tokens, pairs = float(lengths.sum()), float((lengths.astype(np.float64) ** 2).sum())
    if not training:
        return (2 * size.layer_weights + 2 * adapters) * tokens + per_pair * pairs
    return (4 * size.layer_weights + 6 * adapters) * tokens + 3 * per_pair * pairs


def adapter_weights(network: Any) -> int:
    """Return the number of the adapters' weights."""
    return sum(weight.numel() for weight in network.backbone.parameters() if weight.requires_grad)


def peak_operations(device: str) -> float | None:
    """Return the bfloat16 operations per second of a device's data sheet; None if unknown."""
    return next((peak for name, peak in PEAKS.items() if name in device), None)
