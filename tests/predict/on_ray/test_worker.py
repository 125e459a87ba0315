"""The function that Ray runs, without Ray."""

from datetime import UTC, datetime

import pytest

from icdcli.errors import ConfigError, DataError, ResumeError
from icdcli.io.manifest import manifest_sha256
from icdcli.predict.batches import NotePredictor, Selection
from icdcli.predict.formats.blocks import ModelName
from icdcli.predict.formats.registry import choose_format
from icdcli.predict.on_ray.blocks import NumberedBlock, numbered_blocks
from icdcli.predict.on_ray.worker import MOST_ATTEMPTS, Attempts, BlockCoder, Coding
from icdcli.predict.run import predict_to_file

SELECTION = Selection(top=2)


@pytest.fixture
def coding(checkpoint, tmp_path):
    """Return a function that makes what a worker does."""

    def make(**changes):
        values = {
            "checkpoint": checkpoint,
            "manifest": manifest_sha256(checkpoint),
            "selection": SELECTION,
            "evidence": False,
            "checking": None,
            "cpu_precision": None,
            "format": choose_format(tmp_path / "codes.csv", ModelName("", "")),
            "checks": "",
            "begun": datetime.now(UTC),
        }
        return Coding(**(values | changes))

    return make


def test_parts_in_any_order_are_the_file_of_one_process(coding, notes, checkpoint, tmp_path):
    coder = BlockCoder(coding(), "cpu", Attempts().begin)
    parts = [coder.code(block) for block in reversed(list(numbered_blocks(notes, set(), 4)))]
    assert [part.problem for part in parts] == [None] * 6
    assert sum(part.size for part in parts) == 22
    predict_to_file(checkpoint, notes, tmp_path / "codes.csv", top=2)
    _, _, rows = (tmp_path / "codes.csv").read_bytes().partition(b"\n")
    assert b"".join(part.content for part in reversed(parts)) == rows


def test_a_block_that_kills_its_workers_is_given_up(coding, notes):
    attempts = Attempts()
    block = next(numbered_blocks(notes, set(), 4))
    for _ in range(MOST_ATTEMPTS - 1):
        attempts.begin(block.number)  # by workers that died
    coder = BlockCoder(coding(), "cpu", attempts.begin)
    assert coder.code(block).attempt == MOST_ATTEMPTS
    given_up = coder.code(block)
    assert given_up.content is None and isinstance(given_up.problem, DataError)
    assert str(given_up.problem).startswith("notes 1 to 4: 3 workers, or their results, were lost")
    assert coder.code(NumberedBlock(1, 4, 4, tuple(notes)[4:8])).problem is None


def test_a_part_that_is_written_is_not_begun(coding):
    attempts = Attempts()
    part = BlockCoder(coding(), "cpu", attempts.begin).code(NumberedBlock(5, 20, 4))
    assert (part.number, part.size, part.content, part.problem) == (5, 4, None, None)
    assert attempts.begin(5) == 1


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"version": "0.0.1"}, ConfigError, "Install the same version"),
        ({"manifest": "other"}, DataError, "differs from the one on this computer"),
        ({"checkpoint": "nowhere"}, ConfigError, "nowhere"),
        ({"checks": "--check icd10cm-1"}, DataError, "this computer with --check icd10cm-1"),
    ],
)
def test_a_worker_that_does_not_fit_says_why(coding, notes, tmp_path, changes, error, says):
    if "checkpoint" in changes:
        changes = {"checkpoint": tmp_path / "nowhere"}
    coder = BlockCoder(coding(**changes), "cpu", Attempts().begin)
    part = coder.code(next(numbered_blocks(notes, set(), 4)))
    assert isinstance(part.problem, error) and says in str(part.problem)
    assert not isinstance(part.problem, ResumeError)


@pytest.mark.parametrize("error", [MemoryError(), OSError(5, "Input/output error")])
def test_errors_that_the_command_explains_reach_it(coding, notes, monkeypatch, error):
    def fail(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("icdcli.predict.on_ray.worker.load_checkpoint", fail)
        unloaded = BlockCoder(coding(), "cpu", Attempts().begin)
    loaded = BlockCoder(coding(), "cpu", Attempts().begin)
    monkeypatch.setattr(NotePredictor, "predict", fail)
    for coder in (unloaded, loaded):
        assert coder.code(next(numbered_blocks(notes, set(), 4))).problem is error


def test_a_defect_is_not_taken_for_a_problem_of_the_notes(coding, notes, monkeypatch):
    coder = BlockCoder(coding(), "cpu", Attempts().begin)
    monkeypatch.setattr(NotePredictor, "predict", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        coder.code(next(numbered_blocks(notes, set(), 4)))


def test_a_worker_without_space_says_so(coding, notes, monkeypatch, tmp_path):
    coder = BlockCoder(coding(), "cpu", Attempts().begin)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    part = coder.code(next(numbered_blocks(notes, set(), 4)))
    assert isinstance(part.problem, DataError)
    assert "a worker can't write a temporary file" in str(part.problem)


def test_notes_without_text_are_in_the_part(coding, notes):
    block = list(numbered_blocks(notes, set(), 4))[1]
    assert not block.notes[3].has_text
    content = BlockCoder(coding(), "cpu", Attempts().begin).code(block).content.decode()
    assert "\nn7,,," in content
