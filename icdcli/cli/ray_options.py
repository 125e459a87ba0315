"""The option of `predict` for Ray, and what it can't be combined with."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Annotated, Literal

import typer

from icdcli.errors import ConfigError

Engine = Annotated[
    Literal["ray"] | None,
    typer.Option(
        help="ray: code the notes on the Ray cluster that RAY_ADDRESS names, or else on this "
        "computer alone. Needs --output. Default: this process."
    ),
]


def require_use_of_ray(
    files: Sequence[str], output: str | None, shard: str | None, device: str | None
) -> None:
    """Check that a call can be done by Ray.

    Args:
        files: The notes.
        output: The file.
        shard: The shard.
        device: The device.

    Raises:
        ConfigError: If it can't.
    """
    from icdcli.data.notes.pipes import reads_pipe
    from icdcli.distributed.launcher import read_slurm_environment
    from icdcli.predict.on_ray.cluster import require_ray

    problem = None
    read_slurm_environment(os.environ)
    if output is None:
        problem = "writes a file. Add --output."
    elif shard is not None:
        problem = "divides the notes itself. Leave --shard out."
    elif any(map(reads_pipe, files)):
        problem = "reads the notes in another process, which can't read a pipe. Give files."
    elif device not in (None, "cpu", "0"):
        problem = (
            f"--device {device} isn't possible, because Ray gives each worker a GPU of its own. "
            "Pass 0 for workers with a GPU or cpu for workers without, or leave it out."
        )
    elif int(os.environ.get("WORLD_SIZE", "1")) > 1:
        problem = "starts all processes. Run the command once, without torchrun and srun."
    if problem is not None:
        raise ConfigError(f"--engine ray: {problem}")
    require_ray()


@contextmanager
def kept_from_ray(engine: Engine) -> Iterator[None]:
    """Keep standard output for results: Ray prints there which workers it has lost.

    Args:
        engine: The option; without it, nothing changes.
    """
    if engine is None:
        yield
    else:
        with redirect_stdout(sys.stderr):
            yield
