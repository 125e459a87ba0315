"""The section ``model`` of the configuration."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from icdcli.config.fields import Conflict, Integer, Number, OneOf, Section, require_unique
from icdcli.config.run_section import RunConfig
from icdcli.lexical.names import AssertionKey, part_names
from icdcli.model.heads.names import head_names

QUANTIZED = (4, 8)
"""The values of ``bit`` that quantize the backbone."""
CpuPrecision = Literal["auto", "float32", "bfloat16"]
"""The values of ``cpu_precision``."""
ENSEMBLE = "ensemble"
"""The value of ``model`` in the configuration of a run that consists of other runs."""
TFIDF = "tfidf"
"""The value of ``model`` for TF-IDF with linear classifiers instead of a network."""


def _expand_parts(value: Any) -> Any:
    """Return all parts for ``True`` and none for ``False``."""
    return list(part_names()) if value is True else [] if value is False else value


class ModelConfig(Section):
    """The backbone, its adapters, the head, and the scores fused with the network's."""

    model: str = Field(
        "llama3",
        min_length=1,
        description="llama3, mistral, tiny, minilm, Hugging Face id or folder; tfidf: no network",
    )
    bit: Literal[4, 8, 16, 32] = Field(
        8, description="bits per backbone weight: 4, 8 (quantized), 16, 32"
    )
    max_len: Integer = Field(
        1024,
        ge=4,
        description="tokens read at once per document, special tokens included (see long_notes)",
    )
    long_notes: Literal["first", "windows"] = Field(
        "first",
        description="documents longer than max_len: first (only their first max_len tokens count), "
        "windows (all of the text)",
    )
    chunk_len: Integer | None = Field(
        None,
        ge=8,
        description="tokens per overlapping chunk of a longer document; null: the encoder's limit",
    )
    chunk_stride: Integer | None = Field(
        None,
        ge=1,
        description="tokens from the start of one chunk to the next; null: 3/4 of chunk_len",
    )
    pooling_mode: Annotated[str, OneOf(head_names())] = Field(
        "mean", description=", ".join(head_names())
    )
    label_init: Literal["descriptions", "random"] = Field(
        "descriptions",
        description="label_attention: start from the codes' descriptions, or random",
    )
    label_width: Integer = Field(
        128, ge=1, description="label_attention: width of queries, keys and values"
    )
    state_pooling: Integer = Field(
        4,
        ge=1,
        description="label_attention: number of neighboring hidden states averaged into one",
    )
    head_dropout: Number = Field(
        0.1, ge=0, lt=1, description="label_attention: dropout before and after the attention"
    )
    lexical: Annotated[
        list[Annotated[str, OneOf(part_names())]],
        BeforeValidator(_expand_parts),
        AfterValidator(require_unique),
    ] = Field(
        [], description=f"add lexical scores: {', '.join(part_names())}, or True (all of them)"
    )
    second_stage: bool = Field(
        False,
        description="refit: score each note's best codes again with trees over the scores of "
        "all parts",
    )
    lexicon: bool = Field(
        True,
        description="know synonyms of codes (lexical, label_init, prior) and abbreviations; with "
        "lexical, correct spelling",
    )
    assertion: AssertionKey = Field(
        "learned",
        description="do denied, relatives' and possible conditions count? learned: as the labels "
        "show; facts: no, the model can't see them; mentions: yes",
    )
    assertion_cues: Path | None = Field(
        None, description="table of further words that deny, doubt or attribute findings"
    )
    description_prior: bool = Field(
        False,
        description="add to each logit the similarity of the code's description to the document",
    )
    lora_activate: bool = Field(True, description="train low-rank adapters on the frozen backbone")
    lora_r: Integer = Field(16, ge=1, description="LoRA rank")
    lora_alpha: Integer = Field(
        32, ge=1, description="LoRA scaling: updates are multiplied by alpha / r"
    )
    lora_dropout: Number = Field(0.05, ge=0, lt=1, description="dropout before the LoRA adapters")
    lora_targets: Annotated[list[str], AfterValidator(require_unique)] = Field(
        [],
        description="names of the layers that get adapters, such as q_proj; []: all linear layers",
    )
    freeze_backbone: bool | None = Field(
        None,
        description="keep the backbone's own weights; null: yes with LoRA, 4 or 8 bit, else no",
    )
    attention: Literal["bidirectional", "causal"] = Field(
        "bidirectional", description="attention in decoder backbones: bidirectional, causal"
    )
    cpu_precision: CpuPrecision = Field(
        "auto",
        description="on a CPU, with bit: 32: float32, bfloat16, or auto (bfloat16 for a frozen "
        "backbone if this CPU computes it fast)",
    )
    word_ngrams: Integer = Field(
        1, ge=1, le=3, description="tfidf: the longest word n-gram used as a feature"
    )

    @property
    def is_baseline(self) -> bool:
        """Return whether the model is TF-IDF with one linear classifier per code, not a network."""
        return self.model == TFIDF

    @property
    def is_ensemble(self) -> bool:
        """Return whether the model consists of trained runs: `icdcode ensemble` makes it."""
        return self.model == ENSEMBLE

    @property
    def frozen(self) -> bool:
        """Return whether the backbone's own weights are kept as they are."""
        if self.freeze_backbone is not None:
            return self.freeze_backbone
        return self.lora_activate or self.bit in QUANTIZED

    @property
    def starts_from_descriptions(self) -> bool:
        """Return whether a new network needs the codes' descriptions."""
        return self.description_prior or (
            self.pooling_mode == "label_attention" and self.label_init == "descriptions"
        )

    def to_json(self) -> dict[str, Any]:
        """Return what a checkpoint stores of it: it keeps the cues themselves, not their path."""
        return self.model_dump(mode="json", exclude={"assertion_cues"})

    def baseline_conflicts(self) -> Iterator[Conflict]:
        """Yield the keys that TF-IDF has no use for."""
        for key, is_set in (
            ("lexical", bool(self.lexical)),
            ("description_prior", self.description_prior),
        ):
            if is_set:
                yield Conflict(key, f"not available with model: {TFIDF}; leave it out")

    def quantization_conflicts(self, run: RunConfig) -> Iterator[Conflict]:
        """Yield the values that don't go with a quantized backbone."""
        if self.bit not in QUANTIZED:
            return
        if run.device == "mps":
            yield Conflict(
                "bit", f"{self.bit} bit needs a CUDA GPU or a CPU; on mps use bit: 16 or 32"
            )
        if self.model == "tiny":
            yield Conflict(
                "bit", "model: tiny has random weights and can't be quantized; use bit: 32"
            )
        if self.freeze_backbone is False:
            yield Conflict(
                "freeze_backbone",
                f"{self.bit}-bit backbones can't be trained; use LoRA, or bit: 16 or 32",
            )

    def architecture_conflicts(self) -> Iterator[Conflict]:
        """Yield the parts of the model that don't go together."""
        if self.lora_activate and self.freeze_backbone is False:
            yield Conflict(
                "freeze_backbone",
                "LoRA keeps the backbone frozen; set lora_activate: False to train all its weights",
            )
        if self.description_prior and self.model == "tiny":
            yield Conflict(
                "description_prior",
                "needs a pretrained model; the random weights of model: tiny don't carry meaning",
            )
        if self.cpu_precision == "float32" and self.bit != 32:
            yield Conflict(
                "cpu_precision",
                f"bit: {self.bit} computes in half precision on a CPU, too; leave it out, or set "
                "bit: 32",
            )
        length, stride = self.chunk_len, self.chunk_stride
        if length is not None and stride is not None and stride > length - 4:
            yield Conflict(
                "chunk_stride", f"chunks of {length} tokens must overlap; use {length * 3 // 4}"
            )
        if self.pooling_mode == "bos_token" and self.attention == "causal":
            yield Conflict(
                "pooling_mode",
                "the first token can't see any other with causal attention; use eos_token or mean",
            )
