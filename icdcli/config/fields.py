"""The base class of the configuration's sections, and the field types that several of them use."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
)

from icdcli.config.metric_names import METRICS, PRINCIPAL_METRICS
from icdcli.errors import ConfigError, nearest
from icdcli.io.tables.database import without_password

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # Path makes one slash of two
_VARIABLE = re.compile(r"(?:^|/)(\$\{?[A-Za-z_]\w*\}?|%[A-Za-z_]\w*%)")
_LARGEST = 2**63 - 1  # PyTorch and Parquet can't store a larger integer


class Section(BaseModel):
    """Base class of the sections: immutable, and closed to unknown keys.

    Attributes:
        older_names: Keys of the original guide that have a newer name, each with that name.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        protected_namespaces=(),
        hide_input_in_errors=True,  # which may be an address with a password
    )
    older_names: ClassVar[dict[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Conflict:
    """Values that are valid by themselves but can't be combined.

    Attributes:
        key: The key to change.
        message: The reason, and how to resolve it.
    """

    key: str
    message: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """The names that a text field accepts: a Literal of names that a registry finds.

    Example: ``dataset: Annotated[str, OneOf(source_names())]``
    """

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Return the schema of pydantic that a Literal has."""
        return handler.generate_schema(Literal[self.names])


def reject_bool(value: Any) -> Any:
    """Return the value unchanged, and raise ValueError for a bool.

    Python takes ``True`` for 1; in a configuration it is a mistake, not a number.
    """
    if isinstance(value, bool):
        raise ValueError("should be a number, not True or False")
    return value


def require_unique(values: list[str]) -> list[str]:
    """Return the values unchanged, and raise ValueError if one occurs twice."""
    if len(set(values)) < len(values):
        raise ValueError("contains a value twice")
    return values


def require_metric(name: str) -> str:
    """Return the name unchanged, and raise ValueError if it is not a metric."""
    known = METRICS | PRINCIPAL_METRICS
    if name not in known:
        hint = nearest(name, known) or f"; known: {', '.join(known)}"
        raise ValueError(f"unknown metric {name!r}{hint}")
    return name


def is_path(path: Any) -> bool:
    """Return whether a value is no URL, such as ``s3://bucket/notes``."""
    return not isinstance(path, str | Path) or _URL.match(str(path)) is None


def require_local(path: Any) -> Any:
    """Return a path unchanged, and raise ValueError if it is a URL, such as ``s3://bucket/notes``.

    Python would take it for a folder ``s3:``, which would be created or not be found.
    """
    if not is_path(path):
        raise ValueError(
            "should be a file or folder of this machine, not a URL. Copy the data here, or write "
            "here and copy the results afterwards"
        )
    return path


def refuse_url(path: Path | str, argument: str) -> None:
    """Raise an error if an argument is a URL instead of a path.

    Args:
        path: The path.
        argument: How the user wrote it, for the message.

    Raises:
        ConfigError: If it is one.
    """
    try:
        require_local(path)
    except ValueError as error:
        raise ConfigError(f"{without_password(argument)}: {error}.") from None


def _require_whole(value: Any) -> Any:
    """Raise ValueError for ``60.000``: it is 60 in English and 60,000 in many other languages."""
    if isinstance(value, float) or (isinstance(value, str) and "." in value):
        raise ValueError("should be a whole number, written without a point")
    return value


def _expand_home(path: Path) -> Path:
    if variable := _VARIABLE.search(path.as_posix()):
        raise ValueError(
            f"should be a path, and {variable[1]} isn't replaced here. Write the path itself; ~ is "
            "the home folder"
        )
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError(
            f"there is no home folder for {path.parts[0]!r}; write the folder's full path"
        ) from None


def _require_64_bits(value: int) -> int:
    if abs(value) > _LARGEST:
        raise ValueError(f"should be at most {_LARGEST}, the largest number of 64 bits")
    return value


Integer = Annotated[
    int,
    BeforeValidator(_require_whole),
    BeforeValidator(reject_bool),
    AfterValidator(_require_64_bits),
]
Number = Annotated[float, BeforeValidator(reject_bool), Field(allow_inf_nan=False)]
UserPath = Annotated[Path, BeforeValidator(require_local), AfterValidator(_expand_home)]
Metric = Annotated[str, AfterValidator(require_metric)]
