"""The review store: notes, suggestions, decisions, the queue, agreement and export; no HTTP."""

from importlib.util import find_spec

from icdcli.errors import ConfigError

_MISSING = [name for name in ("sqlalchemy", "alembic", "argon2") if find_spec(name) is None]
if _MISSING:
    raise ConfigError(
        f"reviewing needs more packages ({', '.join(_MISSING)}): pip install 'icdcode[serve]'"
    )
