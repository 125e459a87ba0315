"""Export a trained model as one plain folder, for another machine or another person."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icdcli.config.loading import load_config, to_yaml
from icdcli.config.run_paths import RUN_CONFIG, change_keys
from icdcli.config.schema import Config
from icdcli.data.corpus.reader import read_labels
from icdcli.errors import ConfigError, IcdcodeError
from icdcli.icd.code_system import FILE
from icdcli.io.folders import new_folder
from icdcli.io.manifest import MANIFEST, manifest_sha256, read_manifest, verify, write_manifest
from icdcli.model.checkpoint import read_checkpoint
from icdcli.model.ensemble.references import is_ensemble, read_references, write_references
from icdcli.model.files.adapter_card import adapter_readme
from icdcli.model.files.base_identity import (
    BaseIdentity,
    BasePart,
    base_of,
    copy_part,
    is_folder,
    needs_base,
)
from icdcli.model.files.checkpoint_files import (
    ADAPTER_FOLDER,
    LABELS,
    is_tfidf,
    peek_settings,
    replace_settings,
)
from icdcli.model.files.checkpoint_labels import EXPORTED_CONFIG, checkpoint_labels
from icdcli.model.files.model_card import Facts, evaluations_of, model_card
from icdcli.model.hub import MINILM
from icdcli.run_dir import run_of

_STATE, _README = "state.pt", "README.md"
_ADAPTER_SETTINGS = "adapter_config.json"


@dataclass(frozen=True)
class ExportedModel:
    """An exported model.

    Attributes:
        folder: Its folder.
        checkpoint: The checkpoint that it was made from.
        labels: The number of codes.
        bytes: The size of all files.
        base_included: Whether the folder has the weights of the base model; None: it needs none.
    """

    folder: Path
    checkpoint: Path
    labels: int
    bytes: int
    base_included: bool | None

    def to_json(self) -> dict[str, Any]:
        """Return the values that ``icdcode export --json`` prints."""
        return {
            "folder": self.folder,
            "checkpoint": self.checkpoint,
            "labels": self.labels,
            "bytes": self.bytes,
            "base_included": self.base_included,
        }


def export_model(
    run: Path | str, output: Path | str, *, load: str = "metric", base: bool = False
) -> ExportedModel:
    """Export a trained model as one folder without links, with a model card.

    The folder is a checkpoint: `load_model` and ``icdcode predict`` open it, with the same scores.
    It has no state of the training, no path of this machine and no notes; but its tokenizer and its
    lexical model may contain words of notes, so that only the user can read it.

    Args:
        run: The folder of a run or of a checkpoint.
        output: The folder to write; it must not exist.
        load: The checkpoint of a run: ``metric``, ``loss`` or ``last``.
        base: Whether to include the weights of the base model, as far as the model needs them.

    Raises:
        ConfigError: If there is no such run, if the folder exists or can't be made, or if the base
            model is a folder of this machine and isn't included.
        DataError: If the folder can't be written.
        ResumeError: If the checkpoint or its base model is incomplete or was changed.

    Example:
        >>> icdcli.export_model("outputs/demo/tiny", "tiny-model")  # doctest: +SKIP
    """
    output = Path(output)
    with new_folder(output) as partial:
        checkpoint, included = read_checkpoint(
            run, load, lambda folder: _fill(partial, folder, base)
        )
        labels = len(read_labels(partial / LABELS))
        for folder in (partial, *(path.parent for path in partial.glob(f"members/*/{MANIFEST}"))):
            verify(folder)
        size = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
    return ExportedModel(output, checkpoint, labels, size, included)


def _fill(partial: Path, checkpoint: Path, with_base: bool) -> bool | None:
    """Write all files; return whether the base model is among them, None if none is needed."""
    for path in partial.iterdir():  # of an attempt that training interrupted
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if is_ensemble(checkpoint):
        return _fill_ensemble(partial, checkpoint, with_base)
    manifest = verify(checkpoint)
    settings = peek_settings(checkpoint)
    needed = not is_tfidf(checkpoint) and needs_base(settings)
    found = base_of(settings, checkpoint) if needed else _stored_base(settings)
    if found is not None and needed:
        found.check(checkpoint)
        if not with_base:
            _require_hub(found, checkpoint)
    for name in manifest["files"]:
        if name != _STATE:
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(checkpoint / name, partial / name)
    exported = None
    if found is not None:
        exported = _copy_base(found, partial) if needed and with_base else _public(found)
        if needed and with_base:
            exported.located(partial).check(partial)
    model = dict(settings["model"])
    model["model"] = exported.name if exported is not None else model["model"]
    new = {"model": model}
    replace_settings(partial, new if is_tfidf(partial) else new | {"base": _json(exported)})
    _describe_adapter(partial, exported, model)
    included = with_base if needed else None
    _describe(partial, checkpoint, {**settings, "model": model}, exported, included)
    return included


def _fill_ensemble(partial: Path, checkpoint: Path, with_base: bool) -> bool | None:
    """Write the files of an ensemble, and those of its members below them."""
    settings, members = read_references(checkpoint)
    inside, included = [], set()
    for one in members:
        folder = partial / "members" / one.name
        folder.mkdir(parents=True)
        included.add(_fill(folder, one.folder, with_base))
        inside.append(replace(one, folder=folder.absolute(), sha256=manifest_sha256(folder)))
    shutil.copyfile(checkpoint / LABELS, partial / LABELS)
    known = {key: value for key, value in settings.items() if key not in ("members", "format")}
    write_references(partial, known, inside)
    _describe(partial, checkpoint, settings, None, None)
    return None if included == {None} else False not in included


def _describe(
    partial: Path,
    checkpoint: Path,
    settings: Mapping[str, Any],
    base: BaseIdentity | None,
    included: bool | None,
) -> None:
    """Write the manifest, the configuration and the model card of an exported checkpoint.

    Args:
        partial: The folder, with all other files.
        checkpoint: The checkpoint that it was made from.
        settings: Its settings, without paths of this machine.
        base: The base model as it was exported; None: there is none.
        included: Whether its weights are in the folder; None: it isn't needed.
    """
    manifest = read_manifest(checkpoint)
    write_manifest(partial, {key: value for key, value in manifest.items() if key != "files"})
    # Not in the manifest: both may be edited.
    run, model = run_of(checkpoint), settings["model"]
    config = None if run is None else _public_config(run, model["model"])
    if config is not None:
        (partial / EXPORTED_CONFIG).write_text(to_yaml(config), encoding="utf-8")
    facts = Facts(
        model=model,
        settings=settings,
        labels=checkpoint_labels(partial),
        corpus=str(manifest.get("corpus", "")),
        evaluations={} if run is None else evaluations_of(run, manifest),
        validation=manifest.get("metrics", {}),
        base=base,
        needs_base=included is not None,
        base_included=bool(included),
        measured_by=manifest.get("measured_by"),
    )
    (partial / _README).write_text(model_card(facts), encoding="utf-8")


def _stored_base(settings: Mapping[str, Any]) -> BaseIdentity | None:
    return BaseIdentity.from_json(settings.get("base"))


def _json(base: BaseIdentity | None) -> dict[str, Any] | None:
    return None if base is None else base.to_json()


def _require_hub(base: BaseIdentity, checkpoint: Path) -> None:
    """Refuse to leave out a base model that is a folder of this machine."""
    if base.name == MINILM:
        return
    folder = next((part.at for part in base.parts if is_folder(part)), None)
    if folder is not None:
        raise ConfigError(
            f"{checkpoint}: its base model is a folder of this machine ({folder}), which nobody "
            "else can load. Add --base to include its weights."
        )


def _public(base: BaseIdentity) -> BaseIdentity:
    """Return the identity without the paths of this machine."""
    name = Path(base.name).name if any(map(is_folder, base.parts)) else base.name

    def public(part: BasePart) -> BasePart:
        if not is_folder(part):
            return part
        return replace(part, at=MINILM if base.name == MINILM else Path(part.at).name)

    weights, tokenizer, *adapters = map(public, base.parts)
    return BaseIdentity(name, weights, tokenizer, tuple(adapters))


def _copy_base(base: BaseIdentity, partial: Path) -> BaseIdentity:
    """Copy the base model into the folder and return its identity there."""
    places: dict[str, str] = {}
    copied = []
    for number, (_, part, files_of) in enumerate(base.kinds()):
        name = "base" if number == 0 else f"base-{'tokenizer' if number == 1 else number - 1}"
        place = places.setdefault(part.at, f"./{name}")
        copied.append(copy_part(part, files_of, partial, place))
    name = Path(base.name).name if is_folder(base.weights) else base.name
    return BaseIdentity(name, copied[0], copied[1], tuple(copied[2:]))


def _describe_adapter(partial: Path, base: BaseIdentity | None, model: Mapping[str, Any]) -> None:
    """Write where the base model of the adapter is, without a path of this machine."""
    folder = partial / ADAPTER_FOLDER
    if not folder.is_dir():
        return
    path = folder / _ADAPTER_SETTINGS
    settings = json.loads(path.read_text(encoding="utf-8"))
    beside = None
    if base is not None:
        # A path of the checkpoint's folder, as the adapter's folder sees it.
        parts = [replace(part, at=part.at.replace("./", "../", 1)) for part in base.parts]
        beside = BaseIdentity(base.name, parts[0], parts[1], tuple(parts[2:]))
    settings["base_model_name_or_path"] = beside.weights.at if beside else model["model"]
    settings["revision"] = beside.weights.commit if beside else None
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    if (folder / _README).exists():
        text = adapter_readme(folder, beside, str(model["attention"]), int(model["bit"]))
        (folder / _README).write_text(text, encoding="utf-8")


def _public_config(run: Path, model: str) -> Config | None:
    """Return the run's configuration without the paths of this machine."""
    try:
        config = load_config(run / RUN_CONFIG, as_typed=True)
    except IcdcodeError:
        return None  # the model doesn't need it
    usual = Config().flat()
    paths = [
        key
        for name in Config.sections
        for key, value in getattr(config, name)
        if isinstance(value, Path)
    ]
    changed = {**{key: usual[key] for key in paths}, "model": model}
    system = config.data.code_system
    if system is not None and system.startswith(FILE):
        changed["code_system"] = FILE + Path(system).name
    return change_keys(config, changed)
