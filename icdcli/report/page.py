"""What all of icdcode's HTML pages share: the head, the style, and the table of codes.

A page is one file. Its content security policy forbids loading anything.
"""

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; $policy">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<header>
<h1>$title</h1>$subtitle
</header>
<main>
$body</main>
$scripts</body>
</html>
""")
# A page shows three digits. Rounded to few more, .49949 would become .4995 and be shown as .500.
_DIGITS = 9
_STYLE, _SCRIPT = "style-src 'unsafe-inline'", "script-src 'unsafe-inline'"


def html_page(
    title: str,
    subtitle: str,
    body: str,
    data: Mapping[str, object] | None = None,
    scripts: Sequence[str] = (),
) -> str:
    """Return a complete page.

    Args:
        title: Its title, as text.
        subtitle: The line below the title, as text; empty: none.
        body: The rest of the page, as HTML.
        data: Id to values that the scripts read from the page.
        scripts: The names of the scripts in this folder, in their order. Without one, the policy
            forbids all scripts.
    """
    elements = [
        f'<script id="{name}" type="application/json">{_json(values)}</script>\n'
        for name, values in (data or {}).items()
    ]
    if scripts:
        elements.append(f"<script>\n{''.join(map(asset, scripts))}</script>\n")
    return _PAGE.substitute(
        policy=f"{_STYLE}; {_SCRIPT}" if scripts else _STYLE,
        title=escape(title),
        style=asset("page.css"),
        subtitle=f'\n<p class="quiet">{escape(subtitle)}</p>' if subtitle else "",
        body=body,
        scripts="".join(elements),
    )


def asset(name: str) -> str:
    """Return the content of a file of this folder: a template, a style or a script."""
    return files("icdcli.report").joinpath(name).read_text(encoding="utf-8")


def section_links(sections: Mapping[str, str]) -> str:
    """Return the navigation of a page: id of a heading to its words."""
    links = "".join(f'<a href="#{id}">{escape(name)}</a>' for id, name in sections.items())
    return f'<nav aria-label="Sections">{links}</nav>'


def code_table_html(elsewhere: str) -> str:
    """Return the section that ``code_table.js`` fills from the data ``data``.

    Args:
        elsewhere: Where a reader without JavaScript finds the values, as HTML.
    """
    return Template(asset("code_table.html")).substitute(elsewhere=elsewhere)


def code_table_data(
    rows: Sequence[Sequence[Any]],
    formats: Mapping[str, str],
    chapters: Sequence[str] = (),
    hidden: Sequence[str] = (),
) -> dict[str, object]:
    """Return the values of a table of codes.

    Args:
        rows: The values of each code, by column; None: undefined.
        formats: Column to its format: ``text``, ``count``, ``share`` or ``difference``. ``code``,
            ``title``, ``gold`` and ``chapter`` (a place in `chapters`) are among them.
        chapters: The names of the chapters.
        hidden: The columns that only the downloaded file has.
    """

    def value(given: Any) -> Any:
        return round(given, _DIGITS) if isinstance(given, float) else given

    return {
        "columns": [*formats],
        "formats": dict(formats),
        "rows": [[*map(value, row)] for row in rows],
        "chapters": [*chapters],
        "hidden": [*hidden],
    }


def _json(values: object) -> str:
    """Return values as JSON for a script element."""
    # A title with "</script>" in it must not end the element.
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")
