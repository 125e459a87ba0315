"""Metrics from arrays: scores and targets in; metrics and confidence intervals out.

>>> from icdcli.metrics import evaluate
>>> evaluate(scores_NL, targets_NL, threshold=0.5, names=["f1_micro", "map"])
"""

from icdcli.metrics.metrics import evaluate

__all__ = ["evaluate"]
