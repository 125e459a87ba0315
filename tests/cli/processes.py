"""Trainings of several processes, one of which dies or gets a signal; the others must end too.

A program of its own: it imports everything once and forks the processes as ``srun`` starts them,
without a launcher that would end the others. Usage: ``python processes.py CONFIG PROJECT CASES``.
CASES is JSON: a list of [processes, rank, place, way, *words], see `PLACES` and `end`; the command
gets the words. Prints JSON: for each case the exit codes of the processes, their standard error,
and the number of batches of validations and steps that were computed after the moment.
"""

import json
import multiprocessing
import os
import signal
import socket
import sys
import time
from pathlib import Path

import peft  # noqa: F401  (imported once, before the forks)
import torch

import icdcli.model.inference.scoring as scoring
import icdcli.report.views.training
import icdcli.training.checkpointing as checkpoint
import icdcli.training.micro_batches as micro_batches
import icdcli.training.setup
from icdcli.cli import main
from icdcli.errors import DataError
from icdcli.report.plots import run as plots

# The moments: a function, and the number of its call.
PLACES = {
    "setup": (icdcli.training.setup, "find_corpus", 1),
    "step": (micro_batches, "micro_batch_losses", 3),
    "validation": (scoring, "document_losses", 2),
    "checkpoint": (checkpoint, "write_manifest", 1),
}
AT_MOST = 60  # seconds within which all must end


def end(way):
    if way == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if way == "exit":
        os._exit(7)
    if way == "defect":
        raise RuntimeError("a defect of ours")
    if way == "error":
        raise DataError("notes.csv: can't be read. Restore the file.")
    os.kill(os.getpid(), signal.Signals[way])


def at_the_moment(place, way, passed):
    """End this process at a moment, or send it a signal."""
    module, name, number = PLACES[place]
    function, calls = getattr(module, name), [0]

    def called(*words, **options):
        calls[0] += 1
        if calls[0] == number:
            passed.value = 1
            end(way)
        return function(*words, **options)

    setattr(module, name, called)


def count(module, name, passed, counted):
    function = getattr(module, name)

    def called(*words, **options):
        if passed.value:
            with counted.get_lock():
                counted.value += 1
        return function(*words, **options)

    setattr(module, name, called)


def free_port():
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


def start(number, environment, words, case, log, passed, counted):
    """Start one of the processes; return its process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.environ.update(environment, RANK=str(number), LOCAL_RANK=str(number))
        with open(log, "w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        for picture in ("learning_curves_png", "lr_schedule_png"):
            setattr(plots, picture, lambda *_: None)  # they take longer than the training
        count(micro_batches, "micro_batch_losses", passed, counted["steps"])
        count(scoring, "document_losses", passed, counted["batches"])
        if number == case[1]:
            at_the_moment(*case[2:4], passed)
        sys.argv = ["icdcode", *words]
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run(config, project, name, case):
    environment = {
        "WORLD_SIZE": str(case[0]),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }
    words = ["train", str(config), f"project={project}", f"name={name}", *case[4:]]
    passed = multiprocessing.Value("i", 0)
    counted = {what: multiprocessing.Value("i", 0) for what in ("steps", "batches")}
    logs = [project.parent / f"{project.name}-{name}-{number}.log" for number in range(case[0])]
    children = [
        start(number, environment, words, case, log, passed, counted)
        for number, log in enumerate(logs)
    ]
    codes: list[int | None] = [None] * len(children)
    deadline = time.monotonic() + AT_MOST
    while None in codes and time.monotonic() < deadline:
        for number, child in enumerate(children):
            if codes[number] is None and (ended := os.waitpid(child, os.WNOHANG))[0]:
                codes[number] = os.waitstatus_to_exitcode(ended[1])
        time.sleep(0.02)
    for number, child in enumerate(children):
        if codes[number] is None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    stderr = [log.read_text() for log in logs]
    return {
        "codes": codes,
        "stderr": stderr,
        **{what: counter.value for what, counter in counted.items()},
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    where = Path(sys.argv[2])
    print(
        json.dumps(
            [
                run(sys.argv[1], where, f"case-{i}", case)
                for i, case in enumerate(json.loads(sys.argv[3]))
            ]
        )
    )
