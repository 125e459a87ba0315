"""Arrays in files: ``.npz`` for several named ones, ``.npy`` for one that may be memory-mapped."""

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
    """Write a private ``.npz`` file.

    Args:
        path: The file.
        arrays: Name to array.
        compressed: Compress it, which takes time.

    Raises:
        OSError: If it can't be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        (np.savez_compressed if compressed else np.savez)(file, **arrays)


def read_arrays(path: Path) -> Arrays:
    """Return all arrays of a ``.npz`` file.

    Raises:
        OSError: If the file doesn't exist or can't be read.
        ValueError: If it is damaged.
    """
    # Opened here, because numpy doesn't close a damaged file.
    with (
        _damage_reported(path),
        path.open("rb") as stream,
        np.load(stream, allow_pickle=False) as file,
    ):
        return dict(file)


def read_array(path: Path, mapped: bool = False) -> NDArray[Any]:
    """Return the array of a ``.npy`` file.

    Args:
        path: The file.
        mapped: Map the file instead of reading it: only the parts that are used take memory.

    Raises:
        OSError: If the file doesn't exist or can't be read.
        ValueError: If it is damaged.
    """
    with _damage_reported(path):
        array: NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        return array


@contextmanager
def cache_opened(folder: Path) -> Iterator[None]:
    """Report an error of the block as a damaged cache.

    Raises:
        DataError: If a file of the cache is missing or damaged.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder}: can't be read ({error}). Delete this folder; it will be made again."
        ) from error


@contextmanager
def _damage_reported(path: Path) -> Iterator[None]:
    """Raise a `ValueError` for any damage, which numpy reports as one of about ten errors."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # of zipfile, zlib, tokenize, ast or numpy, depending on the byte
        raise ValueError(f"{path.name} is damaged: {error}") from error
