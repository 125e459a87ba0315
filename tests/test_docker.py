"""The Dockerfile as text: no Docker engine runs in the tests, so no image is built by them."""

import platform
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "docker" / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """Return the instructions with their arguments, lines joined and comments removed."""
    lines = DOCKERFILE.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", text)
    return [
        (line.split()[0], line.partition(" ")[2].strip())
        for line in joined.splitlines()
        if line.strip()
    ]


def arguments(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def last_stage() -> list[tuple[str, str]]:
    parts = instructions()
    begin = max(number for number, (name, _) in enumerate(parts) if name == "FROM")
    return parts[begin:]


def test_base_images_are_named_with_a_version() -> None:
    images = [line.split()[0] for line in arguments("FROM")]
    assert images
    assert [one for one in images if not re.fullmatch(r"python:3\.\d+-slim-\w+", one)] == []
    minor = int(images[0].split(".")[1].split("-")[0])
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f"Python :: 3.{minor}" in project


def test_the_service_does_not_run_as_root() -> None:
    parts = last_stage()
    users = [rest for name, rest in parts if name == "USER"]
    assert users
    assert users[-1].isdecimal()
    assert int(users[-1]) > 0
    order = [name for name, _ in parts]
    assert order.index("USER") < order.index("ENTRYPOINT")
    assert "RUN" not in order[order.index("USER") :]


def test_there_are_no_secrets_and_no_downloads_of_programs() -> None:
    named = re.compile(r"password|secret|api_?key|credential", re.IGNORECASE)
    assert not named.search(DOCKERFILE.read_text(encoding="utf-8"))
    settings = [*arguments("ENV"), *arguments("ARG")]
    assert not [line for line in settings if re.search("token", line, re.IGNORECASE)]
    assert arguments("ADD") == []
    assert not [line for line in arguments("RUN") if re.search(r"curl|wget|git clone", line)]


def test_what_is_copied_exists_and_reaches_the_build() -> None:
    ignore = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text(encoding="utf-8")
    lines = [line for line in ignore.splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"  # nothing reaches it but what is named: no notes, no runs
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        source
        for line in arguments("COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    }
    assert copied == allowed
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_it_has_a_health_check_a_volume_and_a_command_that_is_understood() -> None:
    assert "/healthz" in arguments("HEALTHCHECK")[0]
    assert arguments("VOLUME") == ['["/data"]']
    assert arguments("ENTRYPOINT") == ['["icdcode"]']
    command = shlex.split(arguments("CMD")[-1].strip("[]").replace(",", " "))
    assert command[0] == "serve"
    help = subprocess.run(
        [sys.executable, "-m", "icdcli", "serve", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert [one for one in command if one.startswith("--") and one not in help] == []


def test_extras_and_arguments_of_builds_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = dict(line.partition("=")[::2] for line in arguments("ARG"))
    builds = re.findall(
        r"--build-arg (\w+)=(\S+)",
        DOCKERFILE.read_text(encoding="utf-8")
        + (ROOT / "examples" / "clusters" / "ray-predict.yaml").read_text(encoding="utf-8"),
    )
    assert {name for name, _ in builds} == known.keys()
    extras = [value for name, value in builds if name == "EXTRAS"] + [known["EXTRAS"].strip('"')]
    assert len(extras) == 3
    named = {extra for value in extras for extra in value.split(",")}
    assert named <= project["optional-dependencies"].keys()


def examples(text: str) -> list[list[str]]:
    """Return the words of each ``docker run`` of the image."""
    joined = re.sub(r"\\\n#? *", " ", text)
    found = [shlex.split(line) for line in re.findall(r"docker run .*", joined)]
    return [words for words in found if "icdcode" in words]


@pytest.mark.parametrize(
    ("name", "count"), [("docker/Dockerfile", 2), ("docs/serve.md", 2), ("docs/offline.md", 1)]
)
def test_examples_run_as_the_user_whose_checkpoints_nobody_else_can_read(
    name: str, count: int
) -> None:
    found = examples((ROOT / name).read_text(encoding="utf-8"))
    assert len(found) == count
    for words in found:
        assert words[words.index("--user") + 1] == "$(id -u):$(id -g)"
        places = [word.split(":") for word in words if word.startswith("$PWD/")]
        assert len(places) == words.count("-v")
        written = [inside for _, inside, *mode in places if not mode]
        assert written in (["/data"], ["/codes"])
        if "predict" in words:  # not into the folder that it reads
            assert words[words.index("-w") + 1] == "/codes"
            assert words[-2:] == ["--output", "codes.jsonl"]


@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="hadolint is for Linux"
)
def test_hadolint_has_no_objection() -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
