"""The function that Ray runs: a model, loaded once, that makes a part of the file from a block."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from icdcli import __version__
from icdcli.errors import ConfigError, DataError, IcdcodeError
from icdcli.io.manifest import manifest_sha256
from icdcli.model.checkpoint import load_checkpoint
from icdcli.model.inference.passes import is_out_of_memory
from icdcli.model.section import CpuPrecision
from icdcli.predict.batches import CutNotes, NotePredictor, Selection
from icdcli.predict.checking import Checking, note_checks
from icdcli.predict.formats.blocks import CodedBlock, Format
from icdcli.predict.on_ray.blocks import CodedPart, NumberedBlock, packed_row, unpacked_rows
from icdcli.predict.run import note_predictor

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ATTEMPTS = 3
"""A block is given up after this many of its workers have died."""


class Attempts:
    """Counts how many workers have begun each block: one that is killed can't report it."""

    def __init__(self) -> None:
        self._begun: Counter[int] = Counter()

    def begin(self, number: int) -> int:
        """Count one more attempt at a block, and return the number of attempts."""
        self._begun[number] += 1
        return self._begun[number]


@dataclass(frozen=True)
class Coding:
    """Everything that a part depends on, apart from the notes.

    Attributes:
        checkpoint: The folder of the checkpoint, which each worker reads at this path.
        manifest: The hash of its manifest.
        selection: Which codes are reported.
        evidence: Whether evidence is found.
        checking: How codes are checked; None: they aren't.
        cpu_precision: The precision of a 32-bit network on a CPU; None: that of its training.
        format: The format of the file.
        checks: What the checks depend on, in words, on the computer that runs the command.
        begun: When the first call that writes the file began.
        version: The version of icdcode.
    """

    checkpoint: Path
    manifest: str
    selection: Selection
    evidence: bool
    checking: Checking | None
    cpu_precision: CpuPrecision | None
    format: Format
    checks: str
    begun: datetime
    version: str = __version__


class BlockCoder:
    """Codes blocks one after another."""

    def __init__(self, coding: Coding, device: str, begin: Callable[[int], int]) -> None:
        """Load the model.

        Args:
            coding: What to do.
            device: The torch device.
            begin: Counts one more attempt at a block, and returns the number of attempts.
        """
        self._coding, self._begin = coding, begin
        self._warnings: list[str] = []
        # If it were raised here, Ray would take it for a crash and start the next worker.
        self._opened: NotePredictor | Exception
        try:
            self._opened = self._open(device)
        except Exception as error:
            if not _is_known(error):
                raise
            self._opened = error

    def _open(self, device: str) -> NotePredictor:
        coding = self._coding
        if coding.version != __version__:
            raise ConfigError(
                f"--engine ray: a worker has icdcode {__version__}, this computer "
                f"{coding.version}. Install the same version on all of them."
            )
        loaded = load_checkpoint(
            *(coding.checkpoint, "metric", device, self._warnings.append, coding.cpu_precision)
        )
        if manifest_sha256(loaded.folder) != coding.manifest:
            raise DataError(
                f"{coding.checkpoint}: the checkpoint on a worker differs from the one on this "
                "computer, or was replaced. Copy the same files to all computers, then run the "
                "same command again."
            )
        model, checking = loaded.model, coding.checking
        checks = note_checks(model.labels, checking) if checking else None
        if str(checks or "") != coding.checks:
            raise DataError(
                f"--engine ray: a worker checks with {checks}, this computer with "
                f"{coding.checks}. Give all computers the same editions."
            )
        return note_predictor(model, coding.selection, coding.evidence, checks)

    def code(self, block: NumberedBlock) -> CodedPart:
        """Return the part of a block, or why there is none."""
        if block.problem is not None or block.notes is None:
            return CodedPart(block.number, block.size, problem=block.problem)
        try:
            return self._code(block)
        except Exception as error:
            if not _is_known(error):
                raise
            return CodedPart(block.number, block.size, problem=error)

    def _code(self, block: NumberedBlock) -> CodedPart:
        assert block.notes is not None, "code has seen them"
        if isinstance(self._opened, Exception):
            raise self._opened
        attempt = self._begin(block.number)
        if attempt > MOST_ATTEMPTS:
            raise DataError(
                f"notes {block.first + 1:,} to {block.first + block.size:,}: {MOST_ATTEMPTS} "
                "workers, or their results, were lost while coding them, perhaps because they ran "
                "out of memory. All finished parts are kept: give the workers more memory, or "
                "correct the notes, then run the same command again."
            )
        coded = self._opened.predict(block.notes)
        content = self._written(CodedBlock(block.notes, coded, self._coding.begun))
        return CodedPart(
            *(block.number, block.size, content, CutNotes.of(coded), attempt),
            tuple(self._warnings),
        )

    def _written(self, block: CodedBlock) -> bytes:
        try:
            with TemporaryDirectory(prefix="icdcode-") as folder:
                path = Path(folder) / f"part{self._coding.format.ending}"
                self._coding.format.write(path, block)
                return path.read_bytes()
        except OSError as error:
            message = f"a worker can't write a temporary file ({error.strerror or error})"
            raise DataError(f"--engine ray: {message}. Free space in its TMPDIR.") from error


def _is_known(error: Exception) -> bool:
    """Return whether the command reports an error with a message and an exit code of its own."""
    return isinstance(error, IcdcodeError | OSError) or is_out_of_memory(error)


class RayWorker:
    """A worker of Ray Data's ``map_batches``."""

    def __init__(
        self, coding: Coding, device: str, attempts: Any, coder: type[BlockCoder] = BlockCoder
    ) -> None:
        """Load the model.

        Args:
            coding: What to do.
            device: The torch device.
            attempts: The actor with the `Attempts` of all workers.
            coder: What codes the blocks.
        """
        import ray

        def begin(number: int) -> int:
            return int(ray.get(attempts.begin.remote(number)))

        self._coder = coder(coding, device, begin)

    def __call__(self, table: "pa.Table") -> "pa.Table":
        """Return the part of the block in a table."""
        [block] = unpacked_rows(table)
        return packed_row(self._coder.code(block))
