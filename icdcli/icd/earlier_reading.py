"""Reading a cell of codes as version 0.1.0 did, to recognize corpora that are still correct."""

import ast
import json
import re
from typing import Any

from icdcli.icd.codes import KINDS, System, dotted, kind_of
from icdcli.icd.titles import titles


def earlier_cell(value: Any) -> list[str] | None:
    """Return the codes of one cell as version 0.1.0 read them; None if it refused the cell."""
    if value is None:
        return []
    if isinstance(value, str) and not value.strip().startswith("["):
        return [code for code in re.split(r"[;,\s]+", value) if code]
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            try:
                value = ast.literal_eval(value.strip())
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return None
    if not isinstance(value, list) or not all(isinstance(code, str) for code in value):
        return None
    return [code for code in value if code.strip()]


def earlier_code(raw: str, system: System | None) -> tuple[str, str] | None:
    """Return a code and its kind as version 0.1.0 read them; None if it refused the code."""
    if system is None:
        return raw.strip(), "diagnosis"
    try:
        kind: str = kind_of(raw, system)
        if "." not in raw:
            known = [kind for kind in KINDS if dotted(raw, kind, system) in titles(system, kind)]
            kind = known[0] if len(known) == 1 else kind
        return dotted(raw, kind, system), kind
    except ValueError:
        return None
