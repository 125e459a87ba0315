"""Let a network compute with fused layers if that is wanted and possible: tried, not believed.

Shapes: T tokens, D width.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from icdcli.data.batching import Ids
from icdcli.errors import ConfigError
from icdcli.model.few_tokens import (
    EXACT,
    allowed_difference,
    difference,
    few_documents,
    in_evaluation,
    states_of,
)
from icdcli.model.kernels.functions import LayerFunctions, liger_functions
from icdcli.model.kernels.layers import PIECES, FusedLayers, Piece, has_layers
from icdcli.model.network import CodingNetwork
from icdcli.model.packing.flash import without_flash_attention

WantedKernels = Literal["auto", "liger", "none"]
"""``kernels`` of the configuration."""

_INSTALL = "pip install 'icdcode[gpu]'"


def choose_kernels(
    network: CodingNetwork,
    wanted: WantedKernels,
    load: Callable[[], LayerFunctions] = liger_functions,
    kind: str = "cuda",
) -> tuple[Piece, ...]:
    """Let a network compute with fused layers if that is wanted and possible.

    Each piece is used if the hidden states of a few tokens, and their gradients, are those of the
    plain layers, on the network's device and in its precision. No random number is drawn. The
    padding must have been chosen before.

    Args:
        network: The network. Its mode is restored; it computes as returned from now on.
        wanted: ``kernels`` of the configuration.
        load: Returns the fused functions, or fails.
        kind: The kind of device that these functions need.

    Returns:
        The pieces that are fused.

    Raises:
        ConfigError: If `wanted` is ``liger`` and nothing can be fused.
    """
    for layers in network.fused.values():
        layers.uninstall()
    network.fused = {}
    if wanted == "none":
        return ()
    demanded = wanted == "liger"
    if network.device.type != kind:
        if demanded:
            raise ConfigError(
                f"kernels: liger: needs an NVIDIA or AMD GPU, and this run computes on "
                f"{network.device.type}. Set kernels: auto."
            )
        return ()
    try:
        functions = load()
    except Exception as error:  # a package that doesn't fit fails in many ways
        _explain_missing(network, error, demanded)
        return ()
    reasons = _install(network, functions)
    if demanded and not network.fused:
        settings: Any = network.backbone.config
        why = "; ".join(reasons) or "it has none of the layers that Liger computes"
        raise ConfigError(
            f"kernels: liger: this architecture ({settings.model_type}) can't use fused layers: "
            f"{why}. Set kernels: auto."
        )
    if reasons:
        network.on_warning(f"not all layers are fused: {'; '.join(reasons)}")
    return tuple(network.fused)


def _explain_missing(network: CodingNetwork, error: Exception, demanded: bool) -> None:
    missing = isinstance(error, ModuleNotFoundError) and error.name == "liger_kernel"
    problem, remedy = (
        ("the package liger-kernel is not installed", _INSTALL)
        if missing
        else (
            f"the installed package liger-kernel can't be used ({_first_line(error)})",
            _INSTALL.replace("install", "install --upgrade"),
        )
    )
    if demanded:
        raise ConfigError(f"kernels: liger: {problem}. Run {remedy}, or set kernels: auto.")
    if any(has_layers(network.backbone, piece) for piece in PIECES):
        network.on_warning(f"{problem}; with it, this model would run faster: {remedy}")


def _install(network: CodingNetwork, functions: LayerFunctions) -> list[str]:
    """Fuse each piece that passes the trials; return what is against the others."""
    backbone, reasons = network.backbone, []
    pieces = [piece for piece in PIECES if has_layers(backbone, piece)]
    if not pieces:
        return []
    documents, others = few_documents(network)
    expected, otherwise = _results(network, documents), _results(network, others)
    for piece in pieces:
        layers = None
        try:
            layers = FusedLayers.install(backbone, functions, piece)
            network.fused[piece] = layers
            _require_equal(network, _results(network, documents), expected, otherwise)
        except Exception as error:  # compilers fail in many ways
            reasons.append(f"{piece}: {_first_line(error)}")
            network.fused.pop(piece, None)
            if layers is not None:
                layers.uninstall()
    return reasons


def _results(network: CodingNetwork, documents: list[Ids]) -> list[Tensor]:
    """Return the hidden states of documents, and gradients of a sum of them.

    The gradients are those of the embeddings, and of the weights of norms that are trained.
    """
    backbone: Any = network.backbone
    embeddings: list[Tensor] = []

    def catch(module: nn.Module, arguments: Any, output: Tensor) -> Tensor:
        embeddings.append(output.detach().requires_grad_())
        return embeddings[-1]

    weights = [weight for weight in network.backbone.parameters() if weight.requires_grad]
    handle = backbone.get_input_embeddings().register_forward_hook(catch)
    try:
        # Attention is compared elsewhere; with gradients, it takes seconds to compile.
        with torch.enable_grad(), in_evaluation(network), without_flash_attention():
            for layers in network.fused.values():
                layers.use_in_training()
            hidden_TD = states_of(network, documents)
            inputs = [*embeddings, *(weight for weight in weights if weight.ndim == 1)]
            factor_D = torch.arange(hidden_TD.shape[1], device=hidden_TD.device).cos()
            gradients = torch.autograd.grad((hidden_TD * factor_D).sum(), inputs, allow_unused=True)
    finally:
        handle.remove()
    known = [gradient.float() for gradient in gradients if gradient is not None]
    return [hidden_TD.detach(), *(rows.view(-1, rows.shape[-1]) for rows in known)]


def _require_equal(
    network: CodingNetwork, found: list[Tensor], expected: list[Tensor], otherwise: list[Tensor]
) -> None:
    """Raise a `ValueError` if results differ by more than rounding."""
    names = ["hidden states", *["gradients"] * (len(expected) - 1)]
    for name, own, plain, other in zip(names, found, expected, otherwise, strict=True):
        kept = plain.norm(dim=1) > 0  # padding has no gradient
        if not kept.any():
            continue
        differs = difference(own[kept], plain[kept])
        allowed = allowed_difference(network, other[kept], plain[kept])
        if not differs <= (allowed if name == "hidden states" else max(allowed, 10 * EXACT)):
            raise ValueError(f"its {name} differ by {differs:.1%} from those of plain layers")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
