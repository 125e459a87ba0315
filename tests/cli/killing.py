"""Commands killed by SIGKILL at an operation on the files of a run or after a time, then resumed.

A program of its own: it imports everything once and forks a process per command, which takes one
second instead of ten. Usage: ``python killing.py CONFIG PROJECT POINTS``. POINTS is JSON: a list of
[operation of the training, operation of the first resume], or of shares of the time of a complete
training; an operation is a number, or the name that the next rename would give. Prints JSON: the
number of operations of a complete run, its folder, and the folder of each killed run.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import peft  # noqa: F401  (imported once, before the forks)
import torch

import icdcli.cli.evaluate
import icdcli.report.views.training
import icdcli.training.loop
import icdcli.training.setup  # noqa: F401
from icdcli.cli import main
from icdcli.report.plots import run as plots

OPERATIONS = {
    "open",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "shutil.rmtree",
}


def kill_at(operation, folder):
    """Count the operations on the files of a folder, and kill the process before one of them.

    Args:
        operation: Its number, or the name that it gives a file or link by renaming; None: no kill.
        folder: The folder.
    """
    count = [0]

    def next_one():
        count[0] += 1
        if count[0] == operation:
            os.kill(os.getpid(), signal.SIGKILL)

    def heard(event, arguments):
        # Deleting a tree names its files relative to a file descriptor.
        inside = any(
            isinstance(word, str | Path) and str(word).startswith(str(folder)) for word in arguments
        )
        if event in OPERATIONS and (inside or event in ("os.remove", "os.rmdir")):
            next_one()
        named = isinstance(operation, str) and event == "os.rename"
        if named and str(arguments[1]).endswith(operation):
            os.kill(os.getpid(), signal.SIGKILL)

    flush = os.fsync

    def counted_flush(handle):
        next_one()
        flush(handle)

    os.fsync = counted_flush
    sys.addaudithook(heard)
    return count


def run(project, words, kill=None):
    """Run a command in a new process; return its exit code (-9: killed) and its operations."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        with open(project.parent / f"{project.name}.log", "a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        for picture in ("learning_curves_png", "lr_schedule_png"):
            setattr(plots, picture, lambda *_: None)  # they take longer than the training
        count = kill_at(kill if isinstance(kill, int | str) else None, project)
        if isinstance(kill, float):
            timer = threading.Timer(kill, os.kill, (os.getpid(), signal.SIGKILL))
            timer.daemon = True
            timer.start()
        sys.argv = ["icdcode", *map(str, words)]
        code = 1
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        finally:
            sys.stdout.flush()
            with os.fdopen(writing, "w") as pipe:
                json.dump([count[0], [*sys.modules]], pipe)
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        report = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    # A report can be cut off, too, if the process is killed at its very end.
    operations, modules = (0, []) if code == -signal.SIGKILL else json.loads(report)
    import_once(modules)
    return code, operations


def import_once(modules):
    """Import what a command imported, so that the next ones needn't."""
    for name in modules:
        if name not in sys.modules:
            with contextlib.suppress(ImportError):  # not all are files: some packages make modules
                importlib.import_module(name)


def killed_and_resumed(config, project, name, first, second):
    """Train, be killed, resume, be killed, resume to the end; return the run folder."""
    code, _ = run(project, ["train", config, f"project={project}", f"name={name}"], first)
    folder = project / name
    for kill in (second, None):
        if code == -signal.SIGKILL and not (folder / "weights" / "last").exists():
            # Before its first checkpoint; `resume` reports that, and one starts over.
            name += "-again"
            folder = project / name
            code, _ = run(project, ["train", config, f"project={project}", f"name={name}"], kill)
        elif code == -signal.SIGKILL:
            code, _ = run(project, ["resume", folder], kill)
    assert code == 0, (name, code, (project.parent / f"{project.name}.log").read_text())
    return folder


def everything(config, project, points):
    """Do all runs; return the data to print."""
    code, operations = run(project, ["train", config, f"project={project}", "name=complete"])
    assert code == 0, (project.parent / f"{project.name}.log").read_text()
    began = time.monotonic()
    if any(isinstance(kill, float) for pair in points for kill in pair):
        run(project, ["train", config, f"project={project}", "name=again"])  # the corpus exists now
    took = time.monotonic() - began
    folders = []
    for number, pair in enumerate(points):
        # Integers count operations, strings name one; floats are shares of the time.
        kills = [kill * took if isinstance(kill, float) else kill for kill in pair]
        folders.append(killed_and_resumed(config, project, f"killed-{number}", *kills))
    return {
        "operations": operations,
        "complete": str(project / "complete"),
        "killed": [str(folder) for folder in folders],
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(everything(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))))
