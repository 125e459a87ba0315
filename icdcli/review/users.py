"""People who may sign in, their roles, and their sessions. Passwords and tokens aren't stored."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from icdcli.errors import ConfigError, DataError
from icdcli.review.schema import SessionRow, UserRow
from icdcli.review.store import Store

Role = Literal["reviewer", "adjudicator", "admin"]
ROLES: tuple[Role, ...] = ("reviewer", "adjudicator", "admin")
"""Each role may do what those before it may."""
SESSION_LENGTH = timedelta(hours=12)
SHORTEST_PASSWORD = 8


@dataclass(frozen=True)
class User:
    """A person who may sign in.

    Attributes:
        name: The name, which decisions have as their author.
        role: ``reviewer``, ``adjudicator`` or ``admin``.
    """

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Return whether the person may do what a role may."""
        return ROLES.index(self.role) >= ROLES.index(role)


def create_user(store: Store, name: str, password: str, role: Role = "reviewer") -> User:
    """Add a person.

    Raises:
        ConfigError: If there is such a name, or the name, the password or the role can't be used.
    """
    if not name or name != name.strip() or not name.isprintable():
        raise ConfigError("the name must have printable characters, without blanks around it.")
    if role not in ROLES:
        raise ConfigError(f"role: expected {', '.join(ROLES)}, not {role!r}.")
    row = {"name": name, "password": _hashed(password), "role": role, "active": True}
    try:
        with store.writing() as connection:
            connection.execute(insert(UserRow).values(**row, created_at=store.clock()))
    except IntegrityError:
        raise ConfigError(f"there is a user {name!r} already. Choose another name.") from None
    return User(name, role)


def set_password(store: Store, name: str, password: str) -> None:
    """Change a password, and end all sessions of the person.

    Raises:
        ConfigError: If the password can't be used.
        DataError: If there is no such person.
    """
    _change(store, name, password=_hashed(password))


def deactivate_user(store: Store, name: str) -> None:
    """Keep a person from signing in, and end all sessions; decisions keep the name.

    Raises:
        DataError: If there is no such person.
    """
    _change(store, name, active=False)


def list_users(store: Store) -> list[User]:
    """Return everybody who may sign in, by name."""
    query = select(UserRow.name, UserRow.role).where(UserRow.active).order_by(UserRow.name)
    with store.reading() as connection:
        return [User(row.name, row.role) for row in connection.execute(query)]


@dataclass(frozen=True)
class KnownUser:
    """A person whom the store knows.

    Attributes:
        user: The person.
        active: Whether the person may sign in.
    """

    user: User
    active: bool


def find_user(store: Store, name: str) -> KnownUser | None:
    """Return the person with a name, who may be deactivated; None: there is none."""
    with store.reading() as connection:
        row = connection.execute(select(UserRow).where(UserRow.name == name)).first()
    return KnownUser(User(row.name, row.role), row.active) if row else None


def has_users(store: Store) -> bool:
    """Return whether anybody was ever added, who may be deactivated."""
    with store.reading() as connection:
        return connection.scalar(select(UserRow.name).limit(1)) is not None


def sign_in(
    store: Store, name: str, password: str, length: timedelta = SESSION_LENGTH
) -> str | None:
    """Begin a session.

    It takes as long for a name that doesn't exist as for a wrong password.

    Args:
        store: The store.
        name: The name.
        password: The password.
        length: How long the session lasts.

    Returns:
        The token of the session, for the person's browser alone; None: the name or the password is
        wrong.
    """
    query = select(UserRow.password, UserRow.active).where(UserRow.name == name)
    with store.reading() as connection:
        row = connection.execute(query).first()
    right = _verified(row.password if row else _nobodys_password(), password)
    if row is None or not right or not row.active:
        return None
    token, now = secrets.token_urlsafe(32), store.clock()
    with store.writing() as connection:
        connection.execute(delete(SessionRow).where(SessionRow.expires_at <= now))
        connection.execute(
            insert(SessionRow).values(
                token_sha256=_token_hash(token), user=name, created_at=now, expires_at=now + length
            )
        )
    return token


def user_of(store: Store, token: str) -> User | None:
    """Return the person of a session; None: it has ended, or there was none."""
    hashed, now = _token_hash(token), store.clock()
    query = (
        select(UserRow.name, UserRow.role, SessionRow.token_sha256, SessionRow.expires_at)
        .join(UserRow, UserRow.name == SessionRow.user)
        .where(SessionRow.token_sha256 == hashed, UserRow.active)
    )
    with store.reading() as connection:
        row = connection.execute(query).first()
    if row is None or not hmac.compare_digest(row.token_sha256, hashed):
        return None
    expires: datetime = row.expires_at
    return User(row.name, row.role) if now < expires else None


def sign_out(store: Store, token: str) -> None:
    """End a session."""
    with store.writing() as connection:
        connection.execute(delete(SessionRow).where(SessionRow.token_sha256 == _token_hash(token)))


def _change(store: Store, name: str, **values: object) -> None:
    with store.writing() as connection:
        done = connection.execute(update(UserRow).where(UserRow.name == name).values(**values))
        if not done.rowcount:
            raise DataError(f"{store.name}: has no user {name!r}.")
        connection.execute(delete(SessionRow).where(SessionRow.user == name))


def _hashed(password: str) -> str:
    if len(password) < SHORTEST_PASSWORD:
        raise ConfigError(f"the password must have at least {SHORTEST_PASSWORD} characters.")
    return PasswordHasher().hash(password)


def _verified(hashed: str, password: str) -> bool:
    try:
        return PasswordHasher().verify(hashed, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


@cache
def _nobodys_password() -> str:
    return PasswordHasher().hash(secrets.token_urlsafe(32))


def _token_hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
