"""``icdcode review``: what reviewers decide, and what models learn from it."""

import typer

from icdcli.cli import review_simulate

app = typer.Typer(
    help="Learn from what reviewers decide.",
    no_args_is_help=True,
)
app.command("simulate")(review_simulate.simulate)
