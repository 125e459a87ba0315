"""Optional dependencies: a package that needs them says at once which extra installs them."""

from collections.abc import Iterable
from importlib.util import find_spec

from icdcli.errors import ConfigError


def require_extra(extra: str, purpose: str, modules: Iterable[str]) -> None:
    """Check that the modules of an extra are installed, without importing them.

    Args:
        extra: The extra, such as ``serve``.
        purpose: What needs it, as the subject of a sentence.
        modules: The modules.

    Raises:
        ConfigError: If one of them isn't installed.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{purpose} needs more packages ({', '.join(missing)}): pip install 'icdcode[{extra}]'"
        )
