"""The wheels of a bundle: made again from what is installed, or downloaded for another platform.

What is installed here is what was tried here; no index is needed for it. A wheel is an archive
(PEP 427) of the files that its installation lists (RECORD), so that it can be made again from them.
"""

import csv
import io
import os
import re
import subprocess
import sys
import sysconfig
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from importlib.metadata import Distribution, PackageNotFoundError, PackagePath, distribution
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import icdcli
from icdcli.errors import ConfigError, DataError, nearest

NAME = "icdcode"
# Written by the installation, and not part of a wheel.
_OF_INSTALLATION = frozenset(("RECORD", "RECORD.jws", "INSTALLER", "REQUESTED", "direct_url.json"))
_BLOCK = 1 << 20
_LINUX = re.compile(r"(manylinux_2|musllinux_1)_(\d+)_(\w+)")
_OLDEST = {"manylinux_2": 5, "musllinux_1": 1}
_NAMED = {"manylinux2014": "manylinux_2_17"}  # names of the time before they had numbers
_LONGEST = 1_500  # characters of pip's errors that a message shows


def needed_distributions(extras: Sequence[str]) -> list[Distribution]:
    """Return the installed packages that icdcode needs here, without icdcode, by name.

    Args:
        extras: Extras of icdcode.

    Raises:
        ConfigError: One isn't installed, or an extra is unknown.
    """
    require_known_extras(extras)
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(NAME, extra) for extra in ("", *extras)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            raise ConfigError(
                f"{name}: isn't installed, but the bundle needs it. Install it, or leave out the "
                f"extra of icdcode that needs it: {', '.join(extras) or 'none was given'}."
            ) from None
        for line in found[name].requires or ():
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                other = canonicalize_name(needed.name)
                waiting += [(other, of_it) for of_it in ("", *needed.extras)]
    return [found[name] for name in sorted(found) if name != NAME]


def require_known_extras(extras: Sequence[str]) -> None:
    """Check that icdcode has the extras.

    Raises:
        ConfigError: It doesn't have one of them, or isn't installed.
    """
    if not extras:
        return
    try:
        known = sorted(distribution(NAME).metadata.get_all("Provides-Extra") or ())
    except PackageNotFoundError:
        raise ConfigError(f"--extra: {NAME} isn't installed, but runs from a folder.") from None
    for extra in extras:
        if canonicalize_name(extra) not in known:
            raise ConfigError(
                f"--extra: icdcode has no extra {extra!r}{nearest(extra, known)}. It has "
                f"{', '.join(known)}."
            )


def require_pip() -> None:
    """Check that this environment has pip, which those that uv and pipx make may lack.

    Raises:
        ConfigError: It doesn't.
    """
    if find_spec("pip") is None:
        raise ConfigError(
            f"--platform: pip downloads the wheels, but {sys.prefix} has no pip. Install it there: "
            f"{sys.executable} -m ensurepip"
        )


def compatible_platforms(platform: str) -> list[str]:
    """Return the platforms whose wheels work on a platform, as pip names them, the newest first.

    Wheels for Linux name the oldest C library that they work with. Given one of them, pip takes no
    wheels for older ones (PEP 600).

    Args:
        platform: The platform, such as ``manylinux_2_28_x86_64``.
    """
    named, _, machine = platform.partition("_")
    found = _LINUX.fullmatch(f"{_NAMED[named]}_{machine}" if named in _NAMED else platform)
    if found is None:
        return [platform]
    system, newest, machine = found.groups()
    numbers = range(int(newest), min(_OLDEST[system], int(newest)) - 1, -1)
    names = [f"{system}_{number}" for number in numbers]
    names += [name for name, same in _NAMED.items() if same in names]
    return [f"{name}_{machine}" for name in names]


def build_own_wheel(folder: Path) -> Path:
    """Write icdcode's own wheel: built from its source if it runs from a checkout.

    Args:
        folder: The folder for it.

    Raises:
        DataError: It can't be built.
    """
    source = Path(icdcli.__file__).parents[1]
    if not (source / "pyproject.toml").is_file():
        return repack_wheel(distribution(NAME), folder)
    here = ["--no-build-isolation"] if find_spec("hatchling") else []
    _pip("wheel", "--no-deps", *here, "--wheel-dir", str(folder), str(source))
    (built,) = folder.glob(f"{NAME}-*.whl")
    return built


def repack_wheel(installed: Distribution, folder: Path) -> Path:
    """Write the wheel of an installed package; the same files give the same bytes.

    Args:
        installed: The package.
        folder: The folder for the wheel.

    Raises:
        ConfigError: It wasn't installed from a wheel.
        DataError: A file of it is missing or was changed since.
    """
    name, version = installed.metadata["Name"], installed.version
    listed, about = installed.files, installed.read_text("WHEEL")
    if not listed or about is None or _is_editable(installed):
        raise ConfigError(
            f"{name}: wasn't installed from a wheel, so that it can't be put into a bundle. "
            "Install icdcode with pip into an environment of its own, and repeat the command there."
        )
    stem = f"{re.sub('[-_.]+', '_', name)}-{version.replace('-', '_')}"
    record: list[tuple[str, str, str]] = []
    path = folder / f"{stem}{_build_and_tags(about)}.whl"
    with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=1) as wheel:
        places = {_place(file, installed, stem): file for file in listed}
        for place, file in sorted(places.items()):
            if place:
                record.append(_add(wheel, place, file, f"{name}=={version}"))
        lines = io.StringIO()
        own = f"{_info_folder(listed)}/RECORD"
        csv.writer(lines, lineterminator="\n").writerows([*record, (own, "", "")])
        wheel.writestr(ZipInfo(own), lines.getvalue())
    return path


def download_wheels(
    own: Path,
    needed: Iterable[Distribution],
    extras: Sequence[str],
    platform: str,
    python: str,
) -> None:
    """Download wheels for another platform beside icdcode's, from the index that pip uses here.

    Args:
        own: icdcode's wheel.
        needed: The packages that it needs here, whose versions are downloaded.
        extras: Extras of icdcode.
        platform: pip's name of the platform, such as ``manylinux_2_28_x86_64``.
        python: The version of Python, such as ``3.12``.

    Raises:
        DataError: A wheel can't be downloaded.
    """
    pins = own.with_name("pins.txt")
    versions = (f"{one.metadata['Name']}=={one.version}" for one in needed)
    # A local version, such as 2.13.0+cpu, is of this machine.
    pins.write_text("".join(f"{pin.partition('+')[0]}\n" for pin in versions), encoding="utf-8")
    wanted = f"{own}[{','.join(extras)}]" if extras else str(own)
    options = ["--only-binary=:all:", "--python-version", python]
    options += [word for name in compatible_platforms(platform) for word in ("--platform", name)]
    try:
        _pip("download", "--dest", str(own.parent), *options, "-c", str(pins), wanted)
    finally:
        pins.unlink()


def _is_editable(installed: Distribution) -> bool:
    return '"editable": true' in (installed.read_text("direct_url.json") or "")


def _build_and_tags(about: str) -> str:
    """Return the end of a wheel's name by its file WHEEL, such as ``-py2.py3-none-any``."""
    lines = [line.partition(": ") for line in about.splitlines()]
    tags = [value.strip().split("-") for key, _, value in lines if key == "Tag"]
    build = [value.strip() for key, _, value in lines if key == "Build"]
    joined = (".".join(dict.fromkeys(parts)) for parts in zip(*tags, strict=True))
    return "".join(f"-{part}" for part in (*build, *joined))


def _info_folder(listed: Sequence[PackagePath]) -> str:
    return next(file.parts[0] for file in listed if file.parts[0].endswith(".dist-info"))


def _place(file: PackagePath, installed: Distribution, stem: str) -> str:
    """Return the place of an installed file in the wheel; empty: it isn't part of it."""
    if file.suffix == ".pyc" or (
        file.parts[0].endswith(".dist-info") and file.name in _OF_INSTALLATION
    ):
        return ""
    if file.parts[0] != "..":
        return file.as_posix()
    absolute = Path(os.path.normpath(str(file.locate())))
    if absolute.is_relative_to(sysconfig.get_path("scripts")):
        made = {one.name for one in installed.entry_points if one.group.endswith("_scripts")}
        return "" if absolute.stem in made else f"{stem}.data/scripts/{absolute.name}"
    try:
        inside = absolute.relative_to(sys.prefix)
    except ValueError:
        return ""  # outside of the environment: no wheel writes there
    return str(PurePosixPath(f"{stem}.data", "data", *inside.parts))


def _add(wheel: ZipFile, place: str, file: PackagePath, name: str) -> tuple[str, str, str]:
    """Add a file, and return its line of RECORD."""
    path = Path(str(file.locate()))
    info = ZipInfo(place)
    found, packed, size = sha256(), sha256(), 0
    try:
        info.external_attr = (path.stat().st_mode & 0xFFFF) << 16
        info.compress_type = ZIP_DEFLATED
        with wheel.open(info, "w", force_zip64=True) as archive:
            for number, read in enumerate(_blocks(path)):
                found.update(read)
                block = read
                if number == 0 and ".data/scripts/" in place:
                    # An installation replaces this by the path of its Python.
                    block = re.sub(rb"\A#!.*python.*", b"#!python", read)
                packed.update(block)
                size += archive.write(block)
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror}). {_again(name)}") from None
    listed = file.hash
    if listed is not None and listed.mode == "sha256" and listed.value != _encoded(found.digest()):
        raise DataError(f"{path}: was changed since its installation. {_again(name)}")
    return place, f"sha256={_encoded(packed.digest())}", str(size)


def _encoded(digest: bytes) -> str:
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def _again(name: str) -> str:
    return f"Install it again: pip install --force-reinstall --no-deps '{name}'"


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _pip(*words: str) -> None:
    """Run pip with the user's own settings.

    Raises:
        DataError: It fails.
    """
    command = [sys.executable, "-m", "pip", *words, "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = " ".join((done.stderr or done.stdout).split())[-_LONGEST:]
        raise DataError(
            f"pip {words[0]} failed. Nothing was written. Check which index pip uses, and that it "
            f"has these wheels. pip's last words: {reason}"
        )
