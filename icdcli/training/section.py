"""The sections ``train`` and ``log`` of the configuration."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from icdcli.config.fields import (
    Conflict,
    Integer,
    Metric,
    Number,
    Section,
    require_metric,
    require_unique,
)
from icdcli.config.run_section import RunConfig
from icdcli.model.section import QUANTIZED, ModelConfig

Common = Literal["train_loss", "validation_loss", "lr"]
Tracker = Literal["tensorboard", "wandb", "mlflow", "comet_ml", "aim", "clearml"]


def _check_monitor(name: str) -> str:
    return name if name == "validation_loss" else require_metric(name)


def _check_threshold(value: float | str) -> float | str:
    if isinstance(value, str):
        if value in ("auto", "auto_per_code"):
            return value
        try:
            value = float(value)  # YAML reads 1e-1 as a string, since it has no dot
        except ValueError:
            raise ValueError("should be a number from 0 to 1, auto or auto_per_code") from None
    if not 0 <= value <= 1:
        raise ValueError("should be from 0 to 1")
    return value


def _check_interval(value: int | str) -> int | str:
    if isinstance(value, int):
        if value < 1:
            raise ValueError("should be at least 1 step")
    elif not re.fullmatch(r"[1-9]\d*\s*(s|min|h)", value):
        raise ValueError("should be a number of steps, or a time such as 90s, 20min, 2h")
    return value


class TrainConfig(Section):
    """The optimization: steps, learning rates, loss, memory and checkpoints."""

    batch_size: Integer = Field(
        8, ge=1, description="documents per optimizer step, over all devices"
    )
    steps: Integer = Field(60_000, ge=1, description="number of optimizer steps")
    stop_step: Integer | None = Field(
        None,
        ge=1,
        description="step at which training ends, if earlier than the schedule; null: steps",
    )
    warmup_steps: Integer = Field(
        400, ge=0, description="steps over which the learning rate rises to lr0"
    )
    lr0: Number = Field(1e-4, gt=0, description="peak learning rate")
    lrf: Number = Field(0.01, ge=0, le=1, description="final learning rate, as a fraction of lr0")
    scheduler_type: Literal["linear", "cosine"] = Field(
        "cosine", description="decay of the learning rate: linear, cosine"
    )
    pos_weight: Number = Field(
        5, gt=0, description="weight of positives in the loss; negatives have weight 1"
    )
    loss: Literal["bce", "asl", "focal"] = Field(
        "bce", description="bce (binary cross-entropy), asl (asymmetric loss), focal (focal loss)"
    )
    loss_gamma: Number = Field(
        2, ge=0, description="focal, asl: exponent that reduces the weight of easy examples"
    )
    loss_margin: Number = Field(
        0.05, ge=0, lt=1, description="asl: negatives below this probability add no loss"
    )
    label_smoothing: Number = Field(
        0, ge=0, lt=1, description="fraction by which targets are moved towards 0.5"
    )
    rdrop_alpha: Number = Field(
        0,
        ge=0,
        description="R-Drop: weight of the divergence of two dropout passes; 0: off, twice as fast",
    )
    gradient_checkpointing: bool | Literal["auto"] = Field(
        "auto",
        description="recompute layers to save memory: all, none, or (auto) as few as memory allows",
    )
    strategy: Literal["ddp", "fsdp"] = Field(
        "ddp",
        description="with several processes: ddp (all weights in each), fsdp (weights sharded)",
    )
    torch_compile: bool = Field(
        False, description="compile the backbone's layers: slow to start, then faster"
    )
    patience: Integer = Field(
        5, ge=0, description="stop after this many validations without improvement; 0: off"
    )
    head_lr_factor: Number = Field(
        1.0, gt=0, description="learning rate of the head, as a multiple of the backbone's"
    )
    head_steps: Integer = Field(
        0,
        ge=0,
        description="first steps, which train only the head; each stage has its own schedule",
    )
    joint_head_lr_factor: Number | None = Field(
        None,
        gt=0,
        description="head_lr_factor after head_steps; null: a tenth of head_lr_factor, at least 1",
    )
    weight_decay: Number = Field(0.01, ge=0, description="weight decay of AdamW")
    max_grad_norm: Number = Field(1.0, gt=0, description="gradients are clipped to this norm")
    micro_batch_tokens: Integer | None = Field(
        None,
        ge=1,
        description="tokens per forward pass, at least one document; null: from free memory",
    )
    padding: Literal["auto", "free", "batch"] = Field(
        "auto",
        description="free (packed documents), batch (pad to the longest), auto: free if possible",
    )
    kernels: Literal["auto", "liger", "none"] = Field(
        "auto",
        description="layers in fused GPU kernels: liger (Liger Kernel), none, auto: if possible",
    )
    state_cache_gb: Number = Field(
        20,
        ge=0,
        description="limit for caching a frozen backbone's hidden states on disk, in GB; 0: off",
    )
    checkpoint_every: Annotated[Integer | str, AfterValidator(_check_interval)] | None = Field(
        None,
        description="extra checkpoints between validations: 500 (steps), 20min, 1h; null: none",
    )
    monitor: Annotated[str, AfterValidator(_check_monitor)] | None = Field(
        None,
        description="metric (or validation_loss) of the best checkpoint; null: the mean of metrics",
    )

    @property
    def last_step(self) -> int:
        """Return the step at which training ends."""
        return self.steps if self.stop_step is None else min(self.stop_step, self.steps)

    @property
    def joint_factor(self) -> float:
        """Return the head's learning rate over the backbone's, when both are trained."""
        if self.joint_head_lr_factor is not None:
            return self.joint_head_lr_factor
        return max(self.head_lr_factor / 10, 1.0) if self.head_steps else self.head_lr_factor

    @property
    def used_kernels(self) -> Literal["auto", "liger", "none"]:
        """Return `kernels`, but none if a compiler fuses the layers."""
        return "none" if self.torch_compile else self.kernels

    def schedule_conflicts(self, model: ModelConfig) -> Iterator[Conflict]:
        """Yield the numbers of steps that don't go together."""
        head, rest = self.head_steps, self.steps - self.head_steps
        shortest = min(head, rest) if head else rest
        if rest <= 0:
            yield Conflict(
                "head_steps",
                f"leaves none of {self.steps} steps for the backbone; lower it, or set "
                "freeze_backbone: True",
            )
        elif self.warmup_steps >= shortest:
            stage = " of the shorter stage" if head else ""
            yield Conflict(
                "warmup_steps",
                f"must be less than the {shortest} steps{stage}, not {self.warmup_steps}",
            )
        if head and model.frozen and not model.lora_activate:
            yield Conflict(
                "head_steps",
                "the backbone is frozen, so only the head is trained anyway; leave it out",
            )

    def execution_conflicts(self, run: RunConfig, model: ModelConfig) -> Iterator[Conflict]:
        """Yield the reasons against sharding the weights, and compiling or fusing the layers."""
        if self.strategy == "fsdp":
            for reason in self._against_sharding(run, model):
                yield Conflict("strategy", f"fsdp: {reason}; use ddp")
        if self.torch_compile:
            for reason in self._against_compiling(run, model):
                yield Conflict("torch_compile", reason)
        if self.kernels == "liger":
            for reason in self._against_kernels(run):
                yield Conflict("kernels", f"liger: {reason}; use auto")

    def _against_sharding(self, run: RunConfig, model: ModelConfig) -> Iterator[str]:
        if model.bit in QUANTIZED:
            yield f"{model.bit}-bit weights can't be sharded"
        if run.device == "mps":
            yield f"device: {run.device} has only one process"
        if self.head_steps > 0:
            yield "head_steps freezes weights that are already sharded"
        if model.frozen and not model.lora_activate:
            yield "the backbone is frozen, so there is little to shard"

    def _against_kernels(self, run: RunConfig) -> Iterator[str]:
        if self.torch_compile:
            yield "torch_compile fuses the layers itself"
        if run.device in ("cpu", "mps"):
            yield f"needs an NVIDIA or AMD GPU, not device: {run.device}"

    def _against_compiling(self, run: RunConfig, model: ModelConfig) -> Iterator[str]:
        if self.gradient_checkpointing is True:
            yield "not available with activation recomputation; set gradient_checkpointing: auto"
        if model.bit in QUANTIZED:
            yield f"{model.bit}-bit layers can't be compiled; use bit: 16 or 32"
        if self.strategy == "fsdp":
            yield "not tested with strategy: fsdp; use ddp"
        if run.device == "mps":
            yield "not available on mps; leave it out"


class LogConfig(Section):
    """The metrics, output and logging during training."""

    prediction_print_n: Integer = Field(
        3, ge=0, description="number of sample predictions shown after each validation"
    )
    positive_threshold: Annotated[Number | str, AfterValidator(_check_threshold)] = Field(
        0.5,
        description="score at which a code is predicted; auto, auto_per_code: tuned on validation",
    )
    common: Annotated[list[Common], AfterValidator(require_unique)] = Field(
        ["train_loss", "validation_loss", "lr"], description="values shown beside the metrics"
    )
    metrics: Annotated[list[Metric], Field(min_length=1), AfterValidator(require_unique)] = Field(
        ["aucroc_macro", "aucroc_micro", "aucprc_macro", "aucprc_micro"],
        description="metrics computed at every validation",
    )
    trackers: Annotated[list[Tracker], AfterValidator(require_unique)] = Field(
        [], description="experiment trackers: tensorboard, wandb, mlflow, comet_ml, aim, clearml"
    )
    log_every: Integer = Field(10, ge=1, description="steps between two rows of steps.csv")
