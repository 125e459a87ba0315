"""Opens the XML files of coding systems, with one message about those that are cut short."""

import xml.etree.ElementTree as ElementTree
from typing import IO

from icdcli.errors import DataError


def xml_root(file: IO[bytes], name: str, tag: str) -> ElementTree.Element:
    """Return the root of an XML file.

    Args:
        file: The file.
        name: Its name, for messages.
        tag: The tag that its root must have.

    Raises:
        DataError: If it is damaged or cut short, or begins with another tag.
    """
    try:
        root = ElementTree.parse(file).getroot()
    except ElementTree.ParseError as error:
        raise DataError(
            f"{name}: the XML is damaged or cut short ({error}). Get the file again."
        ) from error
    if root.tag != tag:
        raise DataError(f"{name}: expected <{tag}>, but the file begins with <{root.tag}>.")
    return root
