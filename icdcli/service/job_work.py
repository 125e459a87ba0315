"""The work of a job: code a file of notes with the model of the service, into a file.

The result has the bytes that ``icdcode predict --output`` writes. It is written in parts, so that
an interrupted job continues with the first block of notes that isn't done.
"""

import logging
import re
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import sleep

from icdcli.data.notes.documents import DocumentFiles
from icdcli.data.notes.files import Notes, find_notes
from icdcli.data.notes.text import Note
from icdcli.errors import IcdcodeError
from icdcli.predict.batches import CodedNote
from icdcli.predict.run import write_predictions
from icdcli.service.engine import (
    BATCH_NOTES,
    CodingEngine,
    CodingOptions,
    EngineClosedError,
    QueueFullError,
)
from icdcli.service.job_record import JobRecord

_PAUSE = 0.2  # seconds
_OPTION = re.compile(r"--([a-z]+)-column")
_log = logging.getLogger(__name__)


class JobStoppedError(Exception):
    """The job was deleted, or the service ends; its finished blocks of notes are kept."""


class JobFailedError(Exception):
    """A job can't be done; the message is for its client and has no text of a note."""


@dataclass(frozen=True)
class JobResult:
    """What became of the notes of a job.

    Attributes:
        notes: Their number.
        warnings: What its client should know.
    """

    notes: int
    warnings: tuple[str, ...]


def code_job(
    engine: CodingEngine,
    folder: Path,
    job: JobRecord,
    stops: Callable[[], bool],
    on_notes: Callable[[int, int], object],
) -> JobResult:
    """Write the result of a job.

    Args:
        engine: The model of the service.
        folder: The folder of the job.
        job: The job.
        stops: Asked often whether to stop.
        on_notes: Called with the number of notes that are done and of all notes.

    Raises:
        JobStoppedError: If `stops` returns true, or the engine was closed.
        JobFailedError: If the notes can't be read or coded, or the result can't be written.
    """
    warnings: list[str] = []
    try:
        count = _write(engine, folder, job, stops, on_notes, warnings)
    except (JobStoppedError, EngineClosedError):
        raise JobStoppedError from None
    except IcdcodeError as error:
        if isinstance(error.__cause__, OSError):
            reason = error.__cause__.strerror or type(error.__cause__).__name__
            raise JobFailedError(f"the service can't write the result ({reason}).") from None
        raise JobFailedError(_words(str(error), folder)) from None
    except Exception as error:
        # Neither the message of an unexpected error nor its values, which may be parts of a note.
        at = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} in {Path(at.filename).name}, line {at.lineno}"
        _log.error("a job has failed: %s", place)
        raise JobFailedError(f"a defect of the service: {place}.") from None
    return JobResult(count, tuple(_words(warning, folder) for warning in warnings))


def _write(
    engine: CodingEngine,
    folder: Path,
    job: JobRecord,
    stops: Callable[[], bool],
    on_notes: Callable[[int, int], object],
    warnings: list[str],
) -> int:
    options = job.options
    coding = CodingOptions(options.selection, options.evidence, options.checking)

    def require_work(*_: object, **__: object) -> None:
        if stops():
            raise JobStoppedError

    def submit(notes: Sequence[Note]) -> "Future[list[CodedNote]]":
        while True:
            require_work()
            try:
                return engine.submit(notes, coding, background=True)
            except QueueFullError:
                sleep(_PAUSE)

    def predict(block: Sequence[Note], report: Callable[[int], None]) -> list[CodedNote]:
        futures: list[Future[list[CodedNote]]] = []
        coded: list[CodedNote] = []
        try:
            for at in range(0, len(block), BATCH_NOTES):
                futures.append(submit(block[at : at + BATCH_NOTES]))
            for future in futures:
                while not future.done():
                    require_work()
                    with suppress(TimeoutError):
                        future.result(_PAUSE)
                coded += future.result()
                report(len(coded))
        finally:
            for future in futures:
                future.cancel()
        return coded

    count, cut = write_predictions(
        engine.loaded.folder,
        _notes(folder, job),
        folder / job.result_name,
        predict,
        options.selection,
        evidence=options.evidence,
        checks=engine.checks(options.checking) if options.checking else None,
        on_notes=on_notes,
        on_progress=require_work,
        on_warning=warnings.append,
    )
    if cut.notes:
        warnings.append(cut.warning(count, engine.model.config.max_len))
    return count


def _notes(folder: Path, job: JobRecord) -> Notes:
    options = job.options
    path = folder / options.notes_name
    if options.type == "txt":  # its id is that of the upload, not the place on the server
        return Notes([str(path)], [DocumentFiles({options.notes_name: path})])
    return find_notes(
        [str(path)], None, options.text_column, options.id_column, options.date_column
    )


def _words(message: str, folder: Path) -> str:
    """Return a message without the place of the folder, and with the service's names of options."""
    return _OPTION.sub(r"\1_column", message.replace(f"{folder}/", ""))
