"""Keeping what attention computes, in layers that are otherwise recomputed.

Only attention itself runs under torch's selective checkpointing: watching every operation of a
layer would double the time that the host needs for it.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from typing import Any, TypeVar

from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts

Context = AbstractContextManager[Any]
_Function = TypeVar("_Function", bound=Callable[..., Any])
_of_next_call: ContextVar[Callable[[], Context] | None] = ContextVar("of_next_call", default=None)
_names_of_kept: ContextVar[list[str] | None] = ContextVar("names_of_kept", default=None)


def keep_attention() -> tuple[Context, Context]:
    """Return the contexts of a layer's forward pass and of its recomputation.

    This is the ``context_fn`` of `torch.utils.checkpoint.checkpoint`. Each call of a function that
    is decorated with `kept_if_recomputed` then keeps what its attention kernels return.
    """
    later: deque[Context] = deque()

    def of_forward_call() -> Context:
        now, again = create_selective_checkpoint_contexts(_policy)
        later.append(again)
        return now  # type: ignore[no-any-return]

    return _with_context_of_calls(of_forward_call), _with_context_of_calls(later.popleft)


def kept_if_recomputed(attention: _Function) -> _Function:
    """Let a layer's attention keep what it computes, if the layer is recomputed and wants that."""

    @wraps(attention)
    def call(*args: Any, **kwargs: Any) -> Any:
        context = _of_next_call.get()
        if context is None:
            return attention(*args, **kwargs)
        with context():
            return attention(*args, **kwargs)

    return call  # type: ignore[return-value]


@contextmanager
def kept_results() -> Iterator[list[str]]:
    """Collect the names of the operations whose results are kept in the block.

    A kernel that torch doesn't know as an operation is called again instead.
    """
    names: list[str] = []
    token = _names_of_kept.set(names)
    try:
        yield names
    finally:
        _names_of_kept.reset(token)


@contextmanager
def _with_context_of_calls(context: Callable[[], Context]) -> Iterator[None]:
    token = _of_next_call.set(context)
    try:
        yield
    finally:
        _of_next_call.reset(token)


def _policy(_: Any, operation: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    """Decide whether the result of an operation is kept instead of being computed again."""
    if not (_is_attention(operation) and _depends_on_inputs_alone(operation, args, kwargs)):
        return CheckpointPolicy.PREFER_RECOMPUTE
    if (names := _names_of_kept.get()) is not None:
        names.append(operation.name())
    return CheckpointPolicy.MUST_SAVE


@cache
def _is_attention(operation: Any) -> bool:
    """Return whether an operation is an attention kernel: of torch, or of another package."""
    name: str = operation.name().lower()
    return "attention" in name or "attn" in name


def _depends_on_inputs_alone(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether an operation draws no random numbers and changes no tensor that it is given.

    If a kernel with dropout weren't called again, later random numbers would be other ones.
    """
    for place, argument in enumerate(operation._schema.arguments):
        value = args[place] if place < len(args) else kwargs.get(argument.name)
        if argument.name == "dropout_p" and value:
            return False
        changed = argument.alias_info is not None and argument.alias_info.is_write
        if changed and value is not None:
            return False
    return True
