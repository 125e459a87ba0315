"""icdcode: assign ICD codes to clinical notes.

The names below are the public API. They are loaded on first use, so that ``import icdcli`` stays
quick:

    >>> import icdcli
    >>> model = icdcli.load_model("outputs/demo/tiny")
    >>> model.predict(["Known congestive heart failure, denies chest pain."])

Everything else is internal: it may move or change in any version.
"""

import importlib
import os
import warnings
from typing import TYPE_CHECKING, Any

from icdcli import moved
from icdcli.offline import forbid_network_if_set

if TYPE_CHECKING:
    from icdcli.config.loading import load_config
    from icdcli.config.schema import Config
    from icdcli.data.corpus.card import describe_corpus
    from icdcli.data.corpus.prepare import prepare
    from icdcli.data.corpus.reader import open_corpus
    from icdcli.data.synthetic.generator import write_demo_data
    from icdcli.errors import ConfigError, DataError, IcdcodeError, ResumeError
    from icdcli.evaluation.behavior.run import run_behavior
    from icdcli.evaluation.run import compare_runs, evaluate_run
    from icdcli.explain.evidence import explain_codes
    from icdcli.icd.editions.catalog import find_edition
    from icdcli.icd.editions.look_up import look_up
    from icdcli.icd.rules.checks import check_codes
    from icdcli.icd.rules.findings import CodeSet, Finding
    from icdcli.icd.search import search_codes
    from icdcli.metrics.metrics import evaluate
    from icdcli.model.checkpoint import load_model
    from icdcli.model.coding_model import CodePrediction, CodingModel
    from icdcli.model.files.export import export_model
    from icdcli.predict.run import predict_notes
    from icdcli.profiling.check_config import check_config
    from icdcli.run_dir import RunDir
    from icdcli.training.run import resume_training, run_training

__version__ = "0.1.0"
# Threads that spin while they wait slow everything down several times when other processes need
# the cores. OpenMP reads this variable when torch is imported, which happens after this line.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_MODULES = {
    # Configuration and data
    "Config": "icdcli.config.schema",
    "load_config": "icdcli.config.loading",
    "write_demo_data": "icdcli.data.synthetic.generator",
    "prepare": "icdcli.data.corpus.prepare",
    "open_corpus": "icdcli.data.corpus.reader",
    "describe_corpus": "icdcli.data.corpus.card",
    # Runs
    "RunDir": "icdcli.run_dir",
    "run_training": "icdcli.training.run",
    "resume_training": "icdcli.training.run",
    "evaluate_run": "icdcli.evaluation.run",
    "compare_runs": "icdcli.evaluation.run",
    "run_behavior": "icdcli.evaluation.behavior.run",
    "migrate_run": "icdcli.migration.run",
    "check_config": "icdcli.profiling.check_config",
    # Models
    "load_model": "icdcli.model.checkpoint",
    "CodingModel": "icdcli.model.coding_model",
    "CodePrediction": "icdcli.model.coding_model",
    "explain_codes": "icdcli.explain.evidence",
    "export_model": "icdcli.model.files.export",
    "predict_notes": "icdcli.predict.run",
    # Codes
    "find_edition": "icdcli.icd.editions.catalog",
    "look_up": "icdcli.icd.editions.look_up",
    "search_codes": "icdcli.icd.search",
    "check_codes": "icdcli.icd.rules.checks",
    "CodeSet": "icdcli.icd.rules.findings",
    "Finding": "icdcli.icd.rules.findings",
    # Metrics
    "evaluate": "icdcli.metrics.metrics",
    # Errors
    "IcdcodeError": "icdcli.errors",
    "ConfigError": "icdcli.errors",
    "DataError": "icdcli.errors",
    "ResumeError": "icdcli.errors",
}
__all__ = [
    "CodePrediction",
    "CodeSet",
    "CodingModel",
    "Config",
    "ConfigError",
    "DataError",
    "Finding",
    "IcdcodeError",
    "ResumeError",
    "RunDir",
    "__version__",
    "check_codes",
    "check_config",
    "compare_runs",
    "describe_corpus",
    "evaluate",
    "evaluate_run",
    "explain_codes",
    "export_model",
    "find_edition",
    "load_config",
    "load_model",
    "look_up",
    "migrate_run",
    "open_corpus",
    "predict_notes",
    "prepare",
    "resume_training",
    "run_behavior",
    "run_training",
    "search_codes",
    "write_demo_data",
]


def __getattr__(name: str) -> Any:
    if name == "load_coder":
        warnings.warn(
            "icdcli.load_coder is now icdcli.load_model", DeprecationWarning, stacklevel=2
        )
        name = "load_model"
    if name not in _MODULES:
        raise AttributeError(f"module 'icdcli' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]


moved.register_old_modules()
forbid_network_if_set()
