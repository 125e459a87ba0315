"""The editions at hand: those in this package, and those that the user has imported.

A name is that of a coding system, a hyphen, and a version: ``icd10cm-2026-04``. The beginning of a
name means the newest edition with it: ``icd10cm-2026`` that of April 2026, ``icd10cm`` the newest
of all. The newest is the one that is valid from the latest day.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from platformdirs import user_data_path

from icdcli.errors import ConfigError, DataError, nearest
from icdcli.icd.codes import system_name
from icdcli.icd.editions.edition import ABOUT, About, Edition

VARIABLE = "ICDCODE_CODES"
"""The environment variable with the folder of imported editions."""

SYSTEMS = {"icd9": ("icd9cm",), "icd10": ("icd10cm", "icd10pcs")}
"""The systems of a corpus, and the systems of editions that have their codes."""

_DIAGNOSES = {system: names[0] for system, names in SYSTEMS.items()}
_BUNDLED = Path(__file__).with_name("tables")
_NAME = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*")
_OPEN = 32
_KNOWN = 256


@dataclass(frozen=True)
class Found:
    """An edition at hand.

    Attributes:
        about: What is known about it.
        path: Its file.
        bundled: Whether it is in this package.
    """

    about: About
    path: Path
    bundled: bool


def imported_folder() -> Path:
    """Return the folder of the editions that the user has imported; it may not exist."""
    own = os.environ.get(VARIABLE)
    return Path(own) if own else user_data_path("icdcode") / "codes"


def editions() -> list[Found]:
    """Return the editions at hand by system, the oldest first.

    An imported edition replaces one of the same name in this package.

    Raises:
        DataError: A file can't be read.
    """
    found = {one.about.name: one for one in _in(_BUNDLED, True)}
    found |= {one.about.name: one for one in _in(imported_folder(), False)}
    return sorted(found.values(), key=lambda one: (one.about.system, _age(one.about)))


def find_edition(name: str, on: date | None = None) -> Edition:
    """Open an edition by its name, or by the beginning of its name.

    Args:
        name: The name, or the system (``icd10cm``; ``icd10`` and ``icd9`` mean its diagnoses), or
            more of it (``icd10cm-2026``).
        on: A day: of several editions, the one that was valid on it is taken, or else the first
            one; None: the newest.

    Raises:
        ConfigError: There is no such edition.
        DataError: Its file can't be read.
    """
    wanted = system_name(name)
    wanted = _DIAGNOSES.get(wanted, wanted)
    at_hand = editions()
    exact = [one for one in at_hand if one.about.name == wanted]
    beginning = [one for one in at_hand if one.about.name.startswith(f"{wanted}-")]
    candidates = exact or beginning
    if not candidates:
        raise ConfigError(_unknown(name, wanted, [one.about for one in at_hand]))
    if on is not None:
        before = [one for one in candidates if (one.about.valid_from or date.min) <= on]
        candidates = before or candidates[:1]
    return open_edition(candidates[-1].path)


def bundled_edition(name: str) -> Edition:
    """Open an edition of this package, even if the user has imported one of the same name."""
    return open_edition(_BUNDLED / f"{name}.parquet")


def _unknown(name: str, wanted: str, at_hand: list[About]) -> str:
    """Return the message about an edition that isn't at hand."""
    from icdcli.icd.editions.publications import official

    names = [about.name for about in at_hand]
    hint = nearest(wanted, [*names, *(about.system for about in at_hand)])
    how = (
        f"`icdcode codes fetch {wanted}` downloads it."
        if official(wanted)
        else "Others are added with `icdcode codes import FILE --name NAME`."
    )
    return f"no edition {name!r}{hint}. At hand are: {', '.join(names)}. {how}"


def is_in_an_edition(code: str, system: str) -> bool:
    """Return whether an edition at hand has a code.

    Args:
        code: The code, with its dot.
        system: ``icd9`` or ``icd10``.
    """
    return any(
        code in open_edition(one.path) for one in editions() if one.about.system in SYSTEMS[system]
    )


def is_bundled(edition: Edition) -> bool:
    """Return whether an edition is in this package, unchanged."""
    path = _BUNDLED / f"{edition.about.name}.parquet"
    return path.is_file() and open_edition(path).sha256 == edition.sha256


def open_edition(path: Path) -> Edition:
    """Open the file of an edition; the last ones that were opened are kept.

    Raises:
        DataError: It can't be read.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise DataError(f"{path}: the edition can't be read ({error.strerror}).") from error
    return _opened(path, state.st_mtime_ns, state.st_size)


def store_edition(edition: Edition) -> Path:
    """Keep an edition among the imported ones, and return its file.

    Raises:
        ConfigError: Its name can't be one.
        OSError: The file can't be written.
    """
    check_name(edition.about.name)
    folder = imported_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{edition.about.name}.parquet"
    edition.write(path)
    return path


def check_name(name: str) -> None:
    """Raise a `ConfigError` unless a name can be that of an edition."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} can't be the name of an edition. Use small letters, digits and hyphens, "
            "such as kcd-9 or icd10cm-2027."
        )


def _in(folder: Path, bundled: bool) -> Iterator[Found]:
    for path in sorted(folder.glob("*.parquet")):
        try:
            state = path.stat()
            about = _about(path, state.st_mtime_ns, state.st_size)
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise DataError(
                f"{path}: the edition can't be read ({error}). Import it again, or delete the file."
            ) from error
        yield Found(about, path, bundled)


def _age(about: About) -> tuple[date, str]:
    return about.valid_from or date.min, about.name


@lru_cache(_KNOWN)
def _about(path: Path, _changed: int, _size: int) -> About:
    metadata = pq.read_schema(path, memory_map=True).metadata
    return About.from_json(json.loads(metadata[ABOUT])["about"])


@lru_cache(_OPEN)
def _opened(path: Path, _changed: int, _size: int) -> Edition:
    return Edition.read(path)
