import hashlib
import os

import pytest

from icdcli.errors import ConfigError
from icdcli.service.clients import Client, read_token_file

TOKEN = "a-made-up-token-of-a-test"


@pytest.fixture
def file(tmp_path):
    """Return a function that writes a file of tokens."""

    def write(content, mode=0o600):
        path = tmp_path / "tokens"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return path

    return write


def test_clients_have_tokens_and_hashes_and_may_have_several(file):
    digest = hashlib.sha256(b"another-made-up-token").hexdigest().upper()
    lines = f"# comment\n\n ward : {TOKEN} \nlab:sha256:{digest}\nward:the-next-token-of-the-ward\n"
    clients = read_token_file(file(lines, 0o640))
    for token, name in (
        (TOKEN, "ward"),
        ("another-made-up-token", "lab"),
        ("the-next-token-of-the-ward", "ward"),
    ):
        assert clients.client_of(f"Bearer {token}") == Client(name)
    for header in (None, "", TOKEN, f"Bearer {digest}", "Bearer", "Basic !", f"Bearer {TOKEN}x"):
        assert clients.client_of(header) is None
    assert TOKEN not in repr(clients) + repr(vars(clients))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no token. Write a line NAME:TOKEN"),
        (f"# x\n{TOKEN}\n", "line 2: the token has fewer than 16"),
        (f"a b:{TOKEN}", "line 1: begins with no name"),
        ("ward:short", "line 1: the token has fewer than 16 characters"),
        ("ward:sha256:abc", "line 1: the token has fewer than 16 characters, or its hash"),
        (f"ward:{TOKEN}\nlab:{TOKEN}", "line 2: 'ward' has the same token"),
        (b"\xff\xfe", "can't be read (it isn't UTF-8)"),
    ],
)
def test_a_wrong_line_is_named_without_its_token(file, content, message):
    with pytest.raises(ConfigError) as error:
        read_token_file(file(content))
    assert message in str(error.value)
    assert TOKEN not in str(error.value) and "short" not in str(error.value)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_file_that_others_may_read_is_refused(file, tmp_path):
    with pytest.raises(ConfigError, match="chmod 600"):
        read_token_file(file(f"ward:{TOKEN}", 0o644))
    with pytest.raises(ConfigError, match="No such file"):
        read_token_file(tmp_path / "missing")
