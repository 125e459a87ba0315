"""Runs of icdcode's own commands, for the benchmarks that train models."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIGS = Path(__file__).parents[1] / "configs"


@dataclass(frozen=True)
class TrainedRun:
    """A finished run.

    Attributes:
        run: Its folder.
        seconds: How long `icdcode train` took.
    """

    run: str
    seconds: float


def icdcode(*arguments: str) -> dict[str, Any]:
    """Run an icdcode command and return its JSON output."""
    found = subprocess.run(
        [sys.executable, "-m", "icdcli", *arguments, "--json"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    result: dict[str, Any] = json.loads(found.stdout)
    return result


def trained_run(name: str, config: str, changes: list[str], data: Path, out: Path) -> TrainedRun:
    """Train a run, unless one of this name is finished.

    Args:
        name: The name of the run.
        config: The shipped configuration.
        changes: Its overrides.
        data: The folder of the raw data.
        out: The folder of the runs; what is prepared is shared below it.
    """
    done = out / f"{name}.json"
    if not done.is_file():
        places = [
            f"data_path={data}",
            f"project={out}",
            f"name={name}",
            f"cache_dir={out / 'cache'}",
            "prediction_print_n=0",
        ]
        began = time.perf_counter()
        run = icdcode("train", str(CONFIGS / config), *places, *changes)["run"]
        about = {"run": run, "seconds": time.perf_counter() - began}
        done.write_text(json.dumps(about), encoding="utf-8")
    return TrainedRun(**json.loads(done.read_text(encoding="utf-8")))
