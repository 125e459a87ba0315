"""icdcode: from clinical notes to ICD codes."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from icdcli.model.coding_model import load_model

__version__ = "0.1.0"
# Threads that spin while they wait make everything several times slower as soon as a neighbour needs the cores. OpenMP reads
# this when torch is imported, which is after us.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
__all__ = ["__version__", "load_model"]


def __getattr__(name: str) -> Any:
    # Looked up when asked for: importing the package must not cost the seconds that torch takes.
    if name == "load_model":
        from icdcli.model.coding_model import load_model

        return load_model
    raise AttributeError(f"module 'icdcli' has no attribute {name!r}")
