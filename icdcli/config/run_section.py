"""The section ``run`` of the configuration."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from icdcli.config.fields import Integer, Section, UserPath, require_unique
from icdcli.errors import ConfigError


def _parse_device(value: Any) -> Any:
    """Return a device, however it is written, as ``cpu``, ``mps`` or a list of GPU numbers."""
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


def _is_folder_name(name: str) -> bool:
    """Return whether a run folder can have a name."""
    return name not in ("", ".", "..") and not any(mark in name for mark in "/\\:")


def require_name(name: str) -> None:
    """Check the value of ``--name``.

    Raises:
        ConfigError: If no run folder can have this name.
    """
    if not _is_folder_name(name):
        raise ConfigError(f"--name: {name!r} should be the name of a folder, without / \\ and :.")


def _check_name(name: Any) -> Any:
    if isinstance(name, str) and not _is_folder_name(name):
        raise ValueError(
            "should be the name of a folder, without / \\ and :. Its parent folder is `project`"
        )
    return name


Device = Annotated[
    Literal["cpu", "mps"] | list[Annotated[int, Field(ge=0)]], BeforeValidator(_parse_device)
]


class RunConfig(Section):
    """The random seed, device and output folder of a run."""

    seed: Integer = Field(0, ge=0, description="seed of every random number generator")
    seeds: Annotated[list[Annotated[Integer, Field(ge=0)]], AfterValidator(require_unique)] = Field(
        [], description="train one model per seed, and combine them in an ensemble; []: only `seed`"
    )
    deterministic: bool = Field(
        True, description="use only algorithms that give the same result in every run"
    )
    device: Device = Field(
        [0], description="GPU numbers such as [0], [0,1] or [1,2,3]; or cpu; or mps"
    )
    project: UserPath = Field(
        Path("outputs/mimic3"), description="folder that contains the project's runs"
    )
    name: Annotated[str, BeforeValidator(_check_name)] = Field(
        "automatic_coding",
        min_length=1,
        pattern=r"^[^/\\:]+$",
        description="name of the run's folder within project",
    )
