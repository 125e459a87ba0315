"""The identity of a base model: where its files are, and the hash of each.

A checkpoint whose backbone was frozen has no copy of the base model. It stores this identity
instead, so that a base model that was changed, exchanged or moved is found before it is used.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from icdcli.config.loading import load_config
from icdcli.config.run_paths import RUN_CONFIG
from icdcli.errors import ConfigError, IcdcodeError, ResumeError
from icdcli.io.fingerprints import file_hash
from icdcli.model.files.checkpoint_files import is_tfidf, peek_settings
from icdcli.model.hub import MINILM, PretrainedSource, find_pretrained
from icdcli.run_dir import run_of

_CONFIG = "config.json"
# In the order in which transformers and peft look for them.
_WEIGHTS = (
    "adapter_model.safetensors",
    "adapter_model.bin",
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_FAST_TOKENIZER = "tokenizer.json"
_VOCABULARY = ("vocab.txt", "vocab.json", "merges.txt", "*.model")  # without a tokenizer.json
_TOKENIZER_OPTIONS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
# They change when a file is written again or moved, and nothing depends on them.
_NO_MATTER = ("_name_or_path", "name_or_path", "transformers_version", "dtype", "torch_dtype")
FilesOf = Callable[[Path], list[Path]]


@dataclass(frozen=True)
class BasePart:
    """A part of a base model: its weights, its tokenizer, or an adapter.

    Attributes:
        at: The folder, absolute or relative to the checkpoint's folder (``./base``); or the id on
            the Hugging Face hub.
        commit: The commit on the hub; None for a folder.
        files: File name to hash (XXH3); empty if the files could not be found.
    """

    at: str
    commit: str | None
    files: Mapping[str, str]


@dataclass(frozen=True)
class BaseIdentity:
    """A base model as a checkpoint knows it.

    Attributes:
        name: Its name in the configuration.
        weights: The base weights.
        tokenizer: The tokenizer.
        adapters: The pretrained adapters, in the order of their training.
    """

    name: str
    weights: BasePart
    tokenizer: BasePart
    adapters: tuple[BasePart, ...] = ()

    @classmethod
    def of(cls, source: PretrainedSource) -> "BaseIdentity":
        """Return the identity of a base model that was just loaded.

        Raises:
            DataError: If a file can't be read.
        """
        return cls(
            source.name,
            _part(source.base, source.commit(source.base), weight_files),
            _part(source.tokenizer, source.commit(source.tokenizer), tokenizer_files),
            tuple(_part(at, source.commit(at), weight_files) for at in source.adapters),
        )

    @property
    def source(self) -> PretrainedSource:
        """Return where to load the base model from."""
        commits = {part.at: part.commit for part in self.parts if part.commit is not None}
        adapters = tuple(part.at for part in self.adapters)
        return PretrainedSource(
            self.name, self.weights.at, self.tokenizer.at, adapters, tuple(commits.items())
        )

    def located(self, checkpoint: Path) -> "BaseIdentity":
        """Return the identity with the folders in which the base model is now.

        A folder that was moved is found if the model's name in the configuration is relative and
        leads to it from the working directory.

        Args:
            checkpoint: The checkpoint's folder.

        Raises:
            ConfigError: If a folder isn't there.
        """
        parts = self.parts
        if self.name != MINILM or self.weights.at.startswith("./"):
            inside = [replace(part, at=_inside(part.at, checkpoint)) for part in parts]
            if all(part.commit is not None or Path(part.at).is_dir() for part in inside):
                return BaseIdentity(self.name, inside[0], inside[1], tuple(inside[2:]))
            missing = next(
                part.at for part in inside if part.commit is None and not Path(part.at).is_dir()
            )
            if _is_hub_id(missing):
                return self
            if not Path(self.name).expanduser().is_dir():
                raise ConfigError(
                    f"{missing}: this folder of the base model isn't there (model: {self.name}). "
                    f"Copy it to this place{_or_here(self.name)}."
                )
        found = find_pretrained(self.name)  # a package, or a folder that was moved
        places = (found.base, found.tokenizer, *found.adapters)
        if len(places) != len(parts):
            raise ConfigError(f"{found.base}: isn't the base model of this checkpoint.")
        moved = [
            replace(part, at=str(Path(at).absolute()) if Path(at).is_dir() else at)
            for part, at in zip(parts, places, strict=True)
        ]
        return BaseIdentity(self.name, moved[0], moved[1], tuple(moved[2:]))

    def check(self, checkpoint: Path) -> None:
        """Compare the files on this machine with those of the training.

        Files on the hub that aren't on this machine yet are left out.

        Raises:
            ResumeError: If a file differs or is missing.
        """
        for kind, part, files_of in self.kinds():
            folder = local_folder(part.at, part.commit)
            if folder is None or not part.files:
                continue
            now = _hashes(files_of(folder))
            differing = sorted(
                name
                for name in part.files.keys() | now.keys()
                if part.files.get(name) != now.get(name)
            )
            if differing:
                listed = ", ".join(differing[:3]) + (" …" if len(differing) > 3 else "")
                raise ResumeError(
                    f"{checkpoint}: {kind} {folder} is not the one of the training: {listed} "
                    f"{'differ' if len(differing) > 1 else 'differs'}. Restore the folder as it "
                    "was, or train again; with another base model, the scores would be wrong."
                )

    def state(self) -> str:
        """Return a hash over the files on this machine, as they are now."""
        now = [
            _hashes(files_of(folder))
            for _, part, files_of in self.kinds()
            if (folder := local_folder(part.at, part.commit)) is not None
        ]
        return hashlib.sha256(json.dumps(now, sort_keys=True).encode()).hexdigest()

    @property
    def parts(self) -> tuple[BasePart, ...]:
        """Return the weights, the tokenizer and the adapters."""
        return (self.weights, self.tokenizer, *self.adapters)

    def kinds(self) -> Iterator[tuple[str, BasePart, FilesOf]]:
        """Yield each part with what it is, and the function that lists its files in a folder."""
        yield "the base model", self.weights, weight_files
        yield "the tokenizer", self.tokenizer, tokenizer_files
        for part in self.adapters:
            yield "the pretrained adapter", part, weight_files

    def to_json(self) -> dict[str, Any]:
        """Return the identity as JSON's types."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any] | None) -> "BaseIdentity | None":
        """Return the identity that `to_json` returned; None for an earlier version's checkpoint."""
        if content is None:
            return None
        return cls(
            content["name"],
            BasePart(**content["weights"]),
            BasePart(**content["tokenizer"]),
            tuple(BasePart(**part) for part in content["adapters"]),
        )


def current_state(checkpoint: Path) -> str:
    """Return a hash of the base model that a checkpoint is loaded with now.

    It is empty if the checkpoint needs none, or if none can be found; loading then reports why.
    """
    settings = peek_settings(checkpoint)
    if is_tfidf(checkpoint) or not needs_base(settings):
        return ""
    try:
        return base_of(settings, checkpoint).state()
    except IcdcodeError:
        return ""


def needs_base(settings: Mapping[str, Any]) -> bool:
    """Return whether a network's checkpoint is loaded together with its base model.

    A checkpoint with all weights of a trained backbone needs the base model, too, if it has a
    description prior: similarities are those of the untrained backbone.
    """
    return bool(settings) and (not settings["own_backbone"] or bool(settings["descriptions"]))


def base_of(settings: Mapping[str, Any], checkpoint: Path) -> BaseIdentity:
    """Return the base model of a checkpoint and where it is now.

    In a checkpoint of an earlier version, only its name is stored: it is the base model as it is
    now, and a relative folder is found as the run's configuration finds its paths.

    Args:
        settings: The checkpoint's settings.
        checkpoint: The checkpoint's folder.

    Raises:
        ConfigError: If it can't be found.
        DataError: If a file can't be read.
    """
    stored = BaseIdentity.from_json(settings.get("base"))
    if stored is not None:
        return stored.located(checkpoint)
    name, run = settings["model"]["model"], run_of(checkpoint)
    if run is not None:
        resolved = load_config(run / RUN_CONFIG).model.model
        name = resolved if Path(resolved).is_dir() else name
    return BaseIdentity.of(find_pretrained(name))


def find_base(folder: Path, settings: Mapping[str, Any]) -> BaseIdentity | None:
    """Return the base model of a checkpoint, and check its files if they are on this machine.

    Args:
        folder: The checkpoint's folder.
        settings: The checkpoint's settings.

    Raises:
        ConfigError: If the base model is needed and can't be found.
        ResumeError: If it isn't the one of the training.
    """
    if not needs_base(settings):
        return BaseIdentity.from_json(settings.get("base"))
    with naming_checkpoint(folder, settings["own_backbone"]):
        base = base_of(settings, folder)
    base.check(folder)
    return base


@contextmanager
def naming_checkpoint(folder: Path, for_prior: bool = False) -> Iterator[None]:
    """Add to an error of the base model which checkpoint needs it, and what for."""
    try:
        yield
    except ConfigError as error:
        what = "its base model is needed to load it"
        if for_prior:
            what += ", because its description prior reads notes with the untrained backbone"
        raise ConfigError(f"{folder}: {what}. {error}") from error


def local_folder(at: str, commit: str | None) -> Path | None:
    """Return the folder that has the files of a base model on this machine; None: there is none."""
    from huggingface_hub import try_to_load_from_cache

    if Path(at).is_dir():
        return Path(at)
    for name in (_CONFIG, "adapter_config.json"):
        found = try_to_load_from_cache(at, name, revision=commit) if _is_hub_id(at) else None
        if isinstance(found, str):
            return Path(found).parent
    return None


def weight_files(folder: Path) -> list[Path]:
    """Return the settings and the weights that transformers or peft load from a folder."""
    settings = [folder / name for name in (_CONFIG, "adapter_config.json")]
    first = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    weights = [] if first is None else [first]
    if first is not None and first.name.endswith(".index.json"):
        shards = json.loads(first.read_text(encoding="utf-8"))["weight_map"].values()
        weights += [folder / name for name in sorted(set(shards))]
    return [path for path in (*settings, *weights) if path.is_file()]


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the files that decide how a folder's tokenizer works."""
    names = (_FAST_TOKENIZER,) if (folder / _FAST_TOKENIZER).is_file() else _VOCABULARY
    return [path for name in (*names, *_TOKENIZER_OPTIONS) for path in sorted(folder.glob(name))]


def is_folder(part: BasePart) -> bool:
    """Return whether a part is a folder of this machine."""
    return Path(part.at).is_absolute()


def copy_part(part: BasePart, files_of: FilesOf, checkpoint: Path, place: str) -> BasePart:
    """Copy the files of a base model into a checkpoint.

    Args:
        part: The part of the base model.
        files_of: Lists its files in a folder.
        checkpoint: The checkpoint's folder.
        place: The new folder in it, as ``./base``.

    Returns:
        The part at its new place.

    Raises:
        ConfigError: If its files are not on this machine.
        OSError: If a file can't be copied.
    """
    folder = local_folder(part.at, part.commit)
    if folder is None:
        raise ConfigError(
            f"{part.at}: isn't on this machine yet. Load the model once (icdcode predict), then "
            "export it."
        )
    (checkpoint / place).mkdir(exist_ok=True)
    for path in files_of(folder):
        shutil.copyfile(path, checkpoint / place / path.name)
    return BasePart(place, None, _hashes(files_of(checkpoint / place)))


def _part(at: str, commit: str | None, files_of: FilesOf) -> BasePart:
    folder = local_folder(at, commit)
    if folder is None:
        return BasePart(at, commit, {})
    if Path(at).is_dir():
        return BasePart(str(folder.absolute()), None, _hashes(files_of(folder)))
    return BasePart(at, folder.name, _hashes(files_of(folder)))


def _hashes(paths: list[Path]) -> dict[str, str]:
    return {path.name: _hash(path) for path in paths}


def _hash(path: Path) -> str:
    if path.suffix == ".json" and path.name != _FAST_TOKENIZER:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            kept = {key: value for key, value in content.items() if key not in _NO_MATTER}
        except (OSError, ValueError, AttributeError):
            return file_hash(path)
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:32]
    state = path.stat()
    # The time of the last change of the inode can't be set by users.
    return _file_hash(path, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


@cache
def _file_hash(path: Path, *_state: int) -> str:
    """Return a file's hash, computed once per process unless the file changes."""
    return file_hash(path)


def _inside(at: str, checkpoint: Path) -> str:
    return str((checkpoint / at).absolute()) if at.startswith("./") else at


def _is_hub_id(at: str) -> bool:
    return not at.startswith((".", "/", "~")) and at.count("/") <= 1 and not Path(at).is_absolute()


def _or_here(name: str) -> str:
    if Path(name).expanduser().is_absolute():
        return ""
    return f", or call icdcode from a folder in which {name} is the base model"
