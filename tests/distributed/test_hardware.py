import mmap

import numpy as np
import pytest
import torch

from icdcli.distributed import hardware as machine

GIGABYTE = 2**30


def test_memory_is_reported_in_bytes():
    resident, peak, total = machine.resident_memory(), machine.peak_memory(), machine.total_memory()
    assert 10**7 < resident <= peak < total
    assert 0 < machine.free_memory() <= total
    assert machine.memory_in_use(torch.device("cpu")) == pytest.approx(resident, rel=0.1)


def test_what_is_held_counts():
    before = machine.resident_memory()
    held = np.frombuffer(
        mmap.mmap(-1, 100_000_000), np.uint8
    )  # new to the process, as what an allocator gives need not be
    held.fill(1)
    assert machine.resident_memory() - before > 0.9 * held.nbytes


def test_a_training_finds_what_is_free_and_what_this_process_takes():
    room = machine.room(torch.device("cpu"))
    assert room == pytest.approx(machine.free_memory() + machine.resident_memory(), rel=0.1)


def test_the_processor_is_known():
    assert machine.processor().strip()


def test_gpus_are_those_of_torch():
    assert [gpu.number for gpu in machine.gpus()] == list(range(torch.cuda.device_count()))


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Control groups of version 2 in a folder: sets limit, use and file cache of a group."""
    own = tmp_path / "cgroup"
    monkeypatch.setattr(machine, "_OWN_GROUPS", own)
    monkeypatch.setattr(
        machine, "_GROUPS", {"": (tmp_path / "fs", "memory.max", "memory.current", "inactive_file")}
    )

    def arrange(group, limit, used=0, cache=0):
        folder = tmp_path / "fs" / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 7\ninactive_file {cache}\n")
        own.write_text(f"0::/{group}\n")

    return arrange


def test_a_batch_jobs_limit_is_heeded_and_cached_files_are_free(groups):
    groups("job", GIGABYTE, used=GIGABYTE // 2, cache=GIGABYTE // 4)
    assert machine.total_memory() == GIGABYTE
    assert machine.free_memory() == GIGABYTE * 3 // 4


def test_the_smallest_limit_above_counts(groups):
    groups("job", GIGABYTE // 2)
    groups("job/step", GIGABYTE)
    assert machine.total_memory() == GIGABYTE // 2


def test_a_full_group_has_nothing_free(groups):
    groups("job", GIGABYTE, used=2 * GIGABYTE)
    assert machine.free_memory() == 0


def test_no_limit_is_no_limit(groups, tmp_path, monkeypatch):
    groups("job", "max")
    limited = machine.total_memory()
    monkeypatch.setattr(machine, "_OWN_GROUPS", tmp_path / "nothing")
    assert limited == machine.total_memory() > 10**9


def test_without_a_kernel_file_the_peak_is_used_for_both(monkeypatch):
    monkeypatch.setattr(machine, "_entry", lambda file, name: None)
    assert machine.resident_memory() == machine.peak_memory() > 10**7
    assert machine.total_memory() > 10**8
    assert machine.free_memory() == machine.total_memory()
