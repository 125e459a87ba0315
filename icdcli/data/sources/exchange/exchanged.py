"""What the sources of exchanged records have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from icdcli.data.benchmarks.protocols import PATIENT, Protocol, choose_protocol
from icdcli.data.section import DataConfig
from icdcli.data.sources.admission import Code
from icdcli.data.sources.exchange.named_codes import american_system
from icdcli.data.sources.registry import ChosenSource, Match, Source, SourceType, register
from icdcli.icd.codes import System
from icdcli.io.csv_reader import Reading

_PROTOCOLS = (PATIENT,)


@dataclass(frozen=True)
class Exchanged:
    """A file or folder of exchanged records.

    Attributes:
        path: The file or folder.
        system: The coding system whose codes are read.
        reading: Collects the counts of what is dropped.
        note_types: The types of the notes to read; None: all.
    """

    path: Path
    system: System = "icd10"
    reading: Reading = field(default_factory=Reading)
    note_types: Sequence[str] | None = None

    @property
    def titles(self) -> dict[Code, str]:
        """Return nothing: titles are those of the editions."""
        return {}


def register_exchanged(
    name: str,
    looks_like: str,
    recognizes: Callable[[Path], Match],
    opens: Callable[[Path, System, Reading, Sequence[str] | None], Source],
    protocols_of: Callable[[Path], Sequence[Protocol]] = lambda _: _PROTOCOLS,
) -> None:
    """Register a source of exchanged records.

    Args:
        name: Its name, as ``dataset`` has it.
        looks_like: What its files look like, for messages.
        recognizes: Returns how well a file or folder fits it.
        opens: Returns the source of a file or folder, with the attributes of `Exchanged`.
        protocols_of: Returns the protocols of a file or folder, the default first.
    """

    def open_source(config: DataConfig, reading: Reading) -> ChosenSource:
        known = protocols_of(config.path)
        protocol = choose_protocol(name, known, config.protocol)
        system = american_system(config.code_system, name)
        options: dict[str, Any] = {"code_system": system}
        if config.note_types is not None:
            options["note_types"] = config.note_types
        source = opens(config.path, system, reading, config.note_types)
        ignored = f"the data set's own splits are ignored, since protocol is {protocol.name}"
        notices = () if protocol is known[0] else (ignored,)
        return ChosenSource(name, source, protocol, options, notices=notices)

    register(
        SourceType(
            name=name,
            looks_like=looks_like,
            protocols=_PROTOCOLS,
            recognizes=recognizes,
            open=open_source,
            is_file=None,
            own_options=("note_types",),
        )
    )
