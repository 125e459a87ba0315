"""``seeds`` of the configuration: one model per seed, and an ensemble of them, in one run folder.

    members/seed0 …   the run of each seed, as `icdcode train` writes it
    members/seed0.log its output, if several were trained at a time
    seeds.json        the seeds whose training is finished
    weights/          the ensemble, when all are

Each member is trained by a process of its own, one after the other. With several GPUs, one member
per GPU is trained at a time. `icdcode resume` continues an interrupted training without repeating
what is finished.
"""

import json
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import Queue

from icdcli.config.loading import load_config
from icdcli.config.schema import Config
from icdcli.distributed.signals import STOP_SIGNALS, reason_of
from icdcli.ensembles.members import warn_of_principal
from icdcli.ensembles.run import MadeEnsemble, ensemble_runs
from icdcli.errors import DataError, IcdcodeError, in_shell
from icdcli.io.files import write_json, writing
from icdcli.io.progress import Progress
from icdcli.run_dir import RunDir, checkpoint_folder, require_idle, require_project, train_alone
from icdcli.training.allowed_changes import allowed_changes
from icdcli.training.setting_up.earlier_run import has_checkpoint

MEMBERS, FINISHED = "members", "seeds.json"

Command = Callable[[Sequence[str], Path | None], int]
"""Runs ``icdcode`` with some words, and returns its exit code. Its output goes to a file, if one is
given."""


class RunningTrainings:
    """The processes that train members, and the signal that stops them.

    Attributes:
        signal: The first signal that this process has received, 0 before.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._processes: set[subprocess.Popen[bytes]] = set()
        # A process that is starting gets a signal once: a second one ends it without a checkpoint.
        # Reentrant, since a signal may interrupt the passing on of another.
        self._lock = threading.RLock()

    def wait(self, process: "subprocess.Popen[bytes]") -> int:
        """Wait until a process ends, and return its exit code."""
        with self._lock:
            self._processes.add(process)
            if self.signal:
                process.send_signal(self.signal)
        try:
            code = process.wait()
        finally:
            with self._lock:
                self._processes.discard(process)
        return 128 - code if code < 0 else code

    @contextmanager
    def passing_signals_on(self) -> Iterator[None]:
        """Pass the signals that stop a run on to the processes, which save a checkpoint and end."""
        before = {number: signal.signal(number, self._pass_on) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _pass_on(self, number: int, _: object) -> None:
        with self._lock:
            self.signal = self.signal or number
            for process in self._processes:
                process.send_signal(number)


class MemberStoppedError(IcdcodeError):
    """The training of a member ended before it was finished.

    Attributes:
        exit_code: The exit code of its process: 130 or 143 if it was interrupted.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def new_seeds_run(config: Config, may_exist: bool = False) -> RunDir:
    """Make the run folder for a configuration with ``seeds``; nothing is trained yet.

    Args:
        config: The configuration.
        may_exist: Whether to use the folder of this name if it exists.

    Raises:
        ConfigError: If the project folder can't be written.
        DataError: If the configuration can't be written.
    """
    require_project(config.run.project)
    run = RunDir.create(config.run.project, config.run.name, may_exist)
    run.write_config(config)
    return run


def train_seeds(
    run: RunDir,
    overrides: Sequence[str] = (),
    *,
    on_message: Callable[[str], None],
    on_warning: Callable[[str], None] = warnings.warn,
    on_progress: Progress | None = None,
    command: Command | None = None,
) -> MadeEnsemble | None:
    """Train the models of all seeds that aren't finished, and make an ensemble of them.

    Args:
        run: The run folder; see `new_seeds_run`.
        overrides: Keys to change for the members that aren't finished, as ``key=value``.
        on_message: Receives a message when a training begins.
        on_warning: Receives warnings.
        on_progress: Receives the progress of scoring.
        command: Runs a command; None: in a process of its own.

    Returns:
        The ensemble; None: it was finished before.

    Raises:
        ConfigError: If an override is wrong.
        DataError: If the data can't be used, or the run folder can't be written.
        MemberStoppedError: If a training fails or is interrupted.
        ResumeError: If another process trains the run, or a member has checkpoints whose names are
            lost.
    """
    config = load_config(run.args, list(overrides))
    allowed_changes(load_config(run.args), config)
    with train_alone(run, on_warning):
        done = set(config.run.seeds) <= set(finished_seeds(run))
        if done and checkpoint_folder(run, "last") is not None:
            return None
        warn_of_principal([config], on_warning)
        members = train_members(run, config, overrides, on_message=on_message, command=command)
        run.change_config(load_config(members[0].args, as_typed=True), ["code_system"])
        return ensemble_runs(
            members, run.root.name, on_warning=on_warning, on_progress=on_progress, into=run
        )


def member_run(run: RunDir, seed: int) -> RunDir:
    """Return the run folder of a seed's model."""
    return RunDir(run.root / MEMBERS / f"seed{seed}")


def finished_seeds(run: RunDir) -> list[int]:
    """Return the seeds whose training is finished.

    Raises:
        DataError: If the file that lists them is damaged.
    """
    path = run.root / FINISHED
    try:
        return [int(seed) for seed in json.loads(path.read_text(encoding="utf-8"))["finished"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: can't be read ({error}). Delete it: members that are finished are then "
            "recognized when they are resumed."
        ) from None


def train_members(
    run: RunDir,
    config: Config,
    overrides: Sequence[str] = (),
    *,
    on_message: Callable[[str], None],
    command: Command | None = None,
) -> list[RunDir]:
    """Train the models of all seeds that aren't finished, and return the run of each seed.

    Args:
        run: The run folder of the ensemble, with the configuration.
        config: The configuration; its ``seeds`` are trained.
        overrides: Keys to change when members are resumed, as ``key=value``.
        on_message: Receives a message when a training begins.
        command: Runs a command; None: in a process of its own.

    Raises:
        DataError: If the run folder can't be read or written.
        MemberStoppedError: If a training fails or is interrupted. Nothing of the others is lost.
        ResumeError: If a process still trains a member, or it has checkpoints whose names are
            lost.
    """
    running = RunningTrainings()
    command = command or partial(_run_process, running=running)
    with writing(run.root):
        (run.root / MEMBERS).mkdir(mode=0o700, exist_ok=True)
    finished = finished_seeds(run)
    waiting = [seed for seed in config.run.seeds if seed not in finished]
    for seed in waiting:  # before any training
        require_idle(member_run(run, seed), on_message)  # of a command that was killed
        has_checkpoint(member_run(run, seed))  # reports lost names
    devices = _devices(config)
    free: Queue[str | None] = Queue()
    for device in devices:
        free.put(device)
    lock, stopped = threading.Lock(), threading.Event()

    def train(seed: int) -> None:
        device = free.get()
        try:
            if not stopped.is_set() and not running.signal:
                code = _train_one(run, seed, device, overrides, on_message, command)
                if code:
                    stopped.set()
                    raise MemberStoppedError(_remedy(run, seed), code)
                with lock:
                    finished.append(seed)
                    write_json(run.root / FINISHED, {"finished": sorted(finished)})
        finally:
            free.put(device)

    with running.passing_signals_on(), ThreadPoolExecutor(len(devices)) as pool:
        for done in [pool.submit(train, seed) for seed in waiting]:
            done.result()
    if running.signal:  # between two trainings, or when the last one was finished
        raise MemberStoppedError(
            f"{reason_of(running.signal)}. {_continue(run)}", 128 + running.signal
        )
    return [member_run(run, seed) for seed in config.run.seeds]


def _devices(config: Config) -> list[str | None]:
    """Return the device of each training that runs at a time; None: as configured."""
    device = config.run.device
    if isinstance(device, str) or len(device) < 2 or config.model.is_baseline:
        return [None]
    return [str(number) for number in device]


def _train_one(
    run: RunDir,
    seed: int,
    device: str | None,
    overrides: Sequence[str],
    on_message: Callable[[str], None],
    command: Command,
) -> int:
    """Train or resume the model of a seed, and return the exit code of its process."""
    member = member_run(run, seed)
    started = has_checkpoint(member)
    words = ["resume", str(member.root), *overrides]
    if not started:
        shutil.rmtree(member.root, ignore_errors=True)  # it was stopped before its first checkpoint
        words = [
            *("train", str(run.args), f"seed={seed}", "seeds=[]", *overrides),
            *(f"project={member.root.parent}", f"name={member.root.name}"),
        ]
    where = "" if device is None else f" on device {device}"
    on_message(f"seed {seed}: {'resuming' if started else 'training'}{where}: {member.root}")
    if device is None:
        return command(words, None)
    return command([*words, f"device={device}"], member.root.with_suffix(".log"))


def _remedy(run: RunDir, seed: int) -> str:
    log = member_run(run, seed).root.with_suffix(".log")
    see = f" See {log}." if log.is_file() else ""
    return f"the training of seed {seed} stopped.{see} {_continue(run)}"


def _continue(run: RunDir) -> str:
    return f"Continue with: icdcode resume {in_shell(run.root)}"


def _run_process(words: Sequence[str], log: Path | None, running: RunningTrainings) -> int:
    """Run a command in a process of its own, and return its exit code."""
    full = [sys.executable, "-m", "icdcli", *words]
    # In a session of its own, it doesn't get a Ctrl-C twice. Its results aren't this command's:
    # standard output is for one JSON object.
    if log is None:
        return running.wait(subprocess.Popen(full, stdout=2, start_new_session=True))
    with log.open("ab") as file:
        return running.wait(
            subprocess.Popen(full, stdout=file, stderr=file, start_new_session=True)
        )
