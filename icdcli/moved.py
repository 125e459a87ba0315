"""The old import paths of public names, which work for one version more.

``docs/python.md`` of version 0.1.0 documented these paths. Using one warns and names the new path.
Remove in version 0.3.0: this module, the line in ``icdcli/__init__.py`` that calls it, and the
``__getattr__`` of `icdcli.data.corpus`.
"""

import importlib
import sys
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

MOVED = {
    "icdcli.data.corpus": {
        "Corpus": "icdcli.data.corpus.reader.Corpus",
        "Documents": "icdcli.data.corpus.reader.Documents",
        "Labels": "icdcli.data.corpus.reader.Labels",
        "open_corpus": "icdcli.open_corpus",
    },
    "icdcli.data.prepare": {
        "PreparedCorpus": "icdcli.data.corpus.prepare.PreparedCorpus",
        "prepare": "icdcli.prepare",
    },
    "icdcli.evaluation.evidence": {
        "Evidence": "icdcli.explain.evidence.CodeEvidence",
        "evidence_of": "icdcli.explain_codes",
    },
    "icdcli.evaluation.metrics": {
        "decision_metrics": "icdcli.metrics.metrics.decision_metrics",
        "evaluate": "icdcli.evaluate",
    },
    "icdcli.evaluation.predict": {
        "CodePrediction": "icdcli.CodePrediction",
        "NoteCoder": "icdcli.CodingModel",
        "load_coder": "icdcli.load_model",
    },
    "icdcli.training.distributed": {
        "join_world": "icdcli.distributed.process_group.join_process_group",
    },
}
"""The old module, the name in it, and the new path of that name."""

_STILL_MODULES = ("icdcli.data.corpus",)  # these define a ``__getattr__`` with `old_names`


def old_names(module: str) -> Callable[[str], Any]:
    """Return a module-level ``__getattr__`` that finds the names that moved out of a module."""

    def find(name: str) -> Any:
        if name not in MOVED[module]:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        new_module, _, new_name = MOVED[module][name].rpartition(".")
        warnings.warn(
            f"{module}.{name} is now {new_module}.{new_name}", DeprecationWarning, stacklevel=2
        )
        return getattr(importlib.import_module(new_module), new_name)

    return find


def register_old_modules() -> None:
    """Make the modules that no longer exist importable."""
    for name in MOVED.keys() - set(_STILL_MODULES):
        module = ModuleType(name, "Deprecated: the names of this module moved; see `icdcli.moved`.")
        module.__dict__["__getattr__"] = old_names(name)
        sys.modules[name] = module
