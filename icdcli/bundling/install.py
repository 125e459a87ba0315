"""Install icdcode from this folder, without a network: ``python3 install.py [FOLDER]``.

A bundle has a copy of this file, which needs nothing but Python's standard library.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

ABOUT, SUMS = "bundle.json", "SHA256SUMS"
WHEELS, MODEL, EDITIONS = "wheels", "model", "editions"
ALL_WHEELS, OWN_WHEEL = "all", "icdcode"
"""Whether a bundle has the wheels of the dependencies, too."""

_ENVIRONMENT = "icdcode-env"
_FOLDER_OF_EDITIONS = (
    "from icdcli.icd.editions.catalog import imported_folder; print(imported_folder())"
)


class BundleError(Exception):
    """A bundle that can't be used, with a message that says what to do."""


def install() -> None:
    """Check the bundle and this machine, make an environment, install, and run the own check."""
    parser = argparse.ArgumentParser(description="Install icdcode from this folder, offline.")
    parser.add_argument(
        "folder", nargs="?", default=_ENVIRONMENT, help=f"the environment; default: {_ENVIRONMENT}"
    )
    target = Path(parser.parse_args().folder).absolute()
    try:
        _install(Path(__file__).resolve().parent, target)
    except BundleError as error:
        sys.exit(f"error: {error}")


def about_bundle(bundle: Path) -> dict[str, Any]:
    """Return what a bundle says about itself.

    Raises:
        BundleError: The folder isn't a bundle.
    """
    try:
        about: dict[str, Any] = json.loads((bundle / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{bundle}: isn't a bundle, or is damaged: {ABOUT} ({error}).") from None
    return about


def require_machine(about: dict[str, Any]) -> None:
    """Refuse another system, processor or Python than the bundle is for.

    Raises:
        BundleError: It is another one.
    """
    here = {
        "system": platform.system(),
        "machine": platform.machine(),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }
    words = {"system": "", "machine": "", "python": "Python "}
    if any(about[name] != value for name, value in here.items()):
        made, found = (
            " ".join(words[name] + str(values[name]) for name in words) for values in (about, here)
        )
        raise BundleError(
            f"the bundle is for {made}, but this is {found}. Run install.py with that Python, or "
            "make another bundle with --platform and --python."
        )


def verify_sums(bundle: Path) -> int:
    """Compare every file with its checksum, and return the number of files.

    Raises:
        BundleError: A file is missing, was changed, or is unknown.
    """
    try:
        lines = (bundle / SUMS).read_text(encoding="utf-8").splitlines()
        expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    except (OSError, ValueError) as error:
        raise BundleError(f"{bundle}: isn't a bundle, or is damaged: {SUMS} ({error}).") from None
    again = "Copy the bundle again."
    for name, digest in expected.items():
        path = bundle / name
        if not path.is_file():
            raise BundleError(f"{path}: is missing. {again}")
        if sha256_of_file(path) != digest:
            raise BundleError(f"{path}: was changed, its SHA-256 isn't that of {SUMS}. {again}")
    for folder in (WHEELS, MODEL, EDITIONS):
        for path in (bundle / folder).rglob("*"):
            if path.is_file() and path.relative_to(bundle).as_posix() not in expected:
                raise BundleError(f"{path}: isn't in {SUMS}. Remove it, or copy the bundle again.")
    return len(expected)


def sha256_of_file(path: Path) -> str:
    """Return the hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _install(bundle: Path, target: Path) -> None:
    about = about_bundle(bundle)
    require_machine(about)
    if target.exists():
        raise BundleError(f"{target}: exists already. Remove it, or name another folder.")
    _say(f"{verify_sums(bundle)} files have their checksums.")
    complete = about["wheels"] == ALL_WHEELS
    try:
        # Without wheels of the dependencies, those of this Python are used.
        links = os.name != "nt"
        venv.create(target, with_pip=True, system_site_packages=not complete, symlinks=links)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(target, ignore_errors=True)
        raise BundleError(
            f"{target}: the environment can't be made ({error}). Debian and Ubuntu need the "
            "package python3-venv."
        ) from None
    python = target / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    extras = f"[{','.join(about['extras'])}]" if about["extras"] else ""
    # No setting of this machine's pip may point to an index.
    environment = {**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}
    words = ["-m", "pip", "install", "--no-index", "--find-links", str(bundle / WHEELS), "--quiet"]
    words += ["--disable-pip-version-check", f"icdcode{extras}=={about['icdcode']}"]
    if not complete:  # this Python may have another version of icdcode
        words += ["--no-deps", "--ignore-installed"]
    _run(python, words, environment, "the installation")
    _add_editions(bundle, python)
    check = ["-m", "icdcli", "--offline", "bundle", "--check", str(bundle)]
    _run(python, check, dict(os.environ), "the check")
    _say(f"Installed: {python.with_name('icdcode')}, with the model {bundle / MODEL}")


def _add_editions(bundle: Path, python: Path) -> None:
    """Copy the editions to those that this user has imported, except those that are there."""
    files = sorted((bundle / EDITIONS).glob("*.parquet"))
    if not files:
        return
    words = [str(python), "-c", _FOLDER_OF_EDITIONS]
    folder = Path(subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip())
    folder.mkdir(parents=True, exist_ok=True)
    for path in files:
        if (folder / path.name).exists():
            _say(f"{folder / path.name} exists and was kept.")
        else:
            shutil.copyfile(path, folder / path.name)


def _run(python: Path, words: list[str], environment: dict[str, str], what: str) -> None:
    done = subprocess.run([str(python), *words], env=environment, check=False)
    if done.returncode:
        raise BundleError(f"{what} failed; the reason is above. The environment is {python}.")


def _say(words: str) -> None:
    print(words, flush=True)


if __name__ == "__main__":
    install()
