"""The configuration: the sections that the packages own, joined.

In the YAML file all keys are flat. Those up to ``metrics`` come from the guide that icdcode started
from, with the same defaults; every newer key has a default that keeps an old file working.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from icdcli.config.fields import Conflict, Section
from icdcli.config.metric_names import PRINCIPAL_METRICS
from icdcli.config.run_section import RunConfig
from icdcli.data.section import DataConfig
from icdcli.model.section import ModelConfig
from icdcli.training.section import LogConfig, TrainConfig


class Config(BaseModel):
    """All sections of one run. A function takes the section that it needs."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())
    sections: ClassVar[dict[str, type[Section]]] = {
        "run": RunConfig,
        "model": ModelConfig,
        "data": DataConfig,
        "train": TrainConfig,
        "log": LogConfig,
    }

    run: RunConfig = RunConfig()
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    log: LogConfig = LogConfig()

    def flat(self) -> dict[str, Any]:
        """Return every key with its value, as a flat mapping of plain YAML values."""
        return {
            key: value
            for section in self.model_dump(mode="json").values()
            for key, value in section.items()
        }

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the values that are valid by themselves but can't be combined."""
        yield from self.data.code_conflicts()
        for key, names in (("metrics", self.log.metrics), ("monitor", [self.train.monitor])):
            wanted = [name for name in names if name in PRINCIPAL_METRICS]
            if wanted and not self.data.principal:
                yield Conflict(key, f"{wanted[0]} needs principal: True")
        yield from self.data.encounter_conflicts()
        if len(self.run.seeds) == 1:
            yield Conflict("seeds", "needs at least two; for one model, set `seed`")
        if self.model.is_baseline:  # TF-IDF uses none of the keys that are checked below
            yield from self.model.baseline_conflicts()
            return
        if self.model.is_ensemble:  # nor does an ensemble, whose members are trained before
            return
        yield from self.train.schedule_conflicts(self.model)
        yield from self.model.quantization_conflicts(self.run)
        yield from self.train.execution_conflicts(self.run, self.model)
        yield from self.model.architecture_conflicts()
