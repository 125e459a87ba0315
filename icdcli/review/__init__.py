"""The review store: notes, suggestions, decisions, the queue, agreement and export; no HTTP."""

from icdcli.extras import require_extra

require_extra("serve", "reviewing", ("sqlalchemy", "alembic", "argon2"))
