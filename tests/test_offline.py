"""Offline, no part of a program connects to another computer; see also ``cli/test_offline.py``."""

import os
import subprocess
import sys
from urllib.error import URLError
from urllib.request import OpenerDirector

import pytest

from icdcli.errors import ConfigError
from icdcli.io.download import download
from icdcli.offline import OfflineError, is_local, refuse_connection

# 192.0.2.1 is for documentation (RFC 5737); the process must not even try.
ATTEMPTS = """\
import os, socket, threading, urllib.request
from icdcli.offline import OfflineError, forbid_network

if os.environ.get("ICDCODE_OFFLINE") != "1":
    forbid_network()
os.environ.pop("ICDCODE_OFFLINE")  # too late: the guard stays
tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
attempts = {
    "connect": lambda: tcp.connect(("192.0.2.1", 9)),
    "mapped": lambda: socket.socket(socket.AF_INET6).connect(("::ffff:192.0.2.1", 9)),
    "sendto": lambda: udp.sendto(b"x", ("192.0.2.1", 9)),
    "sendmsg": lambda: udp.sendmsg([b"x"], [], 0, ("192.0.2.1", 9)),
    "listen": lambda: tcp.bind(("0.0.0.0", 0)),
    "look up": lambda: socket.getaddrinfo("host.invalid", 80),
    "look up address": lambda: socket.gethostbyaddr("192.0.2.1"),
    "look up name": lambda: socket.gethostbyname("host.invalid"),
    "urllib": lambda: urllib.request.build_opener().open("http://192.0.2.1/"),
}
for name, attempt in attempts.items():
    try:
        attempt()
    except OfflineError:
        print(name)
    except OSError as error:
        print(name, type(error.reason).__name__)  # of urllib
with socket.create_server(("127.0.0.1", 0)) as server:
    with socket.create_connection(("localhost", server.getsockname()[1])) as client:
        client.sendall(b"local")
        print(server.accept()[0].recv(5).decode())
left, right = socket.socketpair()
left.sendall(b"pair")
print(right.recv(4).decode())
print(os.environ["HF_HUB_OFFLINE"])
"""


@pytest.mark.parametrize("by", ["function", "environment"])
def test_python_can_reach_nothing_but_this_computer(by: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    if by == "environment":
        environment["ICDCODE_OFFLINE"] = "1"
    done = subprocess.run(
        [sys.executable, "-c", ATTEMPTS],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert (done.returncode, done.stderr) == (0, "")
    refused = "connect, mapped, sendto, sendmsg, listen, look up, look up address, look up name"
    assert done.stdout.splitlines() == [
        *refused.split(", "),
        "urllib OfflineError",
        "local",
        "pair",
        "1",
    ]


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *((host, True) for host in ("127.0.0.1", "127.3.2.1", "::1", "[::1]", "LocalHost")),
        *((host, True) for host in ("::ffff:127.0.0.1", "/run/postgresql", "\0name")),
        *((host, False) for host in ("", "0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1")),
        *((host, False) for host in ("localhost.example", "hub", "127.0.0.1.example")),
    ],
)
def test_what_counts_as_this_computer(host: str, local: bool) -> None:
    assert is_local(host) is local


@pytest.mark.parametrize("variable", ["ICDCODE_OFFLINE", "HF_HUB_OFFLINE"])
def test_nothing_is_downloaded(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ConfigError, match=rf"isn't downloaded.*{variable}\)\. Copy it\."):
        download("https://lists.invalid/x", 1, "Copy it.")


def test_a_local_mirror_that_leads_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def lead_elsewhere(*_: object, **__: object) -> None:
        raise URLError(OfflineError("lists.invalid: icdcode works offline"))

    monkeypatch.setattr(OpenerDirector, "open", lead_elsewhere)
    with pytest.raises(ConfigError, match=r"lists\.invalid: icdcode works offline"):
        download("http://127.0.0.1/x", 1, "Copy it.")


def test_only_what_the_user_switched_off_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_connection("the database", "db.hospital")  # HF_HUB_OFFLINE=1 concerns downloads only
    monkeypatch.setenv("ICDCODE_OFFLINE", "0")
    refuse_connection("the database", "db.hospital")
    monkeypatch.setenv("ICDCODE_OFFLINE", "true")
    refuse_connection("the database", None)
    refuse_connection("the database", "127.0.0.1")
    with pytest.raises(OfflineError, match="the database: icdcode works offline"):
        refuse_connection("the database", "db.hospital")
