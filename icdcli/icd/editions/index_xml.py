"""Reads NCHS's alphabetic index of ICD-10-CM, an XML file: terms, each with its code.

    <mainTerm><title>Failure, failed</title><term level="1"><title>heart</title><code>I50.9</code>…

A term below another one continues it: "failure, failed, heart, congestive".
"""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import IO

from icdcli.icd.editions.xml_root import xml_root

_CODE = re.compile(r"[A-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{1,4})?")


def read_index_xml(file: IO[bytes], name: str) -> Iterator[tuple[str, str]]:
    """Yield each term of the index with its code; terms that only refer to others are left out.

    Args:
        file: The XML file.
        name: Its name, for messages.

    Raises:
        DataError: If it isn't an index of ICD-10-CM, or is cut short.
    """
    for main in xml_root(file, name, "ICD10CM.index").iter("mainTerm"):
        yield from _terms(main, ())


def _terms(term: ElementTree.Element, above: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    title = term.find("title")
    words = " ".join("".join(title.itertext()).split()) if title is not None else ""
    path = (*above, words)
    code = (term.findtext("code") or "").strip().rstrip("-").rstrip(".")
    if _CODE.fullmatch(code):
        yield code, ", ".join(filter(None, path))
    for below in term.findall("term"):
        yield from _terms(below, path)
