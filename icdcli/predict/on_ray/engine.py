"""Ray Data reads the notes on this computer, and gives them to a pool of workers, block by block.

Ray starts workers as the cluster has room for them, and starts a lost one, and its block, again.
The parts come back in any order; this process alone stores them.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from icdcli.data.notes.files import Notes
from icdcli.errors import DataError, IcdcodeError
from icdcli.predict import batches
from icdcli.predict.counting import OnMessage
from icdcli.predict.on_ray.blocks import BlockReader, CodedPart, unpacked_rows
from icdcli.predict.on_ray.worker import Attempts, BlockCoder, Coding, RayWorker
from icdcli.predict.resumable_output import OnNotes, OutputParts

_THREADS = "OMP_NUM_THREADS"
_MOST_THREADS = 4


@dataclass(frozen=True)
class RayEngine:
    """Codes notes on the Ray cluster that this process is connected to.

    Attributes:
        gpu: Whether each worker gets a GPU; None: if the cluster has GPUs now.
        on_warning: Called with a message for each warning.
        coder: What codes the blocks.
    """

    gpu: bool | None = None
    on_warning: OnMessage | None = None
    coder: type[BlockCoder] = BlockCoder

    def write(self, parts: OutputParts, notes: Notes, coding: Coding, on_notes: OnNotes) -> int:
        """Write the parts that are missing, and return the number of all parts.

        Args:
            parts: The parts.
            notes: The notes.
            coding: What the workers do.
            on_notes: Receives the progress.

        Raises:
            DataError: If a note can't be read or coded, if Ray is lost, or if a part can't be
                written. Parts that are already stored are kept.
        """
        reader = BlockReader(notes, parts.written(), batches.BLOCK_NOTES, Path.cwd())
        numbers, done, before, again = set(), 0, 0, 0
        warned: set[str] = set()
        for part in self._coded(reader, coding):
            if part.problem is not None:
                raise part.problem
            if part.content is None:
                before += part.size
            else:
                parts.store(part.number, part.cut, partial(_write, content=part.content))
            numbers.add(part.number)
            done += part.size
            again += part.attempt > 1
            for message in part.warnings:
                if message not in warned:
                    warned.add(message)
                    self._warn(message)
            on_notes(done, before)
        if numbers != set(range(len(numbers))) or done != parts.notes:
            raise DataError(
                f"--engine ray: {done:,} of {parts.notes or 0:,} notes were coded. Run the same "
                "command again to code the others. The notes must not change in between."
            )
        if again:
            self._warn(f"blocks of notes coded again because a worker was lost: {again:,}")
        return len(numbers)

    def _warn(self, message: str) -> None:
        if self.on_warning is not None:
            self.on_warning(message)

    def _coded(self, reader: BlockReader, coding: Coding) -> Iterator[CodedPart]:
        from ray.exceptions import RayError, RayTaskError

        try:
            yield from self._parts(reader, coding)
        except RayTaskError as error:
            if isinstance(error.cause, IcdcodeError):
                raise error.cause from None
            raise
        except RayError as error:
            first = str(error).strip().partition("\n")[0]
            raise DataError(
                f"--engine ray: Ray can't continue ({type(error).__name__}: {first}). The finished "
                "parts are kept: run the same command again."
            ) from error

    def _parts(self, reader: BlockReader, coding: Coding) -> Iterator[CodedPart]:
        import ray
        from ray.data import ActorPoolStrategy, read_datasource

        nodes = [one["Resources"] for one in ray.nodes() if one["Alive"]]  # type: ignore[no-untyped-call]
        gpu = any(one.get("GPU", 0) > 0 for one in nodes) if self.gpu is None else self.gpu
        # A worker that needs more cores than any node has would never start.
        largest = max((int(one.get("CPU", 0)) for one in nodes), default=0)
        threads = min(_threads(), largest or _MOST_THREADS)
        share: dict[str, Any] = {"num_gpus": 1} if gpu else {"num_cpus": threads}
        here = ray.get_runtime_context().get_node_id()
        counter = ray.remote(Attempts).options(num_cpus=0, label_selector={"ray.io/node-id": here})
        given = (coding, "cuda:0" if gpu else "cpu", counter.remote(), self.coder)
        with _settings_of_ray_data():
            coded = read_datasource(_source(reader), num_cpus=0, override_num_blocks=1).map_batches(
                RayWorker,
                batch_size=1,
                batch_format="pyarrow",
                compute=ActorPoolStrategy(min_size=1, max_tasks_in_flight_per_actor=2),
                fn_constructor_args=given,
                **share,
            )
            for table in coded.iter_batches(batch_size=None, batch_format="pyarrow"):
                yield from unpacked_rows(table)


@contextmanager
def _settings_of_ray_data() -> Iterator[None]:
    """Change settings of Ray Data during the block; they are those of the whole process."""
    from ray.data import DataContext

    context = DataContext.get_current()
    own = {
        "target_max_block_size": 1,  # each of our blocks is one of Ray's
        "enable_progress_bars": False,
        "print_on_execution_start": False,
    }
    before = {name: getattr(context, name) for name in own}
    handlers = [
        (one, one.level)
        for one in logging.getLogger("ray.data").handlers
        if isinstance(one, logging.StreamHandler)
    ]
    try:
        for name, value in own.items():
            setattr(context, name, value)
        for handler, _ in handlers:
            handler.setLevel(logging.CRITICAL)  # what matters is raised as an error, too
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)
        for handler, level in handlers:
            handler.setLevel(level)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _threads() -> int:
    """Return the cores of a worker without a GPU."""
    given = os.environ.get(_THREADS, "")
    return int(given) if given.isdecimal() and int(given) > 0 else _MOST_THREADS


def _source(reader: BlockReader) -> Any:
    """Return Ray Data's source of the blocks; they are read on the computer of this process."""
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata

    class NoteBlocks(Datasource):
        """All notes, in one task, because reading can't begin in the middle of a table."""

        supports_distributed_reads = False

        def estimate_inmemory_data_size(self) -> None:
            """Return that the size is unknown."""

        def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:
            """Return the task."""
            return [ReadTask(reader, BlockMetadata(None, None, None, None))]

    return NoteBlocks()  # type: ignore[no-untyped-call]
