"""The rows of `gpu.sh`: each a command with a limit of its own, the most important first.

A row that fails or takes too long doesn't stop the others, and the tables are written anew after
each row, so that an interrupted call leaves what it has measured.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gpu_tables import tables

SECONDS = 530
"""All rows together, if the command line says nothing else."""
LIMIT = 1.8
"""A row may take this many times as long as expected."""


@dataclass(frozen=True)
class Row:
    """A measurement.

    Attributes:
        name: Its name, and that of its files.
        script: The benchmark that measures it.
        size: The shape of the network.
        options: The options of the script, beyond those that all rows of the script have.
        seconds: How long it takes on an H100, about.
    """

    name: str
    script: str
    size: str
    options: str
    seconds: int

    def command(self, out: Path, tiny: bool) -> list[str]:
        """Return the command.

        Args:
            out: The folder of the figures.
            tiny: Whether a tiny network on a CPU stands for the real one.
        """
        common = (_TINY if tiny else _REAL)[self.script]
        return [
            sys.executable,
            f"benchmarks/{self.script}.py",
            "--size",
            "tiny" if tiny else self.size,
            *common.split(),
            *self.options.split(),
            "--json",
            str(out / f"{self.name}.json"),
        ]


_REAL = {
    "train": "--lengths mimic --documents 160 --batch-size 8 --steps 8 --log-every 4",
    "predict": "--lengths mimic --notes 64",
}
_TINY = {
    "train": "--lengths mimic --max-len 48 --documents 8 --batch-size 2 --steps 4 --log-every 2",
    "predict": "--lengths mimic --max-len 64 --notes 12",
}

ROWS = (
    Row("train-8b-16", "train", "8b", "--only a --bit 16 --profile", 90),
    Row("train-8b-liger", "train", "8b", "--only e --bit 16", 95),
    Row("train-8b-8", "train", "8b", "--only a --bit 8 --profile", 100),
    Row("train-8b-4", "train", "8b", "--only a --bit 4 --profile", 100),
    Row("predict-8b", "predict", "8b", "--bit 16 --profile", 95),
    Row(
        "train-1b-label-attention",
        "train",
        "1b",
        "--only a --bit 16 --head label_attention --labels 8929 --profile",
        60,
    ),
    Row("train-8b-grouped", "train", "8b", "--only d --bit 16", 95),
    # A 1B model codes 64 notes in a second: too short, with the GPU idle for a fifth of it.
    Row("predict-1b", "predict", "1b", "--bit 16 --profile --notes 256", 55),
    Row("train-1b-16", "train", "1b", "--only a --bit 16 --profile", 50),
    Row("train-8b-padded", "train", "8b", "--only b --bit 16", 95),
)


def read_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the command line with its defaults.

    Args:
        arguments: The arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(
        prog="gpu.sh", description="Measure training and prediction on one GPU."
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder of figures and tables")
    parser.add_argument(
        "--only",
        type=lambda names: names.split(","),
        default=[row.name for row in ROWS],
        metavar="A,B",
        help=f"only these rows of {', '.join(row.name for row in ROWS)}",
    )
    parser.add_argument(
        "--seconds",
        type=int,
        default=SECONDS,
        metavar="N",
        help=f"a row that would take longer than is left of N seconds is left out; {SECONDS}",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the commands")
    parser.add_argument("--tiny", action="store_true", help="tiny networks on a CPU")
    options = parser.parse_args(arguments)
    names = [row.name for row in ROWS]
    if unknown := [name for name in options.only if name not in names]:
        parser.error(f"--only: {', '.join(unknown)}: unknown; choose from {', '.join(names)}")
    if options.seconds < 1:
        parser.error("--seconds: should be at least 1")
    return options


def run(row: Row, options: argparse.Namespace, ends: float) -> str:
    """Measure a row, unless too little time is left; its output is in a file.

    Returns:
        What became of it.
    """
    left = ends - time.monotonic()
    if left < row.seconds and not options.tiny:
        return f"left out: {left:.0f} s are left, and it takes about {row.seconds} s"
    limit = min(row.seconds * LIMIT, left)
    began = time.monotonic()
    with (options.out / f"{row.name}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            row.command(options.out, options.tiny),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(limit)
        except BaseException as error:  # an interrupt must end the row, too
            os.killpg(process.pid, signal.SIGKILL)  # with the processes that it started
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return f"stopped after {limit:.0f} s; see {row.name}.log"
    took = f"{time.monotonic() - began:.0f} s"
    return took if code == 0 else f"exit code {code} after {took}; see {row.name}.log"


def main() -> int:
    """Measure the rows and write the tables."""
    options = read_arguments()
    rows = [row for row in ROWS if row.name in options.only]
    if options.dry_run:
        for row in rows:
            print(f"# {row.name}: about {row.seconds} s")
            print(shlex.join(row.command(options.out, options.tiny)))
        print(f"# all: about {sum(row.seconds for row in rows)} s of {options.seconds} s")
        return 0
    if not options.tiny:
        print(f"{len(rows)} rows, about {sum(row.seconds for row in rows)} s", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    for row in rows:
        (options.out / f"{row.name}.json").unlink(missing_ok=True)  # of an earlier call
    ends = time.monotonic() + options.seconds
    failed = False
    # On a GPU one row at a time; tiny networks mostly wait for imports.
    with ThreadPoolExecutor(2 if options.tiny else 1) as pool:
        for row, became in zip(
            rows, pool.map(lambda row: run(row, options, ends), rows), strict=True
        ):
            failed |= not became.endswith(" s")
            print(f"{row.name}: {became}", flush=True)
            (options.out / "tables.md").write_text(tables(options.out), encoding="utf-8")
    print("\n" + tables(options.out))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
