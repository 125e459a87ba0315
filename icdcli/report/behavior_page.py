"""The results of behavioral tests as one self-contained HTML page, without any script."""

from icdcli.evaluation.behavior.run import BehaviorReport
from icdcli.report.page import html_page
from icdcli.report.views.behavior import behavior_html


def behavior_page(report: BehaviorReport, run: str) -> str:
    """Return the page as HTML.

    Args:
        report: The results.
        run: The name of the run, for the title.
    """
    return html_page(f"Behavior of {run}", "", behavior_html(report))
