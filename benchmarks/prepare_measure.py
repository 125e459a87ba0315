"""One measurement of `prepare.py` in a new process, so that it has its own peak memory and imports.

python benchmarks/prepare_measure.py SIDE TABLES WORK      called by `measured`; prints one line of
JSON
"""

import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from prepare_sides import SIDES

Measured = dict[str, Any]


def measured(task: str, *places: Path) -> Measured:
    """Run a task in a new process.

    The caller must stay small, because on Linux a process starts with the peak memory of its
    parent.

    Args:
        task: A side, or a task of `prepare_tokens`.
        places: The arguments of the task.

    Returns:
        Seconds, peak memory and a summary of the documents.
    """
    # Modules are compiled once, as those of the other sides were when pip installed them.
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    done = subprocess.run(
        [sys.executable, __file__, task, *map(str, places)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    if done.returncode:
        raise SystemExit(f"{task}: ended with {done.returncode}; see its output above")
    result: Measured = json.loads(done.stdout.splitlines()[-1])
    return result


def warm(folder: Path) -> None:
    """Read a folder's files into the page cache, and flush earlier writes, for equal conditions."""
    os.sync()
    buffer = bytearray(1 << 20)
    for path in folder.iterdir():
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def machine() -> dict[str, str]:
    """Return a description of the machine, without its name."""
    processor = platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
            processor,
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    about = {
        "processor": processor,
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GB",
        "system": platform.system(),
    }
    about["python"] = platform.python_version()
    for name in ("pandas", "polars", "duckdb", "pyarrow", "isal", "tokenizers"):
        try:
            about[name] = version(name)
        except PackageNotFoundError:
            about[name] = "not installed"
    return about


def _side(name: str, tables: Path, work: Path) -> Measured:
    start, processor = time.perf_counter(), time.process_time()
    file = SIDES[name](tables, work)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - processor
    peak = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024)
        / 1e6
    )
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_mb": peak,
        "made": _contents(file),
    }


def _contents(file: Path) -> dict[str, int]:
    """Return counts and a digest that are the same for the same documents in any order."""
    from pyarrow import parquet

    made = {"documents": 0, "text_bytes": 0, "codes": 0, "digest": 0}
    for batch in parquet.ParquetFile(file).iter_batches(500, columns=["id", "text", "codes"]):
        for row in batch.to_pylist():
            made["documents"] += 1
            made["text_bytes"] += len(row["text"].encode())
            made["codes"] += len(row["codes"])
            content = json.dumps([row["id"], row["text"], sorted(row["codes"])])
            made["digest"] ^= int.from_bytes(hashlib.sha256(content.encode()).digest()[:6])
    return made


def _main(task: str, *places: Path) -> Measured:
    if task in SIDES:
        return _side(task, *places)
    from prepare_tokens import TASKS

    return TASKS[task](*places)


if __name__ == "__main__":
    print(json.dumps(_main(sys.argv[1], *map(Path, sys.argv[2:]))))
