"""The configuration: one flat YAML file, typed in sections that the packages own."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from icdcli.config.schema import Config, load_config

__all__ = ["Config", "load_config"]


def __getattr__(name: str) -> Any:
    # Looked up on first use: the sections' modules import this package while it is being set up.
    if name in __all__:
        from icdcli.config import schema

        return getattr(schema, name)
    raise AttributeError(f"module 'icdcli.config' has no attribute {name!r}")
