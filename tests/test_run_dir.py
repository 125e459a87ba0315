import pytest

from icdcli.errors import ConfigError
from icdcli.run_dir import RunDir, append_row, read_rows, set_aside_after, write_atomically


def test_run_folders_count_up(tmp_path):
    names = [RunDir.create(tmp_path / "project", "run").root.name for _ in range(3)]
    assert names == ["run", "run2", "run3"]


def test_what_is_no_run_folder(tmp_path):
    with pytest.raises(ConfigError, match="there is no such run folder"):
        RunDir.open(tmp_path / "none")
    with pytest.raises(ConfigError, match="is no run folder"):
        RunDir.open(tmp_path)


def test_a_failed_write_leaves_the_file_before(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, "before")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("icdcli.run_dir.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "after")
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_later_rows_are_set_aside_and_not_lost(tmp_path):
    table = tmp_path / "results.csv"
    for step in (10, 20, 30):
        append_row(table, ["step", "loss"], {"step": step, "loss": 1 / step})
    before = read_rows(table)
    assert set_aside_after(table, 30) == 0 and read_rows(table) == before
    assert set_aside_after(table, 10) == 2
    assert read_rows(table) == before[:1]
    assert read_rows(tmp_path / "results.superseded.csv") == before[1:]
    append_row(table, ["step", "loss"], {"step": 20, "loss": 0.5})
    assert set_aside_after(table, 10) == 1
    assert len(read_rows(tmp_path / "results.superseded.csv")) == 3
