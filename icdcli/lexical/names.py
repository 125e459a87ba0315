"""The names of the lexical parts and of their options, known without importing any part.

A part is a module of `icdcli.lexical.parts` and has the module's name. See
`icdcli.lexical.registry` for the contents of such a module.
"""

import pkgutil
from pathlib import Path
from typing import Literal

AssertionKey = Literal["learned", "facts", "mentions"]
"""The values of ``assertion``; see `icdcli.lexical.views`."""

_FOLDERS = [str(Path(__file__).parent / "parts")]
# The order in which parts are stored and fused; a newer part follows by its name.
_FIRST = ("ngrams", "descriptions", "evidence")


def part_names() -> tuple[str, ...]:
    """Return the names that ``lexical:`` accepts."""
    names = {module.name for module in pkgutil.iter_modules(_FOLDERS)}
    return (
        *(name for name in _FIRST if name in names),
        *sorted(name for name in names if name not in _FIRST),
    )
