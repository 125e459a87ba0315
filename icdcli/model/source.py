"""What ``model:`` names, and where its parts come from."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

from icdcli.errors import ConfigError

TINY = "tiny"
_LLM2VEC = "McGill-NLP/LLM2Vec-{}-mntp"
# LLM2Vec (BehnamGhader et al. 2024) publishes two adapters a model: masked next token prediction, then SimCSE on top of it.
_KNOWN = {
    "llama3": _LLM2VEC.format("Meta-Llama-3-8B-Instruct"),
    "mistral": _LLM2VEC.format("Mistral-7B-Instruct-v2"),
}


@dataclass(frozen=True)
class Source:
    """A pretrained backbone.

    Attributes:
        name: As written in the configuration.
        base: The Hugging Face id or folder of the base weights.
        tokenizer: The id or folder of the tokenizer.
        adapters: Ids or folders of pretrained adapters, in the order they were trained in; they stay frozen.
    """

    name: str
    base: str
    tokenizer: str
    adapters: tuple[str, ...] = ()


def find_source(name: str) -> Source:
    """Resolve the value of ``model:``.

    Raises:
        ConfigError: When it is neither a known name, nor a folder, nor a reachable id.
    """
    if name in _KNOWN:
        repository = _KNOWN[name]
        adapters: tuple[str, ...] = (repository, f"{repository}-unsup-simcse")
    else:
        repository, adapters = name, ()
        if not Path(name).is_dir() and (name.startswith((".", "/", "~")) or name.count("/") != 1):
            known = ", ".join([*_KNOWN, TINY])
            raise ConfigError(f"model: {name}: is no folder here and no Hugging Face id (owner/name); known names: {known}")
        if Path(name).is_dir() and not any((Path(name) / file).is_file() for file in ("config.json", "adapter_config.json")):
            raise ConfigError(f"model: {name}: the folder holds no Hugging Face model (no config.json)")
    with hub_errors(name, repository):
        base = _base_of_adapter(repository)
    if base is not None and not adapters:
        adapters = (repository,)
    return Source(name, base or repository, repository, adapters)


def _base_of_adapter(repository: str) -> str | None:
    from transformers.utils.peft_utils import find_adapter_config_file

    file = find_adapter_config_file(repository)
    if file is None:
        return None
    base = json.loads(Path(file).read_text(encoding="utf-8")).get("base_model_name_or_path")
    if not base:
        raise ConfigError(f"{file}: names no base model (base_model_name_or_path)")
    return str(base)


@contextmanager
def hub_errors(name: str, repository: str) -> Iterator[None]:
    """Turn what loading from a hub or folder can raise into one message that says what to do."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
    from safetensors import SafetensorError

    what = f"model: {name}" if name == repository else f"model: {name} ({repository})"
    try:
        yield
    except SafetensorError as error:
        raise ConfigError(f"{what}: its weights are damaged ({error}); copy or download it again") from error
    except ValueError as error:  # what transformers makes of a folder or repository that lacks a part
        raise ConfigError(f"{what}: can't be loaded: {shorten(str(error), 300, placeholder=' …')}") from error
    except (OSError, HfHubHTTPError) as error:
        chain = [error, error.__cause__, error.__context__]
        text = " ".join(str(link) for link in chain if link is not None)
        if Path(repository).is_dir():
            raise ConfigError(f"{what}: the folder can't be loaded: {str(error).splitlines()[0]}") from error
        if any(isinstance(link, GatedRepoError) for link in chain) or "gated" in text:
            raise ConfigError(
                f"{what}: is gated. Accept its licence on https://huggingface.co/{repository}, then run `hf auth login` "
                "with an access token"
            ) from error
        if any(isinstance(link, RepositoryNotFoundError) for link in chain):
            raise ConfigError(f"{what}: there is no such model on the hub, or it is private (`hf auth login`)") from error
        raise ConfigError(
            f"{what}: can't be reached, and is not in this machine's Hugging Face cache. Where there is a network, run "
            f"`hf download {repository} --local-dir FOLDER`, bring the folder here and set `model: FOLDER`"
        ) from error
