"""The tables of a review store. All but users, sessions and purged texts are append-only."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Dialect, Double, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC as text that sorts like the time, the same in every database."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Return the stored text of a time with a time zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        """Return the time of a stored text."""
        return None if value is None else datetime.fromisoformat(value)


class Table(DeclarativeBase):
    """The base of all tables."""


class SettingRow(Table):
    """A choice that is made once, when the store is created."""

    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)


class TextRow(Table):
    """The text of one or more notes; without content once it is purged."""

    __tablename__ = "texts"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    characters: Mapped[int]
    content: Mapped[str | None] = mapped_column(Text)


class NoteRow(Table):
    """A note. Its number is its place in the order of import."""

    __tablename__ = "notes"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(Text, unique=True)
    text_sha256: Mapped[str] = mapped_column(ForeignKey("texts.sha256"), index=True)
    encounter: Mapped[str | None] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)
    day: Mapped[str | None] = mapped_column(String(10))
    language: Mapped[str | None] = mapped_column(String(16))
    split: Mapped[str | None] = mapped_column(String(16))
    readings: Mapped[int]
    imported_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = ({"sqlite_autoincrement": True},)


class ModelRow(Table):
    """A model that made suggestions."""

    __tablename__ = "models"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(Text)
    labels_sha256: Mapped[str] = mapped_column(String(64))
    labels: Mapped[int]
    editions: Mapped[Any] = mapped_column(JSON)
    validation: Mapped[Any] = mapped_column(JSON)
    added_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = ({"sqlite_autoincrement": True},)


class SuggestionSetRow(Table):
    """The suggestions of one model for one note, made together."""

    __tablename__ = "suggestion_sets"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    note: Mapped[int] = mapped_column(ForeignKey("notes.number"))
    model: Mapped[int] = mapped_column(ForeignKey("models.number"))
    content_sha256: Mapped[str] = mapped_column(String(64))
    uncertainty: Mapped[float] = mapped_column(Double)
    made_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (
        UniqueConstraint("note", "model", "content_sha256", name="uq_suggestion_sets_content"),
        {"sqlite_autoincrement": True},
    )


class SuggestionRow(Table):
    """One suggested code of a set."""

    __tablename__ = "suggestions"

    suggestion_set: Mapped[int] = mapped_column(
        ForeignKey("suggestion_sets.number"), primary_key=True
    )
    rank: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(Text)
    title: Mapped[str | None] = mapped_column(Text)
    score: Mapped[float] = mapped_column(Double)
    confidence: Mapped[float] = mapped_column(Double)
    threshold: Mapped[float] = mapped_column(Double)
    edition: Mapped[str | None] = mapped_column(Text)
    evidence: Mapped[Any] = mapped_column(JSON)


class EventRow(Table):
    """One decision of a reviewer. Its number counts the events of one reading of one note."""

    __tablename__ = "events"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    note: Mapped[int] = mapped_column(ForeignKey("notes.number"))
    reading: Mapped[int]
    number: Mapped[int]
    author: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcTime)
    kind: Mapped[str] = mapped_column(String(16))
    details: Mapped[Any] = mapped_column(JSON)
    before: Mapped[Any] = mapped_column(JSON)
    after: Mapped[Any] = mapped_column(JSON)
    suggestion_set: Mapped[int | None] = mapped_column(ForeignKey("suggestion_sets.number"))
    model: Mapped[str | None] = mapped_column(String(64))
    editions: Mapped[Any] = mapped_column(JSON)
    seconds: Mapped[float] = mapped_column(Double)
    request: Mapped[str | None] = mapped_column(String(64))
    outcome: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (
        UniqueConstraint("note", "reading", "number", name="uq_events_number"),
        UniqueConstraint("note", "reading", "request", name="uq_events_request"),
        Index("ix_events_kind", "kind"),
        {"sqlite_autoincrement": True},
    )


class QueueRow(Table):
    """A change of the queue by hand: the last one of a note and reading counts."""

    __tablename__ = "queue_changes"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    note: Mapped[int] = mapped_column(ForeignKey("notes.number"))
    reading: Mapped[int]
    author: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcTime)
    priority: Mapped[int]
    assignee: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index("ix_queue_changes_reading", "note", "reading"),
        {"sqlite_autoincrement": True},
    )


class UserRow(Table):
    """A person who may sign in."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    password: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(String(16))
    active: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(UtcTime)


class SessionRow(Table):
    """A person who is signed in. The token itself isn't stored."""

    __tablename__ = "sessions"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.name"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    expires_at: Mapped[datetime] = mapped_column(UtcTime)


APPEND_ONLY = (
    SettingRow,
    NoteRow,
    ModelRow,
    SuggestionSetRow,
    SuggestionRow,
    EventRow,
    QueueRow,
)
"""The tables whose rows the database refuses to change or delete."""
