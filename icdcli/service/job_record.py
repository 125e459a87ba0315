"""What is stored of a job: how its file is read and coded, and how far it is."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

from icdcli.io.files import flush, replacing
from icdcli.predict.batches import Selection
from icdcli.predict.checking import Checking

_FILE = "job.json"

NotesType = Literal["txt", "csv", "csv.gz", "tsv", "tsv.gz", "jsonl", "jsonl.gz", "parquet", "xlsx"]
"""The types of files that jobs read, as the ending of a file's name."""
ResultType = Literal["jsonl", "csv", "parquet"]
"""The types of results."""
JobState = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class JobOptions:
    """How the file of a job is read, coded and written; as the options of ``icdcode predict``.

    Attributes:
        type: The type of the file of notes.
        output: The type of the result.
        top: Report up to this many codes per note.
        min_score: Report the codes with at least this score.
        evidence: Whether to find the words behind each code.
        check: Whether to check the predicted codes.
        resolve: Whether to remove codes by hard rules, too.
        day: The day of the discharge of all notes, for checks.
        text_column: The column of the notes in a table; None: ``text``.
        id_column: The column of the ids; None: ``id`` if there is one, else the row's number.
        date_column: The column of the days of discharge.
    """

    type: NotesType
    output: ResultType = "jsonl"
    top: int | None = None
    min_score: float | None = None
    evidence: bool = False
    check: bool = False
    resolve: bool = False
    day: date | None = None
    text_column: str | None = None
    id_column: str | None = None
    date_column: str | None = None

    @property
    def selection(self) -> Selection:
        """Return which codes are reported."""
        return Selection(self.top, self.min_score)

    @property
    def checking(self) -> Checking | None:
        """Return how the predicted codes are checked; None: they aren't."""
        return Checking(self.resolve, self.day) if self.check or self.resolve else None

    @property
    def notes_name(self) -> str:
        """Return the name of the file of notes in the job's folder."""
        return f"notes.{self.type}"


@dataclass(frozen=True)
class JobRecord:
    """A job.

    Attributes:
        id: Its id, which can't be guessed.
        client: The name of its client.
        options: How its file is read and coded.
        created: When it was accepted, in UTC.
        state: Whether it waits, is in work, is done or has failed.
        notes: The number of its notes; None: they aren't counted yet.
        done: The number of them that are done.
        warnings: What its client should know about a result.
        message: Why it has failed.
        fetched: Whether the result was fetched; it may then be deleted to make room.
    """

    id: str
    client: str
    options: JobOptions
    created: str
    state: JobState = "waiting"
    notes: int | None = None
    done: int = 0
    warnings: tuple[str, ...] = ()
    message: str | None = None
    fetched: bool = False

    @classmethod
    def new(cls, id: str, client: str, options: JobOptions) -> "JobRecord":
        """Return a job that waits."""
        return cls(id, client, options, datetime.now(UTC).isoformat(timespec="microseconds"))

    @property
    def ended(self) -> bool:
        """Return whether it is done or has failed."""
        return self.state in ("done", "failed")

    @property
    def result_name(self) -> str:
        """Return the name of the file of the result in the job's folder."""
        return f"result.{self.options.output}"


def write_job(folder: Path, job: JobRecord) -> None:
    """Store a job in its folder, so that it survives a loss of power.

    Raises:
        OSError: If it can't be written.
    """
    values = asdict(job)
    day = job.options.day
    values["options"]["day"] = None if day is None else day.isoformat()
    with replacing(folder / _FILE, durable=True) as temporary:
        temporary.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    flush(folder)


def read_job(folder: Path) -> JobRecord | None:
    """Return the job in a folder; None: there is none."""
    try:
        values: dict[str, Any] = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        options = values.pop("options")
        day = options.pop("day")
        read = JobOptions(**options, day=None if day is None else date.fromisoformat(day))
        warnings = tuple(values.pop("warnings"))
        return JobRecord(**values, options=read, warnings=warnings)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
