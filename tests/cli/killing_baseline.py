"""The training of a TF-IDF model, killed by SIGKILL at an operation on the files of its run.

A program of its own, like `killing.py`. Usage: ``python killing_baseline.py CONFIG PROJECT FIRST
EVERY``. It is killed at one operation of EVERY from FIRST on. Prints JSON: the number of operations
of a complete run, and the folder of each killed run.
"""

import json
import signal
import sys
from pathlib import Path

from killing import run

import icdcli.lexical.tfidf  # noqa: F401  (imported once, before the forks)


def everything(config, project, first, every):
    """Do all runs; return the data to print."""
    for name in ("first", "complete"):  # the first prepares the data
        code, made = run(project, ["train", config, f"project={project}", f"name={name}"])
        assert code == 0, (project.parent / f"{project.name}.log").read_text()
    killed = []
    for operation in range(first, made + 1, every):
        name = f"killed-{operation}"
        code, _ = run(project, ["train", config, f"project={project}", f"name={name}"], operation)
        assert code == -signal.SIGKILL, (operation, code)
        killed.append(str(project / name))
    return {"operations": made, "killed": killed}


if __name__ == "__main__":
    print(json.dumps(everything(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))))
