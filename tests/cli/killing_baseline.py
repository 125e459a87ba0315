"""A baseline's training, ended by SIGKILL at some operation on its run's files.

A program of its own, as `killing.py` is. Usage: ``python killing_baseline.py CONFIG PROJECT FIRST``; killed at each operation
from the FIRST on. Prints JSON: how many operations a whole run makes, and the folder of each killed run.
"""

import json
import signal
import sys
from pathlib import Path

from killing import run

import icdcli.lexical.tfidf  # noqa: F401  (here, so that no process after the fork takes the time)


def everything(config, project, first):
    """All runs; what to print."""
    for name in ("first", "whole"):  # the first prepares the data
        code, made = run(project, ["train", config, f"project={project}", f"name={name}"])
        assert code == 0, (project.parent / f"{project.name}.log").read_text()
    killed = []
    for operation in range(first, made + 1):
        name = f"killed-{operation}"
        code, _ = run(project, ["train", config, f"project={project}", f"name={name}"], operation)
        assert code == -signal.SIGKILL, (operation, code)
        killed.append(str(project / name))
    return {"operations": made, "killed": killed}


if __name__ == "__main__":
    print(json.dumps(everything(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
