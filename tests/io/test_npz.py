"""Arrays in files: they are read as they were written, and any damage is reported."""

import stat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icdcli.errors import DataError
from icdcli.io.npz import cache_opened, read_array, read_arrays, write_arrays

ARRAYS = {
    "numbers": np.arange(300) % 7 / 10,
    "names": np.array(["one", "two"]),
    "none": np.zeros((0, 3), np.float16),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("arrays")


@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_written_is_read_and_private(tmp_path, compressed):
    path = tmp_path / "some.npz"
    write_arrays(path, ARRAYS, compressed)
    found = read_arrays(path)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mapped", [False, True])
def test_one_array_is_read_or_mapped(tmp_path, mapped):
    np.save(tmp_path / "one.npy", ARRAYS["numbers"])
    found = read_array(tmp_path / "one.npy", mapped)
    assert isinstance(found, np.memmap) is mapped
    assert np.array_equal(found, ARRAYS["numbers"])


@given(
    at=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
    compressed=st.booleans(),
    cut=st.booleans(),
)
def test_a_damaged_file_is_read_correctly_or_reported(folder, at, bit, compressed, cut):
    path = folder / "some.npz"
    write_arrays(path, ARRAYS, compressed)
    data = bytearray(path.read_bytes())
    place = int(at * len(data))
    if cut:
        data = data[:place]
    else:
        data[place] ^= 1 << bit
    path.write_bytes(data)
    try:
        found = read_arrays(path)
    except (OSError, ValueError):
        return
    # A changed bit of redundant information may go unnoticed, but never one of the numbers.
    assert all(np.array_equal(found[name], ARRAYS[name]) for name in found)


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:-1], lambda data: b"x" + data[1:]]
)
def test_a_damaged_array_is_reported(tmp_path, mapped, damage):
    path = tmp_path / "one.npy"
    np.save(path, ARRAYS["numbers"])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"one\.npy is damaged"):
        read_array(path, mapped)


@pytest.mark.parametrize("content", [None, b"nothing"])
def test_a_cache_that_cannot_be_opened_names_the_remedy(tmp_path, content):
    if content:
        (tmp_path / "ids.npy").write_bytes(content)
    with (
        pytest.raises(
            DataError,
            match=r"can't be read .*ids\.npy.*. Delete this folder; it will be made again",
        ),
        cache_opened(tmp_path),
    ):
        read_array(tmp_path / "ids.npy")
