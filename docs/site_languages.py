"""A hook of mkdocs (see mkdocs.yml): each page leads to the same page in the other language."""

from typing import Any

_KOREAN = "ko/"


def on_page_context(context: dict[str, Any], page: Any, config: Any, nav: Any) -> dict[str, Any]:
    """Set the links of the switch in the header.

    A page that exists in one language only leads to the other language's first page.

    Args:
        context: What the template of the page reads.
        page: The page.
        config: The configuration of the site.
        nav: The navigation, with all pages.
    """
    existing = {each.url for each in nav.pages}
    name = page.url.removeprefix(_KOREAN)
    for language in config["extra"]["alternate"]:
        folder = _KOREAN if language["lang"] == "ko" else ""
        found = folder + name in existing
        language["link"] = folder + (name if found else "index.html")
    return context
