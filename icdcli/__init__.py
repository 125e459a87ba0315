"""icdcode: from clinical notes to ICD codes."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from icdcli.model.predict import load_coder

__version__ = "0.1.0"
__all__ = ["__version__", "load_coder"]


def __getattr__(name: str) -> Any:
    # Looked up when asked for: importing the package must not cost the seconds that torch takes.
    if name == "load_coder":
        from icdcli.model.predict import load_coder

        return load_coder
    raise AttributeError(f"module 'icdcli' has no attribute {name!r}")
