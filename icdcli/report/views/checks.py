"""The findings of checks of sets of codes on the terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from icdcli.icd.editions.edition import About
from icdcli.icd.rules.findings import Finding
from icdcli.report.formatting import one_line, plain

_SHOWN = 20
_LONGEST = 300


def findings_view(found: Mapping[str, Sequence[Finding]], edition: About) -> RenderableType:
    """Render the findings: how many of each kind, and the first ones in words.

    Args:
        found: The id of each encounter to its findings.
        edition: The edition of the codes.
    """
    findings = [(identifier, one) for identifier, own in found.items() for one in own]
    with_any = sum(1 for own in found.values() if own)
    heading = plain(
        f"{len(found):,} sets of codes, {edition.title}: {len(findings):,} findings in "
        f"{with_any:,} sets",
        "bold",
    )
    if not findings:
        return heading
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("finding", "severity"):
        table.add_column(name, no_wrap=True)
    for name in ("findings", "sets"):
        table.add_column(name, justify="right", no_wrap=True)
    kinds = Counter((one.severity, one.kind) for _, one in findings)
    for severity, kind in sorted(kinds):
        sets = {
            identifier
            for identifier, one in findings
            if (one.severity, one.kind) == (severity, kind)
        }
        table.add_row(kind, severity, f"{kinds[severity, kind]:,}", f"{len(sets):,}")
    hard_first = sorted(findings, key=lambda pair: pair[1].severity)
    parts: list[RenderableType] = [heading, table]
    for identifier, one in hard_first[:_SHOWN]:
        words = one_line(one.words)
        cut = words if len(words) <= _LONGEST else f"{words[:_LONGEST]} …"
        parts += [Text(), plain(f"{identifier}: {one.kind} ({one.severity})", "bold")]
        parts += [plain(f"  {cut}"), plain(f"  {one_line(one.advice)}")]
    if len(findings) > _SHOWN:
        parts += [Text(), plain(f"… and {len(findings) - _SHOWN:,} more (--json has all)")]
    return Group(*parts)
