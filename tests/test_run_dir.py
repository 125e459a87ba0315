import resource
from contextlib import contextmanager

import pytest

from icdcli.errors import ConfigError, DataError
from icdcli.run_dir import RunDir, append_row, later_rows, read_rows, set_aside_after

COLUMNS = ("step", "loss")


@contextmanager
def files_no_longer_than(size):
    """Simulate a full disk for this process: writing stops in the middle of a line."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def run(tmp_path):
    """Return a run folder with rows of steps 10, 20 and 30 in both tables."""
    run = RunDir(tmp_path)
    for table in (run.results, run.steps):
        for step in (10, 20, 30):
            append_row(table, COLUMNS, {"step": step, "loss": 1 / step})
    return run


def test_run_folders_count_up(tmp_path):
    names = [RunDir.create(tmp_path / "project", "run").root.name for _ in range(3)]
    assert names == ["run", "run2", "run3"]


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such run folder"):
        RunDir.open(tmp_path / "none")
    with pytest.raises(ConfigError, match="isn't a run folder"):
        RunDir.open(tmp_path)


def test_a_misspelled_run_gets_the_nearest_name(tmp_path):
    (tmp_path / "laptop").mkdir()
    (tmp_path / "laptop" / "args.yaml").touch()
    (tmp_path / "laptp1").mkdir()
    with pytest.raises(ConfigError, match=r"no such run folder \(did you mean 'laptop'\?\)$"):
        RunDir.open(tmp_path / "laptp")


def test_a_row_is_written_completely_or_not_at_all(run):
    before = run.steps.read_bytes()
    with (
        files_no_longer_than(len(before) + 5),
        pytest.raises(DataError, match=r"steps.csv: can.t be written .*Free space"),
    ):
        append_row(run.steps, COLUMNS, {"step": 40, "loss": 0.025})
    assert run.steps.read_bytes() == before
    append_row(run.steps, COLUMNS, {"step": 40, "loss": 0.025})
    assert [row["step"] for row in read_rows(run.steps)] == ["10", "20", "30", "40"]


def test_a_table_in_a_deleted_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"steps.csv: can.t be written .No such file or directory"):
        append_row(tmp_path / "gone" / "steps.csv", COLUMNS, {"step": 1, "loss": 1.0})


def test_later_rows_are_set_aside_and_not_lost(run, tmp_path):
    before = read_rows(run.results)
    assert later_rows(run, 30, 30) == 0
    assert set_aside_after(run, 30, 30) == []
    assert read_rows(run.results) == before
    assert later_rows(run, 10, 10) == 4
    aside = [tmp_path / "results.before-1.csv", tmp_path / "steps.before-1.csv"]
    assert set_aside_after(run, 10, 10) == aside
    assert read_rows(run.results) == read_rows(run.steps) == before[:1]
    assert read_rows(aside[0]) == read_rows(aside[1]) == before[1:]
    append_row(run.steps, COLUMNS, {"step": 20, "loss": 0.5})
    assert set_aside_after(run, 10, 10) == [tmp_path / "steps.before-2.csv"]
    assert [row["loss"] for row in read_rows(tmp_path / "steps.before-2.csv")] == ["0.5"]
    assert read_rows(aside[0]) == before[1:]


def test_a_validation_that_is_still_to_come_has_no_row(run, tmp_path):
    assert later_rows(run, 30, 20) == 1
    assert set_aside_after(run, 30, 20) == [tmp_path / "results.before-1.csv"]
    assert [row["step"] for row in read_rows(run.results)] == ["10", "20"]
    assert len(read_rows(run.steps)) == 3


@pytest.mark.parametrize("half", [b"40", b"40,0.02", b"40,1e-", b"40,0.0\0\0\0"])
def test_an_incomplete_line_is_set_aside(run, half):
    complete = run.steps.read_bytes()
    run.steps.write_bytes(complete + half)
    assert len(set_aside_after(run, 30, 30)) == 1
    assert run.steps.read_bytes() == complete


@pytest.mark.parametrize(
    "content",
    [
        b"step;loss\n10;0.1\n",
        b"a,b\n1,2\n",
        b"step,loss\nten,0.1\n",
        b"step,loss\n10,0.q\n",
        b"step,loss\ninf,0.1\n",
        b"step\xff\n",
    ],
)
def test_a_table_that_training_did_not_write_is_left_alone(run, content):
    run.results.write_bytes(content)
    with pytest.raises(DataError, match=r"results.csv: isn't in the format that training writes"):
        set_aside_after(run, 10, 10)
    assert run.results.read_bytes() == content
    assert later_rows(RunDir(run.root / "none"), 0, 0) == 0
