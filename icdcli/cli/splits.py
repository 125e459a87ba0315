"""``icdcode splits``: the published split lists of the benchmark protocols."""

from pathlib import Path
from typing import Annotated

import typer

from icdcli.cli.common import Json, showing
from icdcli.cli.completion import complete_protocol
from icdcli.report.console import Output

app = typer.Typer(
    help="See and fetch the published split lists. Benchmark protocols such as mimic3-full need them.",
    no_args_is_help=True,
)


@app.command("fetch")
def fetch(
    protocols: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PROTOCOL", help="Whose lists. Default: all.", autocompletion=complete_protocol
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Another folder, for splits_path.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A mirror's scheme and host, instead of the public."),
    ] = None,
    json: Json = False,
) -> None:
    """Download published split lists and check them. What is there and right isn't downloaded again.

    Example: icdcode splits fetch mimic3-full mimic3-50
    """
    from icdcli.data.benchmarks.download import fetch_split_lists
    from icdcli.data.benchmarks.split_lists import PUBLISHED, splits_home

    output = Output(json)
    folder = splits_home() if to is None else to
    with showing(output) as on_progress:
        files = fetch_split_lists(protocols or list(PUBLISHED), folder, address, on_progress)
    output.say(
        f"{'Downloaded: ' + ', '.join(file.name for file in files) if files else 'All there already'}; folder: {folder}"
    )
    if to is not None:
        output.say(f"To use these lists: splits_path={to}")
    output.result({"folder": folder, "downloaded": files})


@app.command("list")
def list_(json: Json = False) -> None:
    """Show which published split lists are here and right. Their public addresses follow.

    Example: icdcode splits list
    """
    from rich import box
    from rich.table import Table

    from icdcli.data.benchmarks.split_lists import PUBLISHED, sha256_of, splits_home

    output, folder = Output(json), splits_home()
    table = Table(
        "protocol", "file", "there", "sha256", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False
    )
    rows = []
    for protocol, (lists, *_) in PUBLISHED.items():
        for file in lists.files:
            found = sha256_of(folder / file.name)
            there, right = found is not None, found == file.sha256
            table.add_row(
                protocol,
                file.name,
                "yes" if there else "no",
                ("right" if right else "wrong") if there else "",
            )
            state = {"there": there, "right": right, "sha256": file.sha256, "address": file.address}
            rows.append({"protocol": protocol, "file": file.name, "source": lists.source, **state})
    output.say(f"Split lists in {folder}\n")
    output.show(table)
    output.say("\n" + "\n".join(dict.fromkeys(str(row["address"]) for row in rows)))
    output.result({"folder": folder, "files": rows})
