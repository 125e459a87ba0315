"""Arrays in files: ``.npz`` for several with their names, ``.npy`` for one, which may be mapped instead of read."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.errors import DataError
from icdcli.io.files import replacing

Arrays = dict[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Mapping[str, Any], compressed: bool = False) -> None:
    """Write a private ``.npz``, whole or not at all.

    Args:
        path: The file.
        arrays: Name to array.
        compressed: Whether to take time to make it smaller.

    Raises:
        OSError: When it can't be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        (np.savez_compressed if compressed else np.savez)(file, **arrays)


def read_arrays(path: Path) -> Arrays:
    """Read a ``.npz`` whole.

    Raises:
        OSError: When there is no such file, or it can't be read.
        ValueError: When it is damaged.
    """
    # Opened here, since numpy leaves a damaged file open.
    with _damage_told(path), path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        return dict(file)


def read_array(path: Path, mapped: bool = False) -> NDArray[Any]:
    """Read a ``.npy``.

    Args:
        path: The file.
        mapped: Whether to map it into memory instead, where it takes none until it is looked at.

    Raises:
        OSError: When there is no such file, or it can't be read.
        ValueError: When it is damaged.
    """
    with _damage_told(path):
        array: NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        return array


@contextmanager
def cache_opened(folder: Path) -> Iterator[None]:
    """Says of a cache that can't be opened what to do; what opens it stands inside.

    Raises:
        DataError: When a file of it is missing or damaged.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder}: can't be read ({error}); delete this folder, it is made anew"
        ) from error


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Says of every kind of damage that it is damage: a byte changed in a file shows as one of ten errors."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # of zipfile, zlib, tokenize, ast or numpy, depending on the byte
        raise ValueError(f"{path.name} is damaged: {error}") from error
