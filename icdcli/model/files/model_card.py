"""The model card of an exported model: what it does, how good it is, and what to take care of."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icdcli import __version__
from icdcli.data.corpus.reader import Labels
from icdcli.icd.editions.records import edition_ids
from icdcli.io.manifest import checkpoint_identity
from icdcli.model.files.base_identity import BaseIdentity, is_folder
from icdcli.model.hub import MINILM
from icdcli.model.section import ENSEMBLE, TFIDF
from icdcli.model.threshold import Threshold

_SHOWN = (
    "map",
    "f1_micro",
    "f1_macro",
    "precision_micro",
    "recall_micro",
    "aucroc_micro",
    "aucroc_macro",
    "precision_at_5",
    "precision_at_8",
    "precision_at_15",
)
_PATIENT_TEXT = (
    "**Treat this folder like the notes that the model was trained on.** Its tokenizer (if it was "
    "trained with the model), its lexical model and its TF-IDF vocabulary can contain words of "
    "notes, names among them; `labels.parquet` has the number of training documents per code; and "
    "weights can reveal texts that they were trained on. Only you can read the folder. Before you "
    "pass it on, check what the data use agreement of the training data allows."
)


@dataclass(frozen=True)
class Facts:
    """What a model card says.

    Attributes:
        model: The model section of the configuration, without paths.
        settings: All settings of the checkpoint.
        labels: The label space.
        corpus: The name of the corpus that it was trained on.
        evaluations: For each split, the content of its ``metrics.json``.
        validation: The metrics that the checkpoint was chosen by; None for an undefined one.
        base: The base model; None: it has none, or it is unknown.
        needs_base: Whether the base model is needed to load the model.
        base_included: Whether the folder has the base model's weights.
        measured_by: How these metrics were found; None: on the validation split.
    """

    model: Mapping[str, Any]
    settings: Mapping[str, Any]
    labels: Labels
    corpus: str
    evaluations: Mapping[str, Mapping[str, Any]]
    validation: Mapping[str, float | None]
    base: BaseIdentity | None
    needs_base: bool
    base_included: bool
    measured_by: str | None = None


def evaluations_of(run: Path, manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the evaluations of a run that were made with a checkpoint, by split."""
    identity, found = checkpoint_identity(manifest), {}
    for path in sorted(run.glob("evaluation/*/metrics.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.items() >= identity.items():
                found[str(content["split"])] = content
        except (OSError, ValueError, KeyError, AttributeError):
            continue  # the card does without it
    return found


def model_card(facts: Facts) -> str:
    """Return the model card as Markdown with a YAML header, as the Hugging Face hub reads it."""
    return "\n".join([*_header(facts), *_task(facts), *_quality(facts), *_use(), *_base(facts)])


def _header(facts: Facts) -> Iterator[str]:
    yield from ("---", "library_name: icdcode", "license: unknown")
    yield "tags: [icd-coding, clinical-notes]"
    if facts.base is not None and facts.base.weights.commit is not None:
        yield f"base_model: {facts.base.weights.at}"
    yield from ("---", "", "# A model that assigns ICD codes to clinical notes", "")
    yield from (_PATIENT_TEXT, "")


def _task(facts: Facts) -> Iterator[str]:
    kinds = Counter(facts.labels.kinds)
    counted = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
    threshold = Threshold.from_json(facts.settings["threshold"])
    parts = [str(facts.model["model"])]
    if members := _members(facts):
        parts = [f"ensemble of {', '.join(members)}"]
    if facts.settings.get("lexical"):
        parts.append("lexical model")
    if facts.settings.get("descriptions"):
        parts.append("description prior")
    yield from ("## Task", "")
    yield "Multi-label classification: the codes of one note or of all notes of an encounter."
    yield from ("", "| | |", "|---|---|")
    yield f"| codes | {len(facts.labels):,} ({counted}) |"
    yield f"| code system | {', '.join(edition_ids(facts.labels.editions)) or 'unknown'} |"
    yield f"| threshold | {threshold} |"
    yield f"| model | {', '.join(parts)} |"
    if "max_len" in facts.model and facts.model["model"] not in (TFIDF, ENSEMBLE):
        yield f"| tokens per document | {facts.model['max_len']:,} |"
    yield f"| text cleaning | {facts.settings.get('text_cleaning', 'none')} |"
    yield f"| training corpus | {facts.corpus or 'unknown'} |"
    yield from (f"| exported by | icdcode {__version__} |", "")
    yield "It supports professional coders and research. It is no medical device, and its codes"
    yield from ("need a review.", "")


def _members(facts: Facts) -> list[str]:
    """Return the names of the members of an ensemble; none for any other model."""
    return [str(one["name"]) for one in facts.settings.get("members", ())]


def _quality(facts: Facts) -> Iterator[str]:
    yield from ("## Metrics", "")
    if not facts.evaluations:
        defined = {
            name: value
            for name, value in facts.validation.items()
            if value is not None and not math.isnan(value)
        }
        if not defined:
            yield from ("Not evaluated.", "")
            return
        if facts.measured_by is None:
            yield "On the validation split, on which the checkpoint was chosen:"
        else:
            yield f"By {facts.measured_by}, since this model has seen all of these documents:"
        yield from ("", "| metric | validation |", "|---|---:|")
        yield from (f"| {name} | {value:.3f} |" for name, value in defined.items())
        yield ""
        return
    splits = list(facts.evaluations)
    yield "With 95 % intervals over documents. The checkpoint and the threshold were chosen "
    yield from (f"by {facts.measured_by or 'the validation split'}.", "")
    yield f"| metric | {' | '.join(splits)} |"
    yield f"|---|{'---:|' * len(splits)}"
    for name in _SHOWN:
        cells = [_cell(facts.evaluations[split], name) for split in splits]
        if any(cells):
            yield f"| {name} | {' | '.join(cells)} |"
    documents = (f"{int(facts.evaluations[split]['documents']):,}" for split in splits)
    yield from (f"| documents | {' | '.join(documents)} |", "")


def _cell(evaluation: Mapping[str, Any], name: str) -> str:
    value, interval = evaluation["metrics"].get(name), evaluation["intervals"].get(name)
    if value is None:
        return ""
    if not interval or None in interval:
        return f"{value:.3f}"
    return f"{value:.3f} ({interval[0]:.3f}–{interval[1]:.3f})"


def _use() -> Iterator[str]:
    yield from ("## Use", "", "```python", "import icdcli", "")
    yield 'model = icdcli.load_model("FOLDER")  # this folder'
    yield 'model.predict(["Known congestive heart failure, denies chest pain."])'
    yield from (
        "```",
        "",
        "```bash",
        "icdcode predict FOLDER notes.csv --output codes.jsonl",
        "```",
    )
    yield ""
    yield "The training can't be resumed from here: the state of the optimizer isn't included. You"
    yield from (
        "may edit this file and `config.yaml`; all others are verified when they are loaded.",
        "",
    )


def _base(facts: Facts) -> Iterator[str]:
    yield from ("## Base model and license", "")
    if members := _members(facts):
        yield "Each member of the ensemble has its own base model and license. See these files:"
        yield from (f"- `members/{name}/README.md`" for name in members)
        yield ""
        return
    if facts.base is None:
        yield "There is no pretrained base model: all weights were learned from the training data."
        yield from ("Its license is for the owner of the training data to choose.", "")
        return
    at = facts.base.weights
    what = facts.base.name if is_folder(at) or at.at.startswith("./") else at.at
    yield f"Base model: {what}" + ("" if at.commit is None else f", commit {at.commit}") + "."
    if facts.base_included:
        yield "Its weights are in this folder."
    elif facts.needs_base:
        yield "Its weights are not in this folder; icdcode loads them when the model is loaded, and"
        yield "checks that they are the same."
    else:
        yield "All weights of the backbone were trained and are in this folder."
    if facts.base.name == MINILM:
        yield "License of the base model: Apache-2.0."
    else:
        yield "License of the base model: unknown to icdcode. Look it up before you pass it on. It"
        yield "can also bind adapters and trained weights that were made from it."
    yield ""
