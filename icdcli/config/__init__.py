"""The configuration: one flat YAML file, in typed sections that the packages own."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from icdcli.config.loading import load_config
    from icdcli.config.schema import Config

__all__ = ["Config", "load_config"]


def __getattr__(name: str) -> Any:
    # Imported on first use: the packages' sections import modules of this package.
    if name == "Config":
        from icdcli.config.schema import Config

        return Config
    if name == "load_config":
        from icdcli.config.loading import load_config

        return load_config
    raise AttributeError(f"module 'icdcli.config' has no attribute {name!r}")
