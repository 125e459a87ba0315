"""FlashAttention over packed documents: one GPU kernel for all of them, tried before it is used.

FlashAttention 4 (Zadouri et al. 2026, the package flash-attn-4) is compiled when it is first used,
within seconds, and FlashAttention 3 (Shah et al. 2024) must be built by hand; both are faster than
FlashAttention 2 (Dao 2023), which is in torch.

Shapes: T tokens, H heads, D width of a head.
"""

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from icdcli.model.batch import Segments
from icdcli.model.packing.by_document import all_heads, attention_by_document

_LENGTHS = (70, 33, 33, 2, 131)
_WINDOW = 20
_ROUNDING = 0.02
"""The largest relative difference of outputs and gradients from those in float32. That of bfloat16
is .003."""

_allowed: ContextVar[bool] = ContextVar("flash attention is allowed", default=True)


Kernel = Callable[[Sequence[Tensor], Segments, bool, int | None, float | None], Tensor]
"""Computes hidden_THD from query, key and value, in half precision, and the borders of the
documents, whether tokens see only earlier ones, a sliding window, and the factor of the scores, as
in `packed_attention`. Key and value may have fewer heads, each shared by a group of the query's."""


@dataclass(frozen=True)
class FlashAttention:
    """A version of FlashAttention.

    Attributes:
        name: Its name.
        module: The module that has it.
        function: The function in that module.
        generations: The compute capabilities that it is used on, first and last, without the minor
            number.
        needed: The arguments without which it can't be used.
    """

    name: str
    module: str
    function: str
    generations: tuple[int, int]
    needed: frozenset[str] = frozenset()

    def load(self) -> Kernel | None:
        """Return the kernel; None: it isn't installed.

        Raises:
            Exception: If it is installed, but can't be loaded.
        """
        try:
            function: Any = getattr(import_module(self.module), self.function)
        except ModuleNotFoundError as error:
            if self.module.startswith(error.name or "?"):
                return None
            raise  # something that it needs is missing
        known = frozenset(inspect.signature(function).parameters)
        if not self.needed <= known:
            return None
        # The compiler of FlashAttention 4 warns about things that users can't change.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"cutlass\.")
        return _torch_kernel(function, known) if "cu_seq_q" in known else _kernel(function, known)


# On one H100, FlashAttention 4 took half the time of FlashAttention 2. cuDNN's kernels plan anew
# for each length of a document, which takes longer than they save.
VERSIONS = (
    FlashAttention("FlashAttention 4", "flash_attn.cute", "flash_attn_varlen_func", (9, 10)),
    FlashAttention("FlashAttention 3", "flash_attn_interface", "flash_attn_varlen_func", (9, 9)),
    FlashAttention(
        "FlashAttention 2",
        "torch.nn.attention.varlen",
        "varlen_attn",
        (8, 99),
        frozenset({"scale", "window_size"}),  # torch 2.10 has neither
    ),
)


def _neighbors(causal: bool, window: int | None) -> tuple[int, int] | None:
    """Return how many neighbors a token sees on the left and right; None: all that it may see.

    A causal window includes the token itself.
    """
    if window is None:
        return None
    return (window - 1, 0) if causal else (window, window)


def _kernel(function: Any, known: frozenset[str]) -> Kernel:
    """Return the function of a FlashAttention package as a kernel."""

    def kernel(
        states_THD: Sequence[Tensor],
        segments: Segments,
        causal: bool,
        window: int | None,
        scaling: float | None,
    ) -> Tensor:
        longest = max(segments.lengths)
        options: dict[str, Any] = {"causal": causal}
        if scaling is not None:
            options["softmax_scale"] = scaling
        if (neighbors := _neighbors(causal, window)) is not None:
            options["window_size"] = neighbors
        if "deterministic" in known and torch.are_deterministic_algorithms_enabled():
            options["deterministic"] = True
        found = function(
            *states_THD,
            cu_seqlens_q=segments.starts,
            cu_seqlens_k=segments.starts,
            max_seqlen_q=longest,
            max_seqlen_k=longest,
            **options,
        )
        hidden_THD: Tensor = found[0] if isinstance(found, tuple) else found
        return hidden_THD

    return kernel


def _torch_kernel(function: Any, known: frozenset[str]) -> Kernel:
    """Return torch's function as a kernel."""
    grouped = {"enable_gqa": True} if "enable_gqa" in known else {}

    def kernel(
        states_THD: Sequence[Tensor],
        segments: Segments,
        causal: bool,
        window: int | None,
        scaling: float | None,
    ) -> Tensor:
        query_THD, key_THD, value_THD = states_THD
        if not grouped:
            key_THD, value_THD = all_heads(query_THD, key_THD, value_THD)
        longest = max(segments.lengths)
        hidden_THD: Tensor = function(
            query_THD,
            key_THD,
            value_THD,
            segments.starts,
            segments.starts,
            longest,
            longest,
            scale=scaling,
            window_size=_neighbors(causal, window) or (-1, 0 if causal else -1),
            **grouped,
        )
        return hidden_THD

    return kernel


@dataclass(frozen=True, slots=True)
class Case:
    """What a kernel is tried for, and compiled for.

    Attributes:
        device: The device.
        dtype: The precision.
        heads: The heads of the query.
        key_heads: The heads of key and value.
        width: The width of a head.
        causal: Whether tokens see only earlier ones.
        windowed: Whether there is a sliding window.
        gradients: Whether gradients are needed.
        deterministic: Whether they must be the same each time.
    """

    device: torch.device
    dtype: torch.dtype
    heads: int
    key_heads: int
    width: int
    causal: bool
    windowed: bool
    gradients: bool
    deterministic: bool


_chosen: dict[Case, Kernel | None] = {}


def kernel_for(
    states: Sequence[Tensor], dtype: torch.dtype, causal: bool, windowed: bool
) -> Kernel | None:
    """Return the fastest kernel that works on a GPU; None: there is none.

    Each kernel is tried on a few tokens, once for each case. No random number is drawn.

    Args:
        states: Query, key and value, (1, H, T, D).
        dtype: The precision of the computation.
        causal: Whether tokens see only earlier ones.
        windowed: Whether there is a sliding window.
    """
    query, key, _ = states
    halves = (torch.bfloat16, torch.float16)
    if not (query.is_cuda and _allowed.get() and dtype in halves):
        return None
    case = Case(
        device=query.device,
        dtype=dtype,
        heads=query.shape[1],
        key_heads=key.shape[1],
        width=query.shape[-1],
        causal=causal,
        windowed=windowed,
        gradients=torch.is_grad_enabled() and any(part.requires_grad for part in states),
        deterministic=torch.are_deterministic_algorithms_enabled(),
    )
    if case not in _chosen:
        generation, _ = torch.cuda.get_device_capability(query.device)
        _chosen[case] = first_that_works(case, generation)
    return _chosen[case]


@contextmanager
def without_flash_attention() -> Iterator[None]:
    """Compute attention document by document in the block, so that nothing is compiled for it."""
    token = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(token)


def first_that_works(
    case: Case, generation: int, versions: Sequence[FlashAttention] = VERSIONS
) -> Kernel | None:
    """Return the first kernel whose results for a few tokens are right; None: there is none.

    A kernel that is installed but fails is named in a warning.

    Args:
        case: What it is for.
        generation: The compute capability of the GPU, without the minor number.
        versions: The kernels to try.
    """
    if case.width % 8 or case.width > 256:
        return None
    for version in versions:
        first, last = version.generations
        if not first <= generation <= last:
            continue
        try:
            if (kernel := version.load()) is None:
                continue
            # Compilers warn about things that users can't change.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                difference = _difference(kernel, case)
            if difference <= _ROUNDING:
                return kernel
            reason = f"its results differ by {difference:.1%}"
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # compilers fail in many ways
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        warnings.warn(f"{version.name} is not used here: {reason}", stacklevel=2)
    return None


def _own_saved_tensors() -> AbstractContextManager[Any]:
    """Keep the tensors for gradients in the block, also within a layer that is recomputed.

    They would count as tensors of that layer, which would be recomputed for the trial's gradients.
    """
    return torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor)


def _difference(kernel: Kernel, case: Case) -> float:
    """Return the largest relative difference of outputs and gradients from those in float32."""
    # Not of torch's own generator, whose numbers must not depend on this trial.
    generator = torch.Generator().manual_seed(0)
    tokens = sum(_LENGTHS)
    heads = (case.heads, case.key_heads, case.key_heads)
    with (
        torch.inference_mode(False),
        torch.autocast(case.device.type, enabled=False),
        _own_saved_tensors(),
    ):
        states = [
            torch.randn(tokens, count, case.width, generator=generator).to(case.device, case.dtype)
            for count in heads
        ]
        upstream = torch.randn(states[0].shape, generator=generator).to(case.device, case.dtype)
        borders = Segments.of(_LENGTHS)
        segments = Segments(borders.lengths, borders.starts.to(case.device))
        window = _WINDOW if case.windowed else None

        def by_document(states_THD: Sequence[Tensor], *options: Any) -> Tensor:
            query, key, value = (states.transpose(0, 1)[None] for states in states_THD)
            return attention_by_document(query, key, value, *options)[0]

        def results(function: Kernel, states: Sequence[Tensor], upstream: Tensor) -> list[Tensor]:
            with torch.set_grad_enabled(case.gradients):
                leaves = [part.clone().requires_grad_(case.gradients) for part in states]
                hidden_THD = function(leaves, segments, case.causal, window, None)
            gradients = torch.autograd.grad(hidden_THD, leaves, upstream) if case.gradients else ()
            return [hidden_THD.detach(), *gradients]

        found = results(kernel, states, upstream)
        expected = results(by_document, [part.float() for part in states], upstream.float())
        return max(
            float((own.float() - exact).norm() / exact.norm())
            for own, exact in zip(found, expected, strict=True)
        )
