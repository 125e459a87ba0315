"""The results of behavioral tests as one self-contained HTML page, without any script."""

from html import escape
from importlib.resources import files
from string import Template

from icdcli.evaluation.behavior.run import BehaviorReport
from icdcli.report.views.behavior import behavior_html

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<h1>$title</h1>
$behavior
</body>
</html>
""")


def behavior_page(report: BehaviorReport, run: str) -> str:
    """Return the page as HTML.

    Args:
        report: The results.
        run: The name of the run, for the title.
    """
    return _PAGE.substitute(
        title=escape(f"Behavior of {run}"),
        style=files("icdcli.report").joinpath("page.css").read_text(encoding="utf-8"),
        behavior=behavior_html(report),
    )
