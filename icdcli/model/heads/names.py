"""The names of the heads, known without importing torch.

A head is a module of this folder and has the module's name, except that ``pooled.py`` has the heads
of `POOLING`. `icdcli.model.heads.registry` describes such a module.
"""

import pkgutil
from pathlib import Path

POOLING = ("mean", "weighted_mean", "bos_token", "eos_token")
"""The heads that pool a document's hidden states into one vector."""

_FOLDERS = [str(Path(__file__).parent)]
_HELPERS = frozenset(
    {"assertion_terms", "description_prior", "names", "pooled", "registry", "split_attention"}
)


def head_names() -> tuple[str, ...]:
    """Return the names that ``pooling_mode:`` accepts."""
    modules = {module.name for module in pkgutil.iter_modules(_FOLDERS)}
    return (*POOLING, *sorted(modules - _HELPERS))
