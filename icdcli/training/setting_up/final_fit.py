"""The starting point of a final fit, which also trains on the documents of the validation split.

It has no documents left to choose anything by. The weights of the fusion, the threshold and the
confidence come from models that were validated on documents that they hadn't seen, and so do the
metrics that its checkpoint reports. They are in the file `FINAL_FIT` of the run folder, so that a
run that was interrupted is resumed with them.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from icdcli.errors import ResumeError
from icdcli.evaluation.reference.scores import ScoreReference
from icdcli.io.files import json_numbers, write_json, writing
from icdcli.metrics.acceptance import AcceptanceTable
from icdcli.metrics.confidence import Confidence
from icdcli.model.fusion import Fusion
from icdcli.model.principal.choice import PrincipalChoice
from icdcli.model.threshold import Threshold
from icdcli.training.events import Evaluated

FINAL_FIT = "final_fit.json"
_NUMBERS = ("monitored", "validation_loss")


@dataclass(frozen=True)
class FinalFit:
    """What was chosen before a final fit, and how good models chosen so are.

    Attributes:
        source: How it was chosen, such as "5-fold cross-fitting on train+validation".
        run: The folder of the run that is fitted again; the file has the way to it.
        documents: Split to the number of its documents that are trained on.
        fusion: The weights of the parts; None: there is only the network.
        threshold: The threshold.
        confidence: How likely scores are right; None: there are too few gold codes.
        acceptance: The scores from which codes can be accepted; None: too few are predicted.
        scores: A summary of the scores, for drift; None: unknown.
        metrics: The metrics of models on documents that they haven't seen.
        monitored: The value of what is monitored.
        monitored_by: The names of the metrics whose mean it is.
        validation_loss: The mean loss of these documents.
        at_threshold: Precision and recall of the codes that reach the threshold.
        principal: The weights of the choice of the principal diagnosis, fitted on the validation
            split of the run; None: they weren't fitted.
        more: What else is reported about the choice: intervals, the gain that is expected.
    """

    source: str
    run: str
    documents: Mapping[str, int]
    fusion: Fusion | None
    threshold: Threshold
    confidence: Confidence | None
    acceptance: AcceptanceTable | None
    scores: ScoreReference | None
    metrics: Mapping[str, float]
    monitored: float
    monitored_by: tuple[str, ...]
    validation_loss: float
    at_threshold: Mapping[str, float]
    principal: Mapping[str, float] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def with_principal(self, choice: PrincipalChoice | None) -> PrincipalChoice | None:
        """Return the choice that the documents suggest, with the weights of the run."""
        if choice is None or self.principal is None:
            return choice
        return replace(choice, weights=self.principal, tuned_on=validation_of(Path(self.run)))

    def evaluated(
        self, epoch: int, step: int, seconds: float, train_loss: float, lr: float
    ) -> Evaluated:
        """Return the event at the end of the run, which makes its checkpoint the best one."""
        return Evaluated(
            epoch=epoch,
            step=step,
            seconds=seconds,
            train_loss=train_loss,
            validation_loss=self.validation_loss,
            lr=lr,
            metrics=dict(self.metrics),
            monitored=self.monitored,
            best_metric=True,
            best_loss=True,
            patience_left=0,
            threshold=None if self.threshold.how == "fixed" else str(self.threshold),
            monitored_by=self.monitored_by,
            note=f"the metrics are those of {self.source}: this model has seen all documents",
            confidence=self.confidence,
            acceptance=self.acceptance,
            scores=self.scores,
            at_threshold=dict(self.at_threshold),
            measured_by=self.source,
        )

    def write(self, run: Path) -> None:
        """Write it into a run folder.

        Raises:
            DataError: If the file can't be written.
        """
        content = {
            "source": self.source,
            "run": _relative(self.run, run),
            "documents": dict(self.documents),
            "fusion": None if self.fusion is None else self.fusion.to_json(),
            "threshold": self.threshold.to_json(),
            "confidence": None if self.confidence is None else self.confidence.to_json(),
            "acceptance": None if self.acceptance is None else self.acceptance.to_json(),
            "scores": None if self.scores is None else self.scores.to_json(),
            "metrics": dict(self.metrics),
            "monitored": self.monitored,
            "monitored_by": list(self.monitored_by),
            "validation_loss": self.validation_loss,
            "at_threshold": dict(self.at_threshold),
            "principal": None if self.principal is None else dict(self.principal),
            "more": dict(self.more),
        }
        with writing(run / FINAL_FIT):
            write_json(run / FINAL_FIT, content)

    @classmethod
    def read(cls, run: Path) -> "FinalFit":
        """Read what `write` wrote.

        Raises:
            ResumeError: If the file is missing or damaged.
        """
        try:
            found = json.loads((run / FINAL_FIT).read_text(encoding="utf-8"))
            return cls(
                **{
                    **found,
                    "run": os.path.normpath(run.resolve() / found["run"]),
                    **json_numbers({name: found[name] for name in _NUMBERS}),
                    "metrics": json_numbers(found["metrics"]),
                    "at_threshold": json_numbers(found["at_threshold"]),
                    "fusion": Fusion.from_json(found["fusion"]),
                    "threshold": Threshold.from_json(found["threshold"]),
                    "confidence": Confidence.from_json(found["confidence"]),
                    "acceptance": AcceptanceTable.from_json(found["acceptance"]),
                    "scores": None
                    if found["scores"] is None
                    else ScoreReference.from_json(found["scores"]),
                    "monitored_by": tuple(found["monitored_by"]),
                }
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResumeError(
                f"{run / FINAL_FIT}: can't be read ({error!r}). It holds the choices "
                "that this run was started with. Restore it, or refit again"
            ) from error


def validation_of(run: Path) -> str:
    """Return in words what a run chose by, if a final fit trains on it."""
    return f"the validation split, before it was trained on (run {run.name})"


def _relative(run: str, start: Path) -> str:
    """Return the way to a run, which holds when both are moved; as it is on another drive."""
    try:
        return Path(os.path.relpath(run, start.resolve())).as_posix()
    except ValueError:
        return run
