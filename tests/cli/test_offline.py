"""The whole way without a network: no socket reaches anything but this computer."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

# Python imports a module of this name when it starts, before anything else.
FORBIDS = """\
import socket, sys

def forbid(event, given):
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"):
        if given[0].family == socket.AF_UNIX or given[1] is None:
            return
        host = given[1][0]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = given[0]
    else:
        return
    if host not in (None, "localhost", "127.0.0.1", "::1"):
        raise RuntimeError(f"{event} {host}")

sys.addaudithook(forbid)
"""
# One process, because importing PyTorch takes longer than the commands.
COMMANDS = """\
import socket, sys
from icdcli.cli import main

columns = "text_column=note codes_column=icd subject_column=patient code_system=icd9".split()
small = "model=tiny bit=32 max_len=64 batch_size=16 steps=4 warmup_steps=1 device=cpu".split()
small += ["lora_activate=False", "gradient_checkpointing=False", "prediction_print_n=0"]
run = ["data_path=notes.csv", "label_pruning=True", "project=runs", "name=run"]
for words in (
    ["demo-data", ".", "--as-table", "--admissions", "60"],
    ["train", "demo.yaml", *run, *columns, *small],
    ["evaluate", "runs/run"],
    ["predict", "runs/run", "notes.csv", "--text-column", "note", "--output", "codes.jsonl"],
    ["--offline", "codes", "fetch", "icd10cm-2027"],
    ["splits", "fetch", "--offline"],
):
    sys.argv = ["icdcode", *words]
    try:
        main()
    except SystemExit as end:
        print("ended", words[0], end.code or 0, flush=True)
try:
    socket.create_connection(("192.0.2.1", 9))
except RuntimeError as error:
    print(error)
"""


@pytest.fixture
def forbidding(tmp_path):
    """Return an environment in which Python raises an error at any socket but local ones."""
    (tmp_path / "forbids").mkdir()
    (tmp_path / "forbids" / "sitecustomize.py").write_text(FORBIDS)
    (tmp_path / "demo.yaml").write_text("metrics: [f1_micro]\n")
    paths = os.pathsep.join([str(tmp_path / "forbids"), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "COLUMNS": "100"}


def traced(command, log):
    """Return the command with the system's list of its connections, if this system can give it."""
    strace = shutil.which("strace")
    if strace is None:
        return command
    options = ["-f", "-qq", "--seccomp-bpf", "-e", "trace=connect,bind,sendto,sendmsg"]
    return [strace, *options, "-o", str(log), *command]


def elsewhere(log):
    """Return the lines about addresses of other computers."""
    if not log.exists():
        return []
    local = r"127\.\d+\.\d+\.\d+|::1|::ffff:127\.\d+\.\d+\.\d+"
    return [
        line
        for line in log.read_text(errors="replace").splitlines()
        if "AF_INET" in line and not re.search(rf'(?:inet_addr\(|AF_INET6, )"(?:{local})"', line)
    ]


@pytest.mark.parametrize("words", [("--offline", "predict"), ("predict", "--offline")])
def test_urls_are_arguments_of_the_same_commands(refused, monkeypatch, words):
    switched = []
    monkeypatch.setattr("icdcli.cli.forbid_network", lambda: switched.append(True))
    notes = ("s3://bucket/notes.csv", "--output", "s3://bucket/codes.csv")
    refused(2, *words, "no-run", *notes, says="no-run: no such run folder")
    assert switched
    refused(2, *words, "s3://bucket/run", *notes, says="not a URL")


@pytest.mark.slow
def test_the_whole_way_opens_no_socket_elsewhere(tmp_path, forbidding):
    log = tmp_path / "sockets.log"
    done = subprocess.run(
        traced([sys.executable, "-c", COMMANDS], log),
        cwd=tmp_path,
        env=forbidding,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("ended")]
    assert said == [
        *(f"ended {name} 0" for name in ("demo-data", "train", "evaluate", "predict")),
        "ended --offline 2",
        "ended splits 2",
    ], done.stderr
    assert done.stdout.splitlines()[-1] == "socket.getaddrinfo 192.0.2.1"  # it does forbid
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert all("isn't downloaded, because icdcode works offline (--offline" in e for e in errors)
    assert (tmp_path / "codes.jsonl").is_file()
    assert elsewhere(log) == []


@pytest.mark.slow
def test_an_offline_server_answers_this_computer(tmp_path, forbidding, trained):
    command = [sys.executable, "-m", "icdcli", "serve", str(trained), "--offline", "--port", "0"]
    with subprocess.Popen(
        [*command, "--json"],
        cwd=tmp_path,
        env=forbidding,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            about = ""
            while not about.endswith("}\n"):
                about += (line := server.stdout.readline())
                assert line
            (coded,) = code_note(json.loads(about)["service"])["notes"]
            assert len(coded["codes"]) >= 3
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=60)


def code_note(address):
    """Return the answer of a service as soon as its model is loaded."""
    body = json.dumps({"text": "Fever and cough.", "top": 3}).encode()
    asked = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(1200):
        try:
            with opener.open(asked, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            assert error.code == 503
            time.sleep(0.1)
    raise AssertionError("the model wasn't loaded")
