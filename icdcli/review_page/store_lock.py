"""One server at a time for each store, so that codes are suggested once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from icdcli.errors import ConfigError, DataError
from icdcli.io.locks import HeldElsewhere, exclusive
from icdcli.review.store import Store

_LOCK = 0x1CDC0E0  # of PostgreSQL


@contextmanager
def only_server(store: Store) -> Iterator[bool]:
    """Hold a store for one server during the block.

    A SQLite file is served by one process. A PostgreSQL database may be served by several, on
    several machines; one of them suggests codes.

    Yields:
        Whether this server may suggest codes.

    Raises:
        ConfigError: If another process serves the SQLite file.
        DataError: If the lock can't be written.
    """
    if not store.is_sqlite:
        with store.engine.connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            query = text("SELECT pg_try_advisory_lock(:key)")
            try:
                yield bool(connection.scalar(query, {"key": _LOCK}))
            finally:
                connection.invalidate()  # its end releases the lock, whatever state it is in
        return
    lock = Path(f"{store.name}.lock")
    try:
        with exclusive(lock):
            yield True
    except HeldElsewhere as error:
        raise ConfigError(
            f"{store.name}: is already being served ({error}). Open that page, or stop it first."
        ) from None
    except OSError as error:
        if error.filename != str(lock):
            raise
        raise DataError(
            f"{lock}: can't be written ({error.strerror}). Correct the permissions, or choose "
            "another folder."
        ) from None
