"""The text cleaning of two papers, for comparing with them. Language models do better on the raw text."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType


def caml(text: str) -> str:
    r"""Clean as CAML does (Mullenbach et al. 2018): tokens ``\w+``, those that are numbers left out, lower case."""
    return " ".join(token.lower() for token in re.findall(r"\w+", text) if not token.isnumeric())


def edin(text: str) -> str:
    """Clean as Edin et al. (2023) do: lower case, letters a-z and digits only, lone numbers left out."""
    return " ".join(token for token in re.findall(r"[a-z0-9]+", text.lower()) if not token.isdigit())


CLEANERS: Mapping[str, Callable[[str], str]] = MappingProxyType({"none": str, "caml": caml, "edin": edin})
"""``text_cleaning:`` to what it does to a text."""
