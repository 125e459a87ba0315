"""``icdcode bundle``: everything to install icdcode and a model on a machine without a network."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from icdcli.cli.common import Json, Load, import_visibly
from icdcli.cli.completion import complete_run
from icdcli.errors import ConfigError
from icdcli.report.console import Output


def bundle(
    run_dir: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN_DIR",
            help="The folder of a run or of a checkpoint.",
            autocompletion=complete_run,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Argument(metavar="OUT", help="The folder to write; it must not exist."),
    ] = None,
    load: Load = "metric",
    extra: Annotated[
        list[str] | None,
        typer.Option(help="Extra of icdcode to include, such as serve. Can be repeated."),
    ] = None,
    platform: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Another platform, such as manylinux_2_28_x86_64: pip downloads its wheels. "
            "Default: this one, with the packages that are installed here.",
        ),
    ] = None,
    python: Annotated[
        str | None, typer.Option(metavar="VERSION", help="With --platform: its Python.")
    ] = None,
    own_wheel_only: Annotated[
        bool,
        typer.Option(
            "--own-wheel-only",
            help="Leave out the wheels of the dependencies, which the other machine has.",
        ),
    ] = False,
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="BUNDLE", help="Check a bundle instead: its files, and the codes of one note."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Write a folder that installs icdcode and a model on a machine without a network.

    It has wheels, the model, imported editions, checksums and install.py, which needs only Python
    and ends with the bundle's own check.

    Example: icdcode bundle outputs/laptop/laptop icdcode-bundle --extra serve
    """
    output = Output(json)
    if check is not None:
        if run_dir is not None:
            raise ConfigError("--check: takes a bundle only. Leave out RUN_DIR and OUT.")
        _check(check, output)
        return
    if run_dir is None or out is None:
        raise ConfigError("RUN_DIR and OUT are needed: the model, and the folder to write.")
    if (platform is None) != (python is None):
        raise ConfigError("--platform and --python: give both, or none for this machine.")
    import_visibly("icdcli.bundling.bundle", output)
    from icdcli.bundling.bundle import BundleTarget, make_bundle

    target = None if platform is None or python is None else BundleTarget(platform, python)
    with output.stages() as on_progress:
        made = make_bundle(
            *(run_dir, out),
            load=load,
            extras=extra or (),
            target=target,
            own_wheel_only=own_wheel_only,
            on_progress=on_progress,
        )
    size = f"{made.bytes / 1e6:,.1f} MB"
    output.say(f"Written: {out}, {made.wheels} wheels, {len(made.editions)} editions, {size}")
    output.say(f"There: python3 install.py (see {out / 'README.md'})")
    output.result(asdict(made))


def _check(folder: Path, output: Output) -> None:
    from icdcli.bundling.bundle import check_bundle

    files = check_bundle(folder)
    output.say(f"{folder}: {files} files have their checksums, and the model gives its scores.")
    output.result({"folder": folder, "files": files, "passed": True})
