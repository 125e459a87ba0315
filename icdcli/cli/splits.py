"""``icdcode splits``: the published split lists of the benchmark protocols."""

from pathlib import Path
from typing import Annotated

import typer

from icdcli.cli.command_groups import Commands
from icdcli.cli.common import Json
from icdcli.cli.completion import complete_protocol
from icdcli.report.console import Output

app = typer.Typer(
    cls=Commands,
    help="List and download the published split lists.\n\n"
    "Benchmark protocols such as mimic3-full need them.",
    no_args_is_help=True,
)


@app.command("fetch")
def fetch(
    protocols: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PROTOCOL",
            help="Protocols to download the lists of. Default: all.",
            autocompletion=complete_protocol,
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the lists, to be used as splits_path."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Scheme and host of a mirror to download from."),
    ] = None,
    json: Json = False,
) -> None:
    """Download the published split lists and check them.

    Lists that are present and correct aren't downloaded again.

    Example: icdcode splits fetch mimic3-full mimic3-50
    """
    from icdcli.data.benchmarks.download import fetch_split_lists
    from icdcli.data.benchmarks.split_lists import PUBLISHED, splits_home

    output = Output(json)
    folder = splits_home() if to is None else to
    with output.stages() as on_progress:
        files = fetch_split_lists(protocols or list(PUBLISHED), folder, address, on_progress)
    done = f"Downloaded: {', '.join(file.name for file in files)}" if files else "All are present"
    output.say(f"{done}; folder: {folder}")
    if to is not None:
        output.say(f"To use these lists: splits_path={to}")
    output.result({"folder": folder, "downloaded": files})


@app.command("list")
def list_(json: Json = False) -> None:
    """Show which published split lists are present and correct.

    Also prints the addresses that they can be downloaded from.

    Example: icdcode splits list
    """
    from rich import box
    from rich.table import Table

    from icdcli.data.benchmarks.split_lists import PUBLISHED, sha256_of, splits_home

    output, folder = Output(json), splits_home()
    table = Table(
        "protocol",
        "file",
        "present",
        "sha256",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    rows = []
    for protocol, (lists, *_) in PUBLISHED.items():
        for file in lists.files:
            found = sha256_of(folder / file.name)
            present, correct = found is not None, found == file.sha256
            table.add_row(
                protocol,
                file.name,
                "yes" if present else "no",
                ("correct" if correct else "wrong") if present else "",
            )
            state = {
                "there": present,
                "right": correct,
                "sha256": file.sha256,
                "address": file.address,
            }
            rows.append({"protocol": protocol, "file": file.name, "source": lists.source, **state})
    output.say(f"Split lists in {folder}\n")
    output.show(table)
    output.say("\n" + "\n".join(dict.fromkeys(str(row["address"]) for row in rows)))
    output.result({"folder": folder, "files": rows})
