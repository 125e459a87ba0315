"""Open a review store: a SQLite file or a PostgreSQL database, created or brought up to date."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from icdcli import __version__
from icdcli.errors import ConfigError, DataError, IcdcodeError
from icdcli.offline import refuse_connection
from icdcli.review.migrations.upgrade import known_versions, schema_version, upgrade_schema
from icdcli.review.schema import SettingRow

Clock = Callable[[], datetime]

_HEADER = b"SQLite format 3\x00"
_SYNCHRONOUS = "FULL"  # what was saved outlasts a power cut
_BUSY_SECONDS = 30
_PAUSE = 0.5  # of the time that a long write holds the lock: decisions wait for up to 0.2 seconds
_LOCK = 0x1CDC0DE  # of PostgreSQL: one process at a time makes or upgrades the tables


def utc_now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


class StoreUnavailableError(DataError):
    """A database that can't be read or written at the moment."""


class Store:
    """An open review store.

    Attributes:
        name: The path, or the URL without its password.
        engine: The connections.
        clock: Returns the time of events.
    """

    def __init__(self, name: str, engine: Engine, clock: Clock = utc_now) -> None:
        self.name, self.engine, self.clock = name, engine, clock

    @property
    def is_sqlite(self) -> bool:
        """Return whether it is a SQLite file."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that reads one state of the store.

        Raises:
            StoreUnavailableError: If the database can't be read.
        """
        with self._reported(), self.engine.connect() as connection:
            if not self.is_sqlite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that is on the disk when the block has ended.

        Raises:
            StoreUnavailableError: If the database can't be written.
        """
        with self._reported(), self.engine.connect() as connection:
            connection = connection.execution_options(writes=True)
            with connection.begin():
                yield connection

    def settings(self) -> dict[str, Any]:
        """Return the choices that were made when the store was created."""
        with self.reading() as connection:
            rows = connection.execute(select(SettingRow.key, SettingRow.value))
            return dict(rows.all())

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            # Without the statement, whose values are texts of notes.
            found = _problem(error)
            if found is None:
                raise
            raise StoreUnavailableError(f"{self.name}: {found}") from None


def open_store(
    target: str | Path,
    *,
    create: bool = True,
    double_share: float = 0.0,
    double_seed: int = 0,
    clock: Clock = utc_now,
) -> Store:
    """Open a review store.

    Args:
        target: The path of a SQLite file, or a URL: ``postgresql://USER@HOST/DATABASE``.
        create: Make the store if it doesn't exist.
        double_share: For a new store: the share of notes that two reviewers read blindly.
        double_seed: For a new store: the seed that chooses these notes.
        clock: Returns the time of events.

    Raises:
        ConfigError: If the target can't be a store, or doesn't exist.
        DataError: If it can't be read or written, or was written by a newer version.
    """
    if not 0 <= double_share <= 1:
        raise ConfigError(f"double_share: expected a share between 0 and 1, not {double_share:g}.")
    url, path = _parsed(str(target))
    name = str(path) if path is not None else _shown(url)
    fresh = path is not None and _prepare_file(path, create)
    store = Store(name, _engine(url, path), clock)
    try:
        _bring_up_to_date(store, create, {"double_share": double_share, "double_seed": double_seed})
    except BaseException:
        store.close()
        if fresh and path is not None:
            for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
                file.unlink(missing_ok=True)
        raise
    return store


@contextmanager
def no_new_store_after_error(target: str) -> Iterator[Callable[[], None]]:
    """Remove the file of a store that is new if an error reaches the user.

    Args:
        target: The path of a SQLite file, or a URL, whose database is left alone.

    Yields:
        A function to call as soon as the store is to be kept, whatever happens.
    """
    is_new, kept = "://" not in target and not Path(target).exists(), False

    def keep() -> None:
        nonlocal kept
        kept = True

    try:
        yield keep
    except IcdcodeError:
        if is_new and not kept:
            for ending in ("", "-wal", "-shm", ".lock"):
                Path(f"{target}{ending}").unlink(missing_ok=True)
        raise


def require_double_share(store: Store, share: float | None) -> None:
    """Check that a store was made with a share of notes that two people read.

    Args:
        store: The store.
        share: The share, as ``--double-share``; None: any.

    Raises:
        ConfigError: If it was made with another one.
    """
    made_with = float(store.settings()["double_share"])
    if share is not None and share != made_with:
        raise ConfigError(
            f"--double-share {share:g}: {store.name} was made with {made_with:g}, which can't be "
            "changed. Leave the option out, or use another store."
        )


def make_way(store: Store, seconds: float) -> None:
    """Pause between two blocks of a long write, so that others can write.

    SQLite has no queue of those that wait for its lock: they try again after up to 0.1 seconds, and
    without pauses the lock would be taken again whenever they do.

    Args:
        store: The store.
        seconds: How long the lock was held.
    """
    if store.is_sqlite:
        time.sleep(seconds * _PAUSE)


def _parsed(target: str) -> tuple[URL, Path | None]:
    """Return the URL of SQLAlchemy and the path of a SQLite file."""
    if "://" not in target:
        path = Path(target)
        return URL.create("sqlite", database=str(path)), path
    try:
        url = make_url(target)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError):
        raise ConfigError(
            "the store's URL can't be read. Expected postgresql://USER@HOST/DATABASE or a path."
        ) from None
    if backend == "sqlite" and url.database:
        return _parsed(url.database)
    if backend not in ("postgresql", "postgres"):
        raise ConfigError(
            f"{backend}: review stores are SQLite files or PostgreSQL databases. Give a path or "
            "postgresql://USER@HOST/DATABASE."
        )
    return url.set(drivername="postgresql+psycopg"), None


def _shown(url: URL) -> str:
    """Return a URL as users write it, without the password."""
    return url.set(drivername="postgresql").render_as_string(hide_password=True)


def _prepare_file(path: Path, create: bool) -> bool:
    """Check a SQLite file, or make an empty one that only the user can read.

    Returns:
        Whether the file is new.
    """
    try:
        if path.is_dir():
            raise ConfigError(f"{path}: is a folder. Give the name of a file, such as review.db.")
        if path.exists():
            with path.open("rb") as file:
                header = file.read(len(_HEADER))
            if header and header != _HEADER:
                raise DataError(f"{path}: is not a review store. Give another file.")
            return False
        if not create:
            raise ConfigError(f"{path}: there is no such store. Create it with an import.")
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False  # another process has just made it
    except FileNotFoundError:
        raise ConfigError(f"{path}: the folder doesn't exist. Make it first.") from None
    except OSError as error:
        raise DataError(
            f"{path}: can't be opened ({error.strerror}). Correct the permissions, or choose "
            "another folder."
        ) from None
    return True


def _engine(url: URL, path: Path | None) -> Engine:
    if path is None:
        refuse_connection(_shown(url), url.host or str(url.query.get("host", "localhost")))
        try:
            return create_engine(url, pool_pre_ping=True, hide_parameters=True)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"PostgreSQL needs one more package ({error.name}): pip install "
                "'icdcode[postgresql]'"
            ) from None
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        # icdcode begins transactions itself (below); otherwise, Python's module would commit tables
        # of a migration one by one.
        connection.isolation_level = None
        for setting in (
            "journal_mode=WAL",
            f"synchronous={_SYNCHRONOUS}",
            "foreign_keys=ON",
            "secure_delete=ON",
            f"busy_timeout={_BUSY_SECONDS * 1000}",
        ):
            connection.execute(f"PRAGMA {setting}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes its lock at once: two that upgrade from reading would stop each other.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _bring_up_to_date(store: Store, create: bool, settings: dict[str, Any]) -> None:
    with store.writing() as connection:
        if not store.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        version, known = schema_version(connection), known_versions()
        if version == known[0]:
            return
        if version is not None and version not in known:
            raise DataError(
                f"{store.name}: was written by a newer version of icdcode (schema {version}; this "
                f"is icdcode {__version__}, schema {known[0]}). Upgrade icdcode."
            )
        if version is None and (tables := inspect(connection).get_table_names()):
            raise DataError(
                f"{store.name}: is a database of another program (it has a table {tables[0]!r}). "
                "Give another one."
            )
        if version is None and not create:
            raise ConfigError(f"{store.name}: there is no store in it. Create it with an import.")
        upgrade_schema(connection)
        if version is None:
            rows = [{"key": key, "value": value} for key, value in settings.items()]
            rows.append({"key": "created_by", "value": __version__})
            connection.execute(insert(SettingRow), rows)


def _problem(error: DBAPIError) -> str | None:
    """Return what is wrong with a database in words; None: it is a defect of icdcode."""
    words = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else "unknown"
    name = type(error.orig).__name__
    if "readonly" in words or "unable to open" in words:
        return f"can't be written ({words}). Correct the permissions of the file and its folder."
    if "locked" in words:
        return (
            f"is in use by another program for more than {_BUSY_SECONDS} seconds. Try again when "
            "it has ended."
        )
    if "is full" in words:
        return f"can't be written ({words}). Free some space; everything before is complete."
    if "not a database" in words or "malformed" in words or "disk I/O" in words:
        return f"can't be read ({words}). Restore it from a backup."
    if name in ("OperationalError", "InterfaceError") or error.connection_invalidated:
        return f"the database doesn't answer ({words}). Check the server and the URL."
    return None
