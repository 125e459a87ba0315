"""Jobs: files of notes that clients upload, coded in the background, one after the other.

Each job has a folder that only the user of the service can read, with the uploaded notes and then
the result. An accepted job survives the end of the service: the next one continues it. The notes
are deleted as soon as the job is done or has failed; the result is kept until it was fetched, and
then until its client deletes it or the room is needed.
"""

import asyncio
import secrets
import shutil
import threading
from collections.abc import AsyncIterable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from icdcli.errors import ConfigError
from icdcli.io.files import flush, private_folder
from icdcli.io.locks import HeldElsewhere, exclusive
from icdcli.service.engine import CodingEngine
from icdcli.service.job_record import JobOptions, JobRecord, read_job, write_job
from icdcli.service.job_work import JobFailedError, JobStoppedError, code_job

_LOCK = ".lock"
_PAUSE = 0.5  # seconds
_CHECK_DISK_EVERY, _BETWEEN_CHECKS = 64 << 20, 2.0  # bytes of an upload; seconds of work


@dataclass(frozen=True)
class JobLimits:
    """How much jobs may take.

    Attributes:
        upload_bytes: The most bytes of one file.
        disk_bytes: The most bytes of all files and results together.
        jobs: The most jobs, including those whose results wait to be fetched.
        client_jobs: The most jobs of one client.
    """

    upload_bytes: int = 1 << 30
    disk_bytes: int = 10 << 30
    jobs: int = 100
    client_jobs: int = 20


class TooManyJobsError(Exception):
    """There are as many jobs as are allowed."""


class UploadTooLargeError(Exception):
    """A file has more bytes than are allowed."""


class NoSpaceError(Exception):
    """The disk, or the part of it that jobs may use, is full."""


@dataclass
class _Live:
    """What changes while a job is in work, and isn't stored.

    Attributes:
        done: Its notes that are done.
        notes: All its notes; None: not counted yet.
        full: Whether it has filled the disk.
    """

    done: int = 0
    notes: int | None = None
    full: bool = False


class Jobs:
    """The jobs of a service, in a folder.

    Attributes:
        limits: How much they may take.
    """

    def __init__(
        self,
        folder: Path,
        get_engine: Callable[[], CodingEngine | None],
        limits: JobLimits | None = None,
    ) -> None:
        """Describe the jobs.

        Args:
            folder: Where they are stored.
            get_engine: Returns the engine; None while the model is being loaded: jobs wait then.
            limits: How much they may take.
        """
        self.limits = limits or JobLimits()
        self._folder = folder
        self._get_engine = get_engine
        self._changed = threading.Condition()
        self._jobs: dict[str, JobRecord] = {}
        self._live: dict[str, _Live] = {}
        self._uploading: dict[str, str] = {}  # id to client
        self._working: str | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._held = ExitStack()

    def start(self) -> None:
        """Take up the jobs of an earlier service, and begin to work.

        Raises:
            ConfigError: If another service uses the folder, or it can't be written.
        """
        try:
            private_folder(self._folder)
            self._held.enter_context(exclusive(self._folder / _LOCK))
        except HeldElsewhere as error:
            raise ConfigError(
                f"{self._folder}: another service keeps its jobs there ({error}). Stop it, or "
                "choose another folder."
            ) from None
        except OSError as error:
            raise ConfigError(
                f"{self._folder}: can't be written ({error.strerror}). Choose another folder."
            ) from None
        for folder in sorted(path for path in self._folder.iterdir() if path.is_dir()):
            job = read_job(folder)
            if job is None or job.id != folder.name:
                shutil.rmtree(folder, ignore_errors=True)  # half an upload, never accepted
                continue
            self._jobs[job.id], self._live[job.id] = job, _Live(job.done, job.notes)
            if job.ended:
                self._remove_notes(job)
        self._thread.start()

    def end(self) -> None:
        """Begin to stop: no further job is begun; the next service continues the one in work."""
        self._stopping = True

    def stop(self) -> None:
        """Stop, and wait until nothing is in work."""
        self.end()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        self._held.close()

    async def create(
        self, client: str, options: JobOptions, content: AsyncIterable[bytes]
    ) -> JobRecord:
        """Store a file of notes, and let it be coded.

        Args:
            client: The name of the client, who alone sees the job.
            options: How the file is read and coded.
            content: The bytes of the file.

        Raises:
            TooManyJobsError: If there are as many jobs as are allowed.
            UploadTooLargeError: If the file has too many bytes.
            NoSpaceError: If the disk, or the part of it for jobs, is full.
            ConfigError: If this model's codes can't be checked.
        """
        engine = self._get_engine()
        if engine is not None and options.checking is not None:
            engine.checks(options.checking)  # raises its error now instead of later
        id = secrets.token_hex(16)
        with self._changed:
            self._make_room(client)
            self._uploading[id] = client
        folder = self._folder / id
        try:
            await self._store(folder, options, content)
            job = JobRecord.new(id, client, options)
            await asyncio.to_thread(write_job, folder, job)
            await asyncio.to_thread(flush, self._folder)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise NoSpaceError(f"the file can't be stored ({error.strerror}).") from None
        except BaseException:  # such as the end of a client in the middle of its file
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            with self._changed:
                del self._uploading[id]
        with self._changed:
            self._jobs[id], self._live[id] = job, _Live()
            self._changed.notify_all()
        return job

    def find(self, client: str, id: str) -> JobRecord | None:
        """Return a client's job with its progress; None: the client has no such job."""
        with self._changed:
            job = self._jobs.get(id)
            return self._seen(job) if job is not None and job.client == client else None

    def jobs_of(self, client: str) -> list[JobRecord]:
        """Return the jobs of a client, the oldest first."""
        with self._changed:
            own = [self._seen(job) for job in self._jobs.values() if job.client == client]
        return sorted(own, key=lambda job: job.created)

    def result_file(self, job: JobRecord) -> Path:
        """Return the file of the result of a job that is done."""
        return self._folder / job.id / job.result_name

    def mark_fetched(self, id: str) -> None:
        """Note that a result was fetched, so that it may give way to other jobs."""
        with self._changed:
            job = self._jobs.get(id)
            if job is not None and job.state == "done" and not job.fetched:
                self._update(replace(job, fetched=True))

    def delete(self, client: str, id: str) -> bool:
        """Delete a client's job with its files; one that is in work ends first.

        Returns:
            Whether there was one.
        """
        with self._changed:
            job = self._jobs.get(id)
            if job is None or job.client != client:
                return False
            self._remove(job)
        return True

    def _seen(self, job: JobRecord) -> JobRecord:
        if job.ended:
            return job
        live = self._live[job.id]
        return replace(job, done=live.done, notes=live.notes)

    def _make_room(self, client: str) -> None:
        """Remove fetched results, the oldest first, if there is no room for another job."""
        fetched = sorted((job for job in self._jobs.values() if job.fetched), key=_age)
        for job in [one for one in fetched if one.client == client]:
            if self._count(client) >= self.limits.client_jobs:
                self._remove(job)
        for job in fetched:
            full = self._count() >= self.limits.jobs or self._used() >= self.limits.disk_bytes
            if job.id in self._jobs and full:
                self._remove(job)
        if self._count(client) >= self.limits.client_jobs:
            raise TooManyJobsError(
                f"you have {self.limits.client_jobs:,} jobs, as many as are allowed. Fetch or "
                "delete their results first."
            )
        if self._count() >= self.limits.jobs:
            raise TooManyJobsError("the service has as many jobs as it may have. Try again later.")
        self._require_space()

    def _count(self, client: str | None = None) -> int:
        clients = [*(job.client for job in self._jobs.values()), *self._uploading.values()]
        return len(clients) if client is None else clients.count(client)

    def _used(self) -> int:
        used = 0
        for path in self._folder.rglob("*"):
            with suppress(OSError):  # just deleted
                used += path.stat().st_size
        return used

    def _require_space(self) -> None:
        if self._used() >= self.limits.disk_bytes:
            raise NoSpaceError(
                "the files of all jobs take as much space as they may. Fetch or delete results."
            )

    async def _store(
        self, folder: Path, options: JobOptions, content: AsyncIterable[bytes]
    ) -> None:
        private_folder(folder)
        path = folder / options.notes_name
        path.touch(mode=0o600)
        size = unchecked = 0
        with path.open("wb") as file:
            async for piece in content:
                size, unchecked = size + len(piece), unchecked + len(piece)
                if size > self.limits.upload_bytes:
                    most = self.limits.upload_bytes
                    raise UploadTooLargeError(f"the file has more than {most:,} bytes. Split it.")
                file.write(piece)
                if unchecked >= _CHECK_DISK_EVERY:
                    unchecked = 0
                    self._require_space()
        self._require_space()
        await asyncio.to_thread(flush, path)

    def _update(self, job: JobRecord) -> None:
        self._jobs[job.id] = job
        with suppress(OSError):  # of a full disk: the next service does this work again
            write_job(self._folder / job.id, job)

    def _remove(self, job: JobRecord) -> None:
        del self._jobs[job.id], self._live[job.id]
        if job.id != self._working:  # else it is removed as soon as it has stopped
            shutil.rmtree(self._folder / job.id, ignore_errors=True)

    def _remove_notes(self, job: JobRecord) -> None:
        folder = self._folder / job.id
        with suppress(OSError):
            (folder / job.options.notes_name).unlink(missing_ok=True)
        shutil.rmtree(folder / f"{job.result_name}.parts", ignore_errors=True)

    def _work(self) -> None:
        """Do one job after the other."""
        while True:
            with self._changed:
                while not self._stopping and (self._next() is None or self._get_engine() is None):
                    self._changed.wait(None if self._next() is None else _PAUSE)
                job, engine = self._next(), self._get_engine()
                if self._stopping or job is None or engine is None:
                    return
                job = replace(job, state="running")
                self._working = job.id
                self._update(job)
                live = self._live[job.id]
            ended = self._run(engine, job, live)
            with self._changed:
                self._working = None
                if job.id not in self._jobs:
                    shutil.rmtree(self._folder / job.id, ignore_errors=True)
                elif ended is not None:
                    self._update(ended)
                    self._remove_notes(ended)

    def _next(self) -> JobRecord | None:
        waiting = (job for job in self._jobs.values() if not job.ended)
        return min(waiting, key=_age, default=None)

    def _run(self, engine: CodingEngine, job: JobRecord, live: _Live) -> JobRecord | None:
        """Return a job as it ended; None if it was stopped."""

        def stops() -> bool:
            return self._stopping or live.full or job.id not in self._jobs

        measured = monotonic()

        def on_notes(done: int, notes: int) -> None:
            nonlocal measured
            live.done, live.notes = done, notes
            if monotonic() - measured > _BETWEEN_CHECKS:
                measured = monotonic()
                live.full = self._used() >= self.limits.disk_bytes

        try:
            result = code_job(engine, self._folder / job.id, job, stops, on_notes)
        except JobStoppedError:
            if not live.full or self._stopping:
                return None
            return replace(job, state="failed", message="there is no space for the result.")
        except JobFailedError as error:
            return replace(job, state="failed", message=str(error))
        return replace(
            job, state="done", notes=result.notes, done=result.notes, warnings=result.warnings
        )


def _age(job: JobRecord) -> str:
    return job.created
