"""Join the files of shards to the file that one process would have written."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from icdcli.errors import ConfigError, DataError
from icdcli.io.files import flush, replacing, writing
from icdcli.io.fingerprints import file_hash
from icdcli.io.progress import Progress
from icdcli.predict.batches import CutNotes
from icdcli.predict.formats.blocks import ModelName
from icdcli.predict.formats.registry import Shape, choose_format
from icdcli.predict.prediction_file import output_path
from icdcli.predict.resumable_output import changed_inputs
from icdcli.predict.shards.records import Shard, ShardRecord, shards_folder, stored_records

_UNFINISHED = re.compile(r"(\d+)-of-(\d+)\..+\.parts")


@dataclass(frozen=True)
class JoinedFile:
    """A file that was joined.

    Attributes:
        output: The file.
        shards: The number of its shards.
        notes: The number of notes in it.
        cut: The notes of which the model reads only the beginning.
        folder: The folder of the shards, which stays.
    """

    output: Path
    shards: int
    notes: int
    cut: CutNotes
    folder: Path

    def to_json(self) -> dict[str, Any]:
        """Return the values that ``icdcode join --json`` prints."""
        return {
            "output": self.output,
            "shards": self.shards,
            "notes": self.notes,
            "cut_notes": self.cut.notes,
            "cut_notes_read": round(self.cut.mean_share, 6) if self.cut.notes else None,
            "folder": self.folder,
        }


def join_shards(
    output: Path | str,
    on_progress: Progress | None = None,
    on_message: Callable[[str], object] | None = None,
) -> JoinedFile:
    """Join the shards of an output, which are in the folder ``<output>.shards``.

    Args:
        output: The file to write, as it was given to each shard.
        on_progress: Receives the progress.
        on_message: Called with a message if the shards differ in their times.

    Raises:
        ConfigError: If there are no shards of such a file.
        DataError: If a shard is missing, unfinished or damaged, if the shards don't belong
            together, or if the file can't be written.
    """
    output = output_path(output)
    folder = shards_folder(output)
    records = _complete_set(output, folder)
    files = [record.shard.file(output) for record in records]
    for record, file in zip(records, files, strict=True):
        _require_unchanged(record, file, on_progress)
    if len({record.started for record in records}) > 1 and on_message is not None:
        on_message(
            "The shards were started in different folders: times in the file are those of each "
            "shard"
        )
    first = records[0]
    format = choose_format(output, ModelName(*first.model), Shape(**first.shape))
    with writing(output), replacing(output, durable=True) as joined:
        format.gather(joined, files)
    flush(output.parent)
    cut = reduce(add, (CutNotes(**record.cut) for record in records))
    return JoinedFile(output, len(records), first.notes, cut, folder)


def _complete_set(output: Path, folder: Path) -> list[ShardRecord]:
    """Return the records of all shards in order, if they make one file together."""
    try:
        found = dict(stored_records(output))
        unfinished = {
            Shard(int(match[1]), int(match[2]))
            for path in folder.glob("*.parts")
            if (match := _UNFINISHED.fullmatch(path.name))
        }
    except OSError as error:
        raise DataError(f"{folder}: can't be read ({error.strerror}).") from error
    if not found and not unfinished:
        raise ConfigError(
            f"{folder}: has no shards. Write them first: icdcode predict RUN_DIR FILE --output "
            f"{output} --shard 1/N, and so on up to N/N."
        )
    counts = sorted({shard.total for shard in (*found, *unfinished)})
    if len(counts) > 1:
        raise DataError(
            f"{folder}: has shards of {' and of '.join(map(str, counts))}. Delete those that don't "
            "belong to the file, then join again."
        )
    _require_all(output, counts[0], found, unfinished)
    records = [ShardRecord.read(found[Shard(i, counts[0])]) for i in range(1, counts[0] + 1)]
    _require_same_inputs(folder, records)
    _require_cover(folder, records)
    return records


def _require_all(
    output: Path, count: int, found: dict[Shard, Path], unfinished: set[Shard]
) -> None:
    lacking = [
        shard
        for shard in (Shard(number, count) for number in range(1, count + 1))
        if shard not in found or not shard.file(output).exists()
    ]
    if lacking:
        missing = [str(shard) for shard in lacking if shard not in unfinished]
        begun = [str(shard) for shard in lacking if shard in unfinished]
        parts = [
            *([f"{_listed(missing)} missing"] if missing else []),
            *([f"{_listed(begun)} unfinished"] if begun else []),
        ]
        run = (
            f"the command with --shard {lacking[0]}"
            if len(lacking) == 1
            else f"the command for each of them, starting with --shard {lacking[0]}"
        )
        raise DataError(
            f"{shards_folder(output)}: {' and '.join(parts)}. Run {run}, then join again."
        )


def _listed(shards: Sequence[str]) -> str:
    shown = ", ".join(shards[:20]) + (f" and {len(shards) - 20} more" if len(shards) > 20 else "")
    return f"shard {shown} is" if len(shards) == 1 else f"shards {shown} are"


def _require_same_inputs(folder: Path, records: Sequence[ShardRecord]) -> None:
    for record in records[1:]:
        if changed := changed_inputs(records[0].made_of, record.made_of):
            raise DataError(
                f"{folder}: shard {record.shard} was written with {' and '.join(changed)} than "
                f"shard {records[0].shard}. Run all shards again that were written with the wrong "
                "one, then join again."
            )


def _require_cover(folder: Path, records: Sequence[ShardRecord]) -> None:
    """Raise an error unless each note is in exactly one shard."""
    end = 0
    for number, record in enumerate(records, start=1):
        if record.shard.number != number or record.begin != end or record.notes != records[0].notes:
            raise DataError(
                f"{folder}: shard {Shard(number, len(records))} has notes {record.begin:,} to "
                f"{record.end:,} of {record.notes:,}, but {end:,} should be its first: notes are "
                "in two shards or in none. Run it again, then join again."
            )
        end = record.end
    if end != records[0].notes:
        raise DataError(
            f"{folder}: the shards end with note {end:,} of {records[0].notes:,}. Run the last one "
            "again, then join again."
        )


def _require_unchanged(record: ShardRecord, file: Path, on_progress: Progress | None) -> None:
    if file_hash(file, on_progress) != record.file_hash:
        raise DataError(
            f"{file}: was changed or cut short after it was written. Run shard {record.shard} "
            "again, then join again."
        )
