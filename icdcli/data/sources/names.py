"""The names of the data sources, known without importing any of them.

A source is a module of this folder and has the module's name: ``dataset: mimic3`` is read by
``mimic3.py``. See `icdcli.data.sources.registry` for what such a module registers.
"""

import pkgutil
from pathlib import Path

_FOLDERS = [str(Path(__file__).parent)]
_HELPERS = frozenset(
    (
        *("admission", "admission_join", "admission_notes", "caml_codes", "lost_zeros"),
        *("exchange", "long_format", "names", "registry", "tables", "translations"),
    )
)
# Messages and the configuration list the sources in this order; a newer one follows by its name.
_FIRST = ("mimic3", "mimic4", "codiesp", "fhir", "hl7", "meds", "omop", "table", "mdace")


def source_names() -> tuple[str, ...]:
    """Return the names that ``dataset:`` may have."""
    found = {module.name for module in pkgutil.iter_modules(_FOLDERS)}
    names = found - _HELPERS
    return (
        *(name for name in _FIRST if name in names),
        *sorted(name for name in names if name not in _FIRST),
    )
