"""The parts of a shard's file while it is written.

Shards are whole blocks of notes, so that the model reads each note in the same batch whatever the
number of shards. The first shard to start reads and counts all notes, and writes the plan; the
others use it, if they see the same folder, and write the same results without it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from icdcli.data.notes.text import Note
from icdcli.errors import ConfigError, DataError
from icdcli.io.files import private_folder, write_json
from icdcli.io.fingerprints import file_hash
from icdcli.io.locks import exclusive
from icdcli.predict.batches import BlockBorders, CutNotes
from icdcli.predict.formats.blocks import ModelName
from icdcli.predict.formats.registry import Shape
from icdcli.predict.resumable_output import OutputParts, ReadNotes, changed_inputs
from icdcli.predict.shards.records import Shard, ShardRecord, shards_folder

_PLAN, _LOCK = "_plan.json", ".lock"


@dataclass(frozen=True)
class ShardPlan:
    """How the notes are divided.

    Attributes:
        begins: The number of the first note of each shard, and the number of all notes.
        started: When the first shard was started.
        made_of: What the shards are made from; see `OutputParts`.
    """

    begins: list[int]
    started: str
    made_of: Mapping[str, str]


def shard_begins(blocks: list[int], notes: int, count: int) -> list[int]:
    """Divide blocks of notes into shards with as many blocks each, or one more.

    Args:
        blocks: The number of the first note of each block.
        notes: The number of notes.
        count: The number of shards.

    Returns:
        The number of the first note of each shard, and the number of notes.
    """
    starts = [*blocks, notes]
    return [starts[number * len(blocks) // count] for number in range(count + 1)]


class ShardParts(OutputParts):
    """The parts of the file of a shard."""

    def __init__(
        self,
        output: Path,
        made_of: Mapping[str, str],
        model: ModelName,
        shape: Shape,
        shard: Shard,
    ) -> None:
        """Describe the file; see `OutputParts`.

        Args:
            output: The file that all shards together make.
            made_of: The inputs.
            model: The model.
            shape: What the file has.
            shard: The shard.

        Raises:
            ConfigError: If there can't be such a file.
        """
        super().__init__(output, made_of, model, shape)
        self._shard, self._model, self._shape = shard, model, shape
        self._shards, self._record_path = shards_folder(output), shard.record(output)
        self.output = shard.file(output)
        self.folder = self.output.with_name(f"{self.output.name}.parts")
        self._own: ShardPlan | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock on the shard's file."""
        with self._writing():
            private_folder(self._shards)
        with super().locked():
            yield

    @property
    def changed(self) -> list[str]:
        """Return the inputs that have changed since the parts or the file were written."""
        record = self._stored_record()
        return super().changed or (
            changed_inputs(record.made_of, self._made_of) if record is not None else []
        )

    @property
    def notes(self) -> int | None:
        """Return the number of notes, if an earlier call with the same inputs counted them."""
        return super().notes if self._plan() is not None else None

    def count(self, read: ReadNotes, on_wait: Callable[[], None]) -> int:
        """Return the number of the shard's notes, from the plan; write the plan if there is none.

        Args:
            read: Reads all notes.
            on_wait: Called if another shard reads them at the moment.

        Raises:
            DataError: If a note can't be read, or the folder can't be written.
        """
        with self._writing(), exclusive(self._shards / _LOCK, on_wait):
            plan = self._plan()
            if plan is None:
                borders = BlockBorders()

                def require(note: Note) -> None:
                    borders.is_begun_by(note)
                    if self.require is not None:
                        self.require(note)

                begins = shard_begins(borders.begins, read(require), self._shard.total)
                plan = ShardPlan(begins, self._time, self._made_of)
                write_json(self._shards / _PLAN, asdict(plan))
                self._own = plan
        self._time = plan.started
        begin, end = self._borders(plan)
        return end - begin

    def select(self, notes: Iterable[Note]) -> Iterable[Note]:
        """Return the shard's notes.

        Raises:
            ConfigError: If the plan is gone, or another call has just replaced it.
        """
        plan = self._plan()
        if plan is None:
            raise ConfigError(
                f"{self._shards}: the plan of the shards is gone, or another icdcode has begun to "
                "write with other options or another number of shards. Choose another name."
            )
        return islice(notes, *self._borders(plan))

    def finished(self) -> tuple[int, CutNotes] | None:
        """Return the shard's number of notes and the cut ones if its file is complete."""
        record = self._stored_record()
        if record is None or record.made_of != self._made_of or not self.output.exists():
            return None
        if file_hash(self.output) != record.file_hash:
            return None
        return record.end - record.begin, CutNotes(**record.cut)

    def start(self, notes: int) -> None:
        """Keep the parts that are still valid and remove the others, and an earlier file."""
        super().start(notes)
        with self._writing():
            self._record_path.unlink(missing_ok=True)
            self.output.unlink(missing_ok=True)

    def _record(self, parts: int) -> None:
        plan = self._plan()
        assert plan is not None, "select has read it"
        begin, end = self._borders(plan)
        record = ShardRecord(
            *(self._shard, begin, end, plan.begins[-1], plan.started, file_hash(self.output)),
            made_of=self._made_of,
            model=(self._model.name, self._model.sha256),
            shape=self._shape._asdict(),
            cut=asdict(self.cut_notes(parts)),
        )
        record.write(self._record_path)

    def _borders(self, plan: ShardPlan) -> tuple[int, int]:
        number = self._shard.number
        return plan.begins[number - 1], plan.begins[number]

    def _plan(self) -> ShardPlan | None:
        """Return the plan, if it is one for this number of shards and these inputs.

        It is kept: another call, with other options or another number, may replace it any time.
        """
        if self._own is not None:
            return self._own
        try:
            plan = ShardPlan(**json.loads((self._shards / _PLAN).read_text(encoding="utf-8")))
            fits = len(plan.begins) == self._shard.total + 1
        except (OSError, ValueError, TypeError):
            return None
        if fits and plan.made_of == self._made_of:
            self._own = plan
        return self._own

    def _stored_record(self) -> ShardRecord | None:
        try:
            return ShardRecord.read(self._record_path)
        except DataError:
            return None
