"""A shard and its record: which notes its file has, and what it was made from.

The shards of an output ``F`` are in the folder ``F.shards/``:

    3-of-8.jsonl   the notes of the third of eight shards: a complete file in the format of ``F``
    _3-of-8.json   its record, written when the file is complete
    _plan.json     how the notes are divided; see `icdcli.predict.shards.parts`

Programs that read a folder of Parquet files skip names that begin with ``_``.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from icdcli.errors import ConfigError, DataError
from icdcli.io.files import write_json

_WORDS = re.compile(r"(\d{1,6})/(\d{1,6})")
_RECORD = re.compile(r"_(\d+)-of-(\d+)\.json")


class Shard(NamedTuple):
    """One of several parts of the notes.

    Attributes:
        number: Its number, counted from 1.
        total: The number of shards.
    """

    number: int
    total: int

    @classmethod
    def parse(cls, words: str) -> "Shard":
        """Return the shard of ``3/8``.

        Raises:
            ConfigError: If there is no such shard.
        """
        found = _WORDS.fullmatch(words)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise ConfigError(
                f"--shard {words}: should be I/N, with I from 1 to N, such as 3/8 for the third of "
                "eight shards. If the job array counts from 0, add 1 to its index."
            )
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        """Return it as `parse` reads it."""
        return f"{self.number}/{self.total}"

    @property
    def stem(self) -> str:
        """Return the name of its file, without the ending."""
        return f"{self.number:0{len(str(self.total))}}-of-{self.total}"

    def file(self, output: Path) -> Path:
        """Return the path of its file."""
        return shards_folder(output) / f"{self.stem}{output.suffix}"

    def record(self, output: Path) -> Path:
        """Return the path of its record."""
        return shards_folder(output) / f"_{self.stem}.json"


def shards_folder(output: Path) -> Path:
    """Return the folder of the shards of an output."""
    return output.with_name(f"{output.name}.shards")


@dataclass(frozen=True)
class ShardRecord:
    """The record of a complete shard.

    Attributes:
        shard: Its number and the number of shards.
        begin: The number of its first note, counted from 0.
        end: The number of the first note after it.
        notes: The number of all notes.
        started: When the first shard was started.
        file_hash: The hash of its file.
        made_of: For each input, how a message says that it changed, and a value that changes.
        model: Name and hash of the model.
        shape: What the file has; see `icdcli.predict.formats.registry.Shape`.
        cut: The notes of which the model reads only the beginning; see `CutNotes`.
    """

    shard: Shard
    begin: int
    end: int
    notes: int
    started: str
    file_hash: str
    made_of: Mapping[str, str]
    model: tuple[str, str]
    shape: Mapping[str, Any]
    cut: Mapping[str, Any]

    def write(self, path: Path) -> None:
        """Write it.

        Raises:
            OSError: If it can't be written.
        """
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read one.

        Raises:
            DataError: If it can't be read, or isn't in the format that `predict` writes.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            values |= {"shard": Shard(*values["shard"]), "model": tuple(values["model"])}
            return cls(**values)
        except OSError as error:
            raise DataError(f"{path}: can't be read ({error.strerror}).") from error
        except (ValueError, TypeError, KeyError):
            raise DataError(
                f"{path}: isn't a record of a shard of this version. Delete it, and run the shard "
                "again."
            ) from None


def stored_records(output: Path) -> Iterator[tuple[Shard, Path]]:
    """Yield the shards of an output that are complete, and the paths of their records."""
    for path in sorted(shards_folder(output).glob("_*-of-*.json")):
        if found := _RECORD.fullmatch(path.name):
            yield Shard(int(found[1]), int(found[2])), path
