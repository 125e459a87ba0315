"""Make the tables of a review store, and the triggers that keep decisions as they were made."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_APPEND_ONLY = (
    "settings",
    "notes",
    "models",
    "suggestion_sets",
    "suggestions",
    "events",
    "queue_changes",
)


def upgrade() -> None:
    """Make everything."""
    _tables_of_notes()
    _tables_of_suggestions()
    _tables_of_decisions()
    _tables_of_users()
    if op.get_bind().dialect.name == "sqlite":
        _sqlite_triggers()
    else:
        _postgresql_triggers()


def _number(name: str = "number") -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), primary_key=True, autoincrement=True)


def _tables_of_notes() -> None:
    op.create_table(
        "settings",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("value", sa.JSON(), nullable=False),
    )
    op.create_table(
        "texts",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("characters", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text()),
    )
    op.create_table(
        "notes",
        _number(),
        sa.Column("id", sa.Text(), nullable=False, unique=True),
        sa.Column("text_sha256", sa.String(64), sa.ForeignKey("texts.sha256"), nullable=False),
        sa.Column("encounter", sa.Text()),
        sa.Column("subject", sa.Text()),
        sa.Column("day", sa.String(10)),
        sa.Column("language", sa.String(16)),
        sa.Column("split", sa.String(16)),
        sa.Column("readings", sa.Integer(), nullable=False),
        sa.Column("imported_at", sa.String(32), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notes_text_sha256", "notes", ["text_sha256"])


def _tables_of_suggestions() -> None:
    op.create_table(
        "models",
        _number(),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("labels_sha256", sa.String(64), nullable=False),
        sa.Column("labels", sa.Integer(), nullable=False),
        sa.Column("editions", sa.JSON(), nullable=False),
        sa.Column("validation", sa.JSON(), nullable=False),
        sa.Column("added_at", sa.String(32), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "suggestion_sets",
        _number(),
        sa.Column("note", sa.Integer(), sa.ForeignKey("notes.number"), nullable=False),
        sa.Column("model", sa.Integer(), sa.ForeignKey("models.number"), nullable=False),
        sa.Column("content_sha256", sa.String(64), nullable=False),
        sa.Column("uncertainty", sa.Double(), nullable=False),
        sa.Column("made_at", sa.String(32), nullable=False),
        sa.UniqueConstraint("note", "model", "content_sha256", name="uq_suggestion_sets_content"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "suggestions",
        sa.Column(
            "suggestion_set",
            sa.Integer(),
            sa.ForeignKey("suggestion_sets.number"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("rank", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("title", sa.Text()),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("edition", sa.Text()),
        sa.Column("evidence", sa.JSON(), nullable=False),
    )


def _tables_of_decisions() -> None:
    op.create_table(
        "events",
        _number("sequence"),
        sa.Column("note", sa.Integer(), sa.ForeignKey("notes.number"), nullable=False),
        sa.Column("reading", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.Column("suggestion_set", sa.Integer(), sa.ForeignKey("suggestion_sets.number")),
        sa.Column("model", sa.String(64)),
        sa.Column("editions", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("request", sa.String(64)),
        sa.Column("outcome", sa.String(64)),
        sa.UniqueConstraint("note", "reading", "number", name="uq_events_number"),
        sa.UniqueConstraint("note", "reading", "request", name="uq_events_request"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_kind", "events", ["kind"])
    op.create_table(
        "queue_changes",
        _number("sequence"),
        sa.Column("note", sa.Integer(), sa.ForeignKey("notes.number"), nullable=False),
        sa.Column("reading", sa.Integer(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("assignee", sa.Text()),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_queue_changes_reading", "queue_changes", ["note", "reading"])


def _tables_of_users() -> None:
    op.create_table(
        "users",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("token_sha256", sa.String(64), primary_key=True),
        sa.Column("user", sa.Text(), sa.ForeignKey("users.name"), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("expires_at", sa.String(32), nullable=False),
    )
    op.create_index("ix_sessions_user", "sessions", ["user"])


def _sqlite_triggers() -> None:
    for table in _APPEND_ONLY:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
    op.execute(
        "CREATE TRIGGER texts_no_delete BEFORE DELETE ON texts "
        "BEGIN SELECT RAISE(ABORT, 'texts can only be purged'); END"
    )
    op.execute(
        "CREATE TRIGGER texts_no_update BEFORE UPDATE ON texts WHEN NEW.content IS NOT NULL "
        "OR NEW.sha256 <> OLD.sha256 OR NEW.characters <> OLD.characters "
        "BEGIN SELECT RAISE(ABORT, 'texts can only be purged'); END"
    )


def _postgresql_triggers() -> None:
    op.execute(
        "CREATE FUNCTION icdcode_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    op.execute(
        "CREATE FUNCTION icdcode_purge_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.content IS NOT NULL OR NEW.sha256 <> OLD.sha256 "
        "OR NEW.characters <> OLD.characters THEN "
        "RAISE EXCEPTION 'texts can only be purged'; END IF; RETURN NEW; END $$"
    )
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION icdcode_append_only()"
        )
    for table in (*_APPEND_ONLY, "texts"):
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION icdcode_append_only()"
        )
    op.execute(
        "CREATE TRIGGER texts_no_delete BEFORE DELETE ON texts "
        "FOR EACH ROW EXECUTE FUNCTION icdcode_append_only()"
    )
    op.execute(
        "CREATE TRIGGER texts_purge_only BEFORE UPDATE ON texts "
        "FOR EACH ROW EXECUTE FUNCTION icdcode_purge_only()"
    )
