"""The configuration: one flat YAML file, typed in sections, checked whole before anything starts.

The keys up to ``metrics`` are those of the guide that icdcode began from, with the same defaults; every newer key has a default
that keeps an old file working. `load_config` tells all problems of a file and its overrides in one message. What a value must
look like stands here; how YAML is read and how problems are worded stands in `icdcli.config.loading`.
"""

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from icdcli.config.metric_names import METRICS
from icdcli.errors import nearest

LexicalPart = Literal["ngrams", "descriptions", "evidence"]
Common = Literal["train_loss", "validation_loss", "lr"]
QUANTIZED = (4, 8)
TFIDF = "tfidf"
ProtocolName = Literal[
    "patient",
    "hadm-digit",
    "mimic3-full",
    "mimic3-full-caml",
    "mimic3-50",
    "mimic3-clean",
    "mimic4-icd9",
    "mimic4-icd10",
]


def _no_bool(value: Any) -> Any:
    # Python takes True for 1; in a configuration that is a slip, not a number.
    if isinstance(value, bool):
        raise ValueError("should be a number, not True or False")
    return value


def _device(value: Any) -> Any:
    """Every spelling of a device in the one form that the rest reads: ``cpu``, ``mps`` or a list of GPU numbers."""
    parts = value if isinstance(value, list | tuple) else str(value).strip("[]() ").split(",")
    words = [str(part).strip().lower().removeprefix("cuda:").removeprefix("gpu:") for part in parts]
    words = ["0" if word in ("cuda", "gpu") else word for word in words]
    if words in (["cpu"], ["mps"]):
        return words[0]
    if isinstance(value, bool) or not words or not all(word.isdecimal() for word in words):
        raise ValueError("should be cpu, mps, or GPU numbers such as [0] or [0,1]")
    if len(set(words)) < len(words):
        raise ValueError("names a GPU twice")
    return [int(word) for word in words]


def _parts(value: Any) -> Any:
    """``True`` for all parts, ``False`` for none."""
    return list(get_args(LexicalPart)) if value is True else [] if value is False else value


def _unique(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise ValueError("names one thing twice")
    return values


def _metric(name: str) -> str:
    if name not in METRICS:
        raise ValueError(
            f"unknown metric {name!r}{nearest(name, METRICS)}; known: {', '.join(METRICS)}"
        )
    return name


def _monitor(name: str) -> str:
    return name if name == "validation_loss" else _metric(name)


def _threshold(value: float | str) -> float | str:
    if isinstance(value, str):
        if value not in ("auto", "auto_per_code"):
            raise ValueError("should be a number from 0 to 1, auto or auto_per_code")
    elif not 0 <= value <= 1:
        raise ValueError("should be from 0 to 1")
    return value


def _interval(value: int | str) -> int | str:
    if isinstance(value, int):
        if value < 1:
            raise ValueError("should be at least 1 step")
    elif not re.fullmatch(r"[1-9]\d*\s*(s|min|h)", value):
        raise ValueError("should be a number of steps, or a time such as 90s, 20min, 2h")
    return value


def _home(path: Path) -> Path:
    return path.expanduser()


Integer = Annotated[int, BeforeValidator(_no_bool)]
Number = Annotated[float, BeforeValidator(_no_bool)]
Device = Annotated[
    Literal["cpu", "mps"] | list[Annotated[int, Field(ge=0)]], BeforeValidator(_device)
]
UserPath = Annotated[Path, AfterValidator(_home)]
Metric = Annotated[str, AfterValidator(_metric)]


class Section(BaseModel):
    """Base of the sections: immutable, and closed to keys that it doesn't know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, protected_namespaces=()
    )


class RunConfig(Section):
    """Where and how reproducibly a run takes place."""

    seed: Integer = Field(0, ge=0, description="every random draw follows from it")
    deterministic: bool = Field(
        True, description="only algorithms that give the same result every time"
    )
    device: Device = Field([0], description="[0], [0,1], [1,2,3], cpu, mps")
    project: UserPath = Field(
        Path("outputs/mimic3"), description="folder that the runs of a project lie in"
    )
    name: str = Field(
        "automatic_coding",
        min_length=1,
        pattern=r"^[^/\\:]+$",
        description="the run's folder in the project",
    )


class ModelConfig(Section):
    """What the coder is made of."""

    model: str = Field(
        "llama3",
        min_length=1,
        description="llama3, mistral, tiny, minilm, a Hugging Face id or a folder; tfidf: no network",
    )
    bit: Literal[4, 8, 16, 32] = Field(8, description="bits of a backbone weight: 4, 8, 16, 32")
    max_len: Integer = Field(
        1024, ge=4, description="tokens of a document that are read, special tokens included"
    )
    chunk_len: Integer | None = Field(
        None,
        ge=8,
        description="longer documents are read in overlapping chunks of so many tokens; null: the encoder's window",
    )
    chunk_stride: Integer | None = Field(
        None,
        ge=1,
        description="tokens from one chunk's start to the next's; null: three quarters of chunk_len",
    )
    pooling_mode: Literal["mean", "weighted_mean", "bos_token", "eos_token", "label_attention"] = (
        Field("mean", description="mean, weighted_mean, bos_token, eos_token, label_attention")
    )
    label_init: Literal["descriptions", "random"] = Field(
        "descriptions",
        description="label_attention: what each code's query and output start from: descriptions, random",
    )
    label_width: Integer = Field(
        128, ge=1, description="label_attention: width of its queries, keys and values"
    )
    state_pooling: Integer = Field(
        4, ge=1, description="label_attention: neighbouring tokens' states averaged into one"
    )
    head_dropout: Number = Field(
        0.1, ge=0, lt=1, description="label_attention: dropout before and behind it"
    )
    lexical: Annotated[list[LexicalPart], BeforeValidator(_parts), AfterValidator(_unique)] = Field(
        [],
        description="scores of words alone, fused with the network's: True (all), or of ngrams, descriptions, evidence",
    )
    description_prior: bool = Field(
        False,
        description="add to each logit how near the code's description comes to some words of the document",
    )
    lora_activate: bool = Field(True, description="train low-rank adapters on the frozen backbone")
    lora_r: Integer = Field(16, ge=1, description="rank of the adapters")
    lora_alpha: Integer = Field(
        32, ge=1, description="scale of the adapters; they count alpha / r times"
    )
    lora_dropout: Number = Field(0.05, ge=0, lt=1, description="dropout before the adapters")
    lora_targets: Annotated[list[str], AfterValidator(_unique)] = Field(
        [],
        description="names of the backbone's layers that get adapters, such as q_proj; none named: all linear ones",
    )
    freeze_backbone: bool | None = Field(
        None,
        description="keep the backbone's own weights; null: yes with LoRA, 4 or 8 bit, else no",
    )
    attention: Literal["bidirectional", "causal"] = Field(
        "bidirectional", description="what a decoder's tokens see: bidirectional, causal"
    )
    word_ngrams: Integer = Field(
        1, ge=1, le=3, description="tfidf: the longest run of words that is a feature"
    )

    @property
    def is_baseline(self) -> bool:
        """Whether it is TF-IDF with a linear classifier a code, and not a network."""
        return self.model == TFIDF

    @property
    def frozen(self) -> bool:
        """Whether the backbone's own weights stay as they are."""
        if self.freeze_backbone is not None:
            return self.freeze_backbone
        return self.lora_activate or self.bit in QUANTIZED


class DataConfig(Section):
    """Which notes and codes are read, and how they become a corpus."""

    workers: Integer = Field(
        0, ge=0, description="threads that tokenise; 0: set automatically (one a core)"
    )
    mimic3_data_path: UserPath = Field(
        Path("data/"), description="folder of the MIMIC-III tables, where data_path is not given"
    )
    data_path: UserPath | None = Field(
        None, description="folder or file of notes and codes, of any data set"
    )
    dataset: Literal["mimic3", "mimic4", "codiesp", "table"] | None = Field(
        None, description="mimic3, mimic4, codiesp, table; null: recognised from the folder"
    )
    protocol: ProtocolName | None = Field(
        None,
        description="patient (80/10/10 by subject), hadm-digit, mimic3-full, mimic3-50 …; null: the data set's own",
    )
    splits_path: UserPath | None = Field(
        None,
        description="published split lists, a file or folder; null: those of `icdcode splits fetch`",
    )
    text_cleaning: Literal["none", "caml", "edin"] = Field(
        "none", description="none (language models do better), caml, edin"
    )
    chunk_size: Integer = Field(
        100_000, ge=1, description="rows of a raw table in memory at a time"
    )
    skip_bad_rows: bool = Field(False, description="count rows that are no valid CSV and go on")
    label_pruning: bool = Field(
        False, description="True: only codes in use are labels; False: all of the D_ICD tables"
    )
    language: Literal["en", "es"] = Field("en", description="codiesp: en, es")
    codes: Literal["diagnoses", "procedures", "all"] = Field(
        "diagnoses", description="codiesp: diagnoses, procedures, all"
    )
    text_column: str = Field("text", description="table: column of the notes")
    label_space: Literal["seen", "described"] = Field(
        "seen",
        description="described: also codes of the system in no document, that have a title; benchmarks: their own",
    )
    codes_column: str = Field(
        "codes", description="table: column of the codes, a list or separated by ; or ,"
    )
    id_column: str | None = Field(
        None, description="table: column of the documents' ids; null: id, if there is one"
    )
    subject_column: str | None = Field(
        None, description="table: column of the patients; null: subject_id, if there is one"
    )
    split_column: str | None = Field(
        None, description="table: column of the splits; null: split, if there is one"
    )
    evidence_column: str | None = Field(
        None,
        description="table: column of annotated evidence, a list of {code, begin, end}; null: none",
    )
    evidence_path: UserPath | None = Field(
        None, description="mimic3: folder or file of MDACE's annotations; null: none"
    )
    code_system: Literal["icd9", "icd10"] | None = Field(
        None,
        description="table and mimic4 by patient: icd9, icd10; null: codes as they stand, icd10 for mimic4",
    )
    cache_dir: UserPath | None = Field(
        None, description="where prepared data lies; null: .icdcode in the data folder"
    )

    @property
    def path(self) -> Path:
        """The folder or file that the notes and codes are read from."""
        return self.data_path if self.data_path is not None else self.mimic3_data_path


class TrainConfig(Section):
    """How the weights are learned."""

    batch_size: Integer = Field(
        8, ge=1, description="documents of an optimiser step, over all devices"
    )
    steps: Integer = Field(60_000, ge=1, description="optimiser steps")
    warmup_steps: Integer = Field(
        400, ge=0, description="first steps, over which the learning rate rises to lr0"
    )
    lr0: Number = Field(1e-4, gt=0, description="highest learning rate")
    lrf: Number = Field(0.01, ge=0, le=1, description="last_lr = lr0 * lrf")
    scheduler_type: Literal["linear", "cosine"] = Field("cosine", description="linear, cosine")
    pos_weight: Number = Field(
        5,
        gt=0,
        description="how much more a code that is there counts in the loss than one that is not",
    )
    loss: Literal["bce", "asl", "focal"] = Field(
        "bce", description="bce (cross-entropy), asl (asymmetric), focal"
    )
    loss_gamma: Number = Field(
        2, ge=0, description="focal, asl: how little what is known already counts"
    )
    loss_margin: Number = Field(
        0.05, ge=0, lt=1, description="asl: probability up to which a wrong code counts for nothing"
    )
    label_smoothing: Number = Field(
        0, ge=0, lt=1, description="share by which targets are moved towards one half"
    )
    rdrop_alpha: Number = Field(
        0,
        ge=0,
        description="weight of the difference between two draws of dropout (R-Drop); 0: one draw, half the time",
    )
    gradient_checkpointing: bool = Field(
        True, description="compute activations twice rather than keep them"
    )
    strategy: Literal["ddp", "fsdp"] = Field(
        "ddp",
        description="several processes: ddp (all weights in each), fsdp (each keeps a part of them)",
    )
    torch_compile: bool = Field(
        False, description="compile the backbone's layers: slow at first, faster later"
    )
    patience: Integer = Field(
        5,
        ge=0,
        description="early stopping epochs: validations without progress; 0: never stop early",
    )
    head_lr_factor: Number = Field(
        1.0, gt=0, description="the output layer learns so many times faster than the backbone"
    )
    head_steps: Integer = Field(
        0,
        ge=0,
        description="first steps, over which the head learns alone; each stage has its own warm-up and decay",
    )
    joint_head_lr_factor: Number | None = Field(
        None,
        gt=0,
        description="head_lr_factor after head_steps, when all learn; null: a tenth of it, at least 1",
    )
    weight_decay: Number = Field(0.01, ge=0, description="AdamW's weight decay")
    max_grad_norm: Number = Field(1.0, gt=0, description="longer gradients are cut to this norm")
    micro_batch_tokens: Integer | None = Field(
        None,
        ge=1,
        description="tokens of one forward pass, at least one document; null: by free memory",
    )
    padding: Literal["auto", "free", "batch"] = Field(
        "auto",
        description="free (documents end to end), batch (padded to the longest), auto: free where the model can",
    )
    state_cache_gb: Number = Field(
        20,
        ge=0,
        description="a frozen backbone's states are computed once, where they take no more on the disk; 0: never",
    )
    checkpoint_every: Annotated[Integer | str, AfterValidator(_interval)] | None = Field(
        None,
        description="a checkpoint besides those of validations: 500 (steps), 20min, 1h; null: none",
    )
    monitor: Annotated[str, AfterValidator(_monitor)] | None = Field(
        None,
        description="what the best checkpoint goes by: a metric or validation_loss; null: the mean of metrics",
    )

    @property
    def joint_factor(self) -> float:
        """How many times faster than the backbone the head learns, when both do."""
        if self.joint_head_lr_factor is not None:
            return self.joint_head_lr_factor
        return max(self.head_lr_factor / 10, 1.0) if self.head_steps else self.head_lr_factor


class LogConfig(Section):
    """What is shown and written while a run goes on."""

    prediction_print_n: Integer = Field(
        3, ge=0, description="sample predictions shown after a validation"
    )
    positive_threshold: Annotated[Number | str, AfterValidator(_threshold)] = Field(
        0.5,
        description="score from which a code counts as predicted: a number, or tuned on validation: auto, auto_per_code",
    )
    common: Annotated[list[Common], AfterValidator(_unique)] = Field(
        ["train_loss", "validation_loss", "lr"], description="shown beside the metrics"
    )
    metrics: Annotated[list[Metric], Field(min_length=1), AfterValidator(_unique)] = Field(
        ["aucroc_macro", "aucroc_micro", "aucprc_macro", "aucprc_micro"],
        description="computed at every validation",
    )
    trackers: Annotated[
        list[Literal["tensorboard", "wandb", "mlflow", "comet_ml", "aim", "clearml"]],
        AfterValidator(_unique),
    ] = Field([], description="also log to: tensorboard, wandb, mlflow, comet_ml, aim, clearml")
    log_every: Integer = Field(10, ge=1, description="steps between two lines of steps.csv")


class Config(BaseModel):
    """All sections of one run; a function takes the section that it needs."""

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
        """Every key with its value, as a flat mapping of plain YAML values."""
        return {
            key: value
            for section in self.model_dump(mode="json").values()
            for key, value in section.items()
        }


def impossible_combinations(config: Config) -> list[tuple[str, str]]:
    """Values that are right alone and wrong together, each as (the key to change, what is wrong)."""
    model, train, run = config.model, config.train, config.run
    if model.is_baseline:
        asked = {"lexical": bool(model.lexical), "description_prior": model.description_prior}
        return [
            (key, f"model: {TFIDF} is one score of words alone; leave it out")
            for key, on in asked.items()
            if on
        ]
    quantized = model.bit in QUANTIZED
    found = []
    stages = (
        [train.head_steps, train.steps - train.head_steps] if train.head_steps else [train.steps]
    )
    if train.head_steps >= train.steps:
        found.append(
            ("head_steps", f"leave nothing of {train.steps} steps for the backbone; or freeze it")
        )
    elif train.warmup_steps >= min(stages):
        found.append(
            (
                "warmup_steps",
                f"{train.warmup_steps} warm-up steps leave nothing of {min(stages)} steps",
            )
        )
    if train.head_steps and model.frozen and not model.lora_activate:
        found.append(
            (
                "head_steps",
                "the backbone is frozen, so that the head always learns alone; leave it out",
            )
        )
    if quantized and run.device == "mps":
        found.append(
            ("bit", f"{model.bit} bit needs a CUDA GPU or a CPU; on mps use bit: 16 or 32")
        )
    if quantized and model.model == "tiny":
        found.append(("bit", "model: tiny is made on the spot and is not quantised; use bit: 32"))
    if quantized and model.freeze_backbone is False:
        found.append(
            (
                "freeze_backbone",
                f"a {model.bit} bit backbone can't be trained; use LoRA, or bit: 16 or 32",
            )
        )
    if train.strategy == "fsdp":
        found += [("strategy", f"fsdp: {why}; use ddp") for why in _against_sharing(config)]
    if train.torch_compile:
        found += [("torch_compile", why) for why in _against_compiling(config)]
    if model.lora_activate and model.freeze_backbone is False:
        found.append(
            (
                "freeze_backbone",
                "LoRA keeps the backbone frozen; set lora_activate: False to train it whole",
            )
        )
    if model.description_prior and model.model == "tiny":
        found.append(
            (
                "description_prior",
                "model: tiny starts from nothing, its states don't tell what words mean",
            )
        )
    if (
        model.chunk_stride is not None
        and model.chunk_len is not None
        and model.chunk_stride > model.chunk_len - 4
    ):
        found.append(
            (
                "chunk_stride",
                f"chunks of {model.chunk_len} tokens must overlap; take {model.chunk_len * 3 // 4}",
            )
        )
    if model.pooling_mode == "bos_token" and model.attention == "causal":
        found.append(
            (
                "pooling_mode",
                "under causal attention the first token sees no other; use eos_token or a mean",
            )
        )
    return found


def _against_sharing(config: Config) -> list[str]:
    """What keeps the weights from being shared out over the processes."""
    model, run = config.model, config.run
    reasons = {
        f"{model.bit} bit weights can't be shared out": model.bit in QUANTIZED,
        f"device: {run.device} has one process": run.device == "mps",
        "head_steps freezes weights that are shared out already": config.train.head_steps > 0,
        "the backbone is frozen, so that little is trained": model.frozen
        and not model.lora_activate,
    }
    return [reason for reason, holds in reasons.items() if holds]


def _against_compiling(config: Config) -> list[str]:
    """What keeps the backbone's layers from being compiled."""
    reasons = {
        "layers computed twice aren't compiled; set gradient_checkpointing: False": config.train.gradient_checkpointing,
        f"{config.model.bit} bit layers aren't compiled; use bit: 16 or 32": config.model.bit
        in QUANTIZED,
        "has not been tried with strategy: fsdp; use ddp": config.train.strategy == "fsdp",
        "not on mps; leave it out": config.run.device == "mps",
    }
    return [reason for reason, holds in reasons.items() if holds]


def load_config(
    path: Path | str | None = None, overrides: tuple[str, ...] | list[str] = ()
) -> Config:
    """Read and check a configuration.

    Args:
        path: A YAML file; None starts from the defaults.
        overrides: ``key=value`` strings, the value written as in YAML; they go through the same checks.

    Raises:
        ConfigError: With every problem of the file and the overrides: where, what, and the nearest valid key.
    """
    from icdcli.config.loading import read_config

    return read_config(None if path is None else Path(path), overrides)
