"""People sign in with passwords that the store doesn't have; sessions end."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

import icdcli.review.users
from icdcli.errors import ConfigError, DataError
from icdcli.review.schema import SessionRow, UserRow
from icdcli.review.store import Store, open_store
from icdcli.review.users import (
    User,
    create_user,
    deactivate_user,
    list_users,
    set_password,
    sign_in,
    sign_out,
    user_of,
)

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def _quick_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    quick = partial(PasswordHasher, time_cost=1, memory_cost=64)
    monkeypatch.setattr("icdcli.review.users.PasswordHasher", quick)
    # Other tests hash with other parameters in the same process.
    icdcli.review.users._nobodys_password.cache_clear()
    yield
    icdcli.review.users._nobodys_password.cache_clear()


def test_a_person_signs_in_and_out(store: Store) -> None:
    ana = create_user(store, "ana", PASSWORD, "adjudicator")
    token = sign_in(store, "ana", PASSWORD)
    assert user_of(store, token) == ana == User("ana", "adjudicator")
    assert user_of(store, token[:-1]) is None
    assert sign_in(store, "ana", PASSWORD) != token
    sign_out(store, token)
    assert user_of(store, token) is None


def test_wrong_names_and_passwords_begin_no_session(store: Store) -> None:
    create_user(store, "ana", PASSWORD)
    for name, password in (("ana", "wrong"), ("ana", ""), ("ben", PASSWORD), ("", "")):
        assert sign_in(store, name, password) is None
    with store.reading() as connection:
        assert connection.execute(select(SessionRow)).first() is None


def test_neither_password_nor_token_is_stored(store: Store) -> None:
    create_user(store, "ana", PASSWORD)
    token = sign_in(store, "ana", PASSWORD)
    with store.reading() as connection:
        user = connection.execute(select(UserRow)).one()
        session = connection.execute(select(SessionRow)).one()
    assert user.password.startswith("$argon2id$")
    assert PASSWORD not in str(user)
    assert token not in str(session)


def test_a_password_is_hashed_for_unknown_names_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_user(store, "ana", PASSWORD)
    verified = []
    real = icdcli.review.users._verified

    def counted(hashed: str, password: str) -> bool:
        verified.append(hashed)
        return real(hashed, password)

    monkeypatch.setattr("icdcli.review.users._verified", counted)
    sign_in(store, "ana", "wrong password")
    sign_in(store, "nobody", "wrong password")
    parameters = [hashed.split("$")[1:4] for hashed in verified]
    assert len(verified) == 2 and parameters[0] == parameters[1]


def test_sessions_end(target: str) -> None:
    now = [datetime(2026, 5, 31, 8, tzinfo=UTC)]
    with open_store(target, clock=lambda: now[0]) as store:
        create_user(store, "ana", PASSWORD)
        token = sign_in(store, "ana", PASSWORD, timedelta(hours=1))
        now[0] += timedelta(minutes=59)
        assert user_of(store, token) is not None
        now[0] += timedelta(minutes=1)
        assert user_of(store, token) is None
        sign_in(store, "ana", PASSWORD)
        with store.reading() as connection:  # those that have ended are gone
            assert len(connection.execute(select(SessionRow)).all()) == 1


@pytest.mark.parametrize("change", ["password", "deactivated"])
def test_a_change_ends_all_sessions(store: Store, change: str) -> None:
    create_user(store, "ana", PASSWORD)
    token = sign_in(store, "ana", PASSWORD)
    if change == "password":
        set_password(store, "ana", "another one")
        assert sign_in(store, "ana", "another one") is not None
    else:
        deactivate_user(store, "ana")
        assert list_users(store) == []
    assert user_of(store, token) is None
    assert sign_in(store, "ana", PASSWORD) is None


def test_roles_include_those_before_them(store: Store) -> None:
    roles = ("reviewer", "adjudicator", "admin")
    for name, role in zip("abc", roles, strict=True):
        create_user(store, name, PASSWORD, role)
    users = list_users(store)
    assert [[user.may(role) for role in roles] for user in users] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_what_cannot_be_a_user_is_one_message(store: Store) -> None:
    create_user(store, "ana", PASSWORD)
    with pytest.raises(ConfigError, match="there is a user 'ana' already"):
        create_user(store, "ana", PASSWORD)
    for name in ("", " ana", "a\nb"):
        with pytest.raises(ConfigError, match="printable characters"):
            create_user(store, name, PASSWORD)
    with pytest.raises(ConfigError, match="at least 8 characters"):
        create_user(store, "ben", "short")
    with pytest.raises(ConfigError, match="expected reviewer, adjudicator, admin"):
        create_user(store, "ben", PASSWORD, "owner")
    with pytest.raises(DataError, match="has no user 'ben'"):
        set_password(store, "ben", PASSWORD)
