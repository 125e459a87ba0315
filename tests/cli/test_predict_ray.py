"""`icdcode predict --engine ray` with options that it can't have; no cluster is started."""

import importlib.util

import pytest


@pytest.fixture
def words(trained, place, tmp_path, monkeypatch):
    """Return the words of a call that could begin."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "note.txt").write_text("Chest pain.")
    return ["predict", trained, tmp_path / "note.txt", "--engine", "ray"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ((), "--engine ray: writes a file. Add --output."),
        (("--json",), "--engine ray: writes a file. Add --output."),
        (("--output", "codes.csv", "--shard", "1/2"), "divides the notes itself"),
        (("--output", "codes.csv", "--device", "0,1"), "--device 0,1 isn't possible"),
        (("--output", "codes.csv", "--device", "mps"), "--device mps isn't possible"),
        (("--output", "codes.csv", "-"), "can't read a pipe. Give files."),
    ],
)
def test_options_that_make_no_sense_are_refused(refused, words, more, says):
    refused(2, *words, *more, says=says)


def test_several_processes_are_refused(refused, words, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    refused(2, *words, "--output", "codes.csv", says="without torchrun and srun")


def test_processes_of_srun_are_refused(refused, words, monkeypatch):
    for name, value in {"PROCID": "0", "LOCALID": "0", "JOB_ID": "7"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "gpu1")
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")  # set again after the test as it was before
        monkeypatch.delenv(name)
    refused(2, *words, "--output", "codes.csv", says="without torchrun and srun")


def test_without_ray_the_extra_is_named(refused, words, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "icdcli.extras.find_spec", lambda name: None if name == "ray" else found(name)
    )
    refused(
        2,
        *(*words, "--output", "codes.csv"),
        says="--engine ray needs more packages (ray): pip install 'icdcode[ray]'",
    )


def test_a_client_outside_the_cluster_is_refused(refused, words, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    refused(2, *words, "--output", "codes.csv", says="ray job submit -- icdcode predict")


@pytest.mark.parametrize(
    ("address", "says"),
    [("127.0.0.1:1", "Connection refused). Start it,"), ("127.0.0.1:x", "isn't HOST:PORT")],
)
def test_an_address_at_which_nothing_listens_is_reported(
    refused, words, monkeypatch, address, says
):
    monkeypatch.setenv("RAY_ADDRESS", address)
    refused(2, *words, "--output", "codes.csv", says=[f"RAY_ADDRESS={address}: no Ray", says])


def test_offline_another_computer_is_refused(refused, words, monkeypatch):
    monkeypatch.setenv("ICDCODE_OFFLINE", "1")
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.1:6379")
    refused(2, *words, "--output", "codes.csv", says="RAY_ADDRESS=192.0.2.1:6379: icdcode works")
