"""What a checkpoint's adapter needs to know outside icdcode: its base model and its attention.

peft's own files don't say that a decoder reads in both directions. Loaded without that, Llama or
Mistral compute other hidden states, and nothing reports it.
"""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from icdcli.model.backbone import ADAPTER
from icdcli.model.files.base_identity import BaseIdentity
from icdcli.model.files.checkpoint_files import ADAPTER_FOLDER
from icdcli.model.section import QUANTIZED, ModelConfig

README = "README.md"
_QUANTIZATION = {
    8: "load_in_8bit=True",
    4: 'load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, '
    'bnb_4bit_compute_dtype="bfloat16"',
}
"""The options of `icdcli.model.backbone`, by ``bit``."""


def describe_adapter(
    checkpoint: Path, backbone: Any, base: BaseIdentity | None, config: ModelConfig
) -> None:
    """Write the settings of an adapter, if there is one, those of its base model, and a README.

    Args:
        checkpoint: The checkpoint's folder, with the adapter's weights.
        backbone: The backbone with the adapter.
        base: The base model; None: its weights are random, and the checkpoint has them.
        config: The model section of the configuration.
    """
    if not config.lora_activate:
        return
    folder, ours = checkpoint / ADAPTER_FOLDER, backbone.peft_config[ADAPTER]
    # Always, also for an adapter that was added to pretrained ones.
    ours.base_model_name_or_path = config.model if base is None else base.weights.at
    ours.revision = None if base is None else base.weights.commit
    ours.save_pretrained(str(folder))
    settings = copy.deepcopy(backbone.get_base_model().config)
    # With it, transformers would take the weights of the base model for quantized ones.
    if hasattr(settings, "quantization_config"):
        del settings.quantization_config
    settings.save_pretrained(folder)
    text = adapter_readme(folder, base, config.attention, config.bit)
    (folder / README).write_text(text, encoding="utf-8")


def adapter_readme(folder: Path, base: BaseIdentity | None, attention: str, bit: int) -> str:
    """Return how to load an adapter with transformers and peft.

    Args:
        folder: The adapter's folder, with the settings of its base model.
        base: The base model; None: its weights are random, and the checkpoint has them.
        attention: ``attention`` of the configuration.
        bit: ``bit`` of the configuration.
    """
    lines = [
        "# Adapter of an icdcode model",
        "",
        "The scores of codes need the complete checkpoint (`icdcli.load_model`): the head is in",
        "`head.safetensors`, in the folder above this one.",
        "",
    ]
    if base is None:
        lines += [
            "The base model has random weights, which are in `head.safetensors`, too. This adapter",
            "is of no use without them.",
        ]
    else:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        lines += _attention(attention, settings) + _recipe(base, bit)
    return "\n".join(lines) + "\n"


def _attention(attention: str, settings: Mapping[str, Any]) -> list[str]:
    if settings.get("is_causal") is None:
        return ["The base model is an encoder: its attention is bidirectional anyway.", ""]
    if attention == "causal":
        return ["Attention is causal, as in the base model.", ""]
    return [
        "**Attention is bidirectional.** It was trained so; the base model alone is causal. If you",
        "load the base model without the `config.json` of this folder, attention is causal and the",
        "hidden states are wrong. No program reports that.",
        "",
    ]


def _recipe(base: BaseIdentity, bit: int) -> list[str]:
    options = _of(base.weights.commit)
    if bit in QUANTIZED:
        options += f", quantization_config=BitsAndBytesConfig({_QUANTIZATION[bit]})"
    lines = [
        "The same hidden states as in icdcode, with transformers and peft, called in this folder:",
        "",
        "```python",
        'settings = AutoConfig.from_pretrained(".")',
        f'base = AutoModel.from_pretrained("{base.weights.at}", config=settings{options})',
    ]
    if not base.adapters:
        lines.append('model = PeftModel.from_pretrained(base, ".")')
    else:
        names = [f"pretrained{number}" for number in range(len(base.adapters))]
        first, *others = zip(base.adapters, names, strict=True)
        load = "model = PeftModel.from_pretrained(base, "
        lines.append(f'{load}"{first[0].at}", adapter_name="{first[1]}"{_of(first[0].commit)})')
        for part, name in others:
            lines.append(
                f'model.load_adapter("{part.at}", adapter_name="{name}"{_of(part.commit)})'
            )
        lines.append('model.load_adapter(".", adapter_name="default")')
        lines.append(f"model.base_model.set_adapter({[*names, 'default']})")
    lines += ["```", ""]
    if bit in QUANTIZED:
        lines += [f"The base model is quantized to {bit} bits when it is loaded.", ""]
    return lines


def _of(commit: str | None) -> str:
    return "" if commit is None else f', revision="{commit}"'
