"""Codes that name their coding system, and the documents that they belong to."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from icdcli.data.sources.admission import Code
from icdcli.errors import ConfigError, DataError
from icdcli.icd.code_system import shape_of
from icdcli.icd.codes import System, dotted
from icdcli.icd.editions.catalog import is_in_an_edition
from icdcli.icd.editions.standard_names import system_named
from icdcli.io.csv_reader import Reading
from icdcli.io.raw_tables import list_folder

_SYSTEMS: dict[tuple[System, str], str] = {
    ("icd10", "diagnosis"): "icd10cm",
    ("icd10", "procedure"): "icd10pcs",
    ("icd9", "diagnosis"): "icd9cm",
    ("icd9", "procedure"): "icd9cm",
}
_SHOWN = 3  # systems that a message names
_BETWEEN_REPORTS = 1024

T = TypeVar("T")


@dataclass
class NamedCodes:
    """Reads the codes of one coding system, and counts the others.

    Attributes:
        system: The coding system.
        reading: Counts codes that are dropped.
        others: Name of another coding system to the number of its codes.
    """

    system: System
    reading: Reading
    others: Counter[str] = field(default_factory=Counter)
    _unknown: int = field(default=0, repr=False)

    def read(self, name: str | None, written: str, kind: str) -> Code | None:
        """Return a code; None: it is of another system, or of none.

        Args:
            name: What its source calls the coding system; None: it doesn't say.
            written: The code.
            kind: Its kind.
        """
        if name and system_named(name) != _SYSTEMS[self.system, kind]:
            self.others[name.strip()[:60]] += 1
            return None
        try:
            code = dotted(written, kind, self.system)
        except ValueError:
            code = ""
        if not code or not is_in_an_edition(code, self.system):
            self.reading.drop(f"{kind} codes that aren't of {self.system}", 1)
            self._unknown += 1
            return None
        return Code(code, kind)

    def require(self, found: object, path: Path) -> None:
        """Raise an error if no code of the coding system was found.

        Args:
            found: What was found, also if its encounter isn't known.
            path: The file or folder, for the message.

        Raises:
            DataError: If so; the message names the systems that were.
        """
        if found:
            return
        names = ", ".join(name for name, _ in self.others.most_common(_SHOWN))
        there = f" It has codes of {names}." if names else ""
        if self._unknown:
            there += (
                f" Codes that are marked as {self.system} but are in no edition: {self._unknown:,}."
            )
        raise DataError(
            f"{path}: has no code of {self.system} (code_system).{there} Set code_system to icd9 "
            "or icd10, or add the files with the codes."
        )

    def finish(self) -> None:
        """Count the codes of other systems among those that are dropped."""
        self.reading.drop("codes of other coding systems", self.others.total())


def american_system(code_system: str | None, dataset: str) -> System:
    """Return the coding system of a configuration.

    Raises:
        ConfigError: If it is one that messages don't name in one way.
    """
    system = "icd10" if code_system is None else shape_of(code_system)
    if system is None:
        raise ConfigError(
            f"code_system: {code_system} isn't read from dataset: {dataset}, which knows icd9 and "
            "icd10. Make a table of the notes and codes instead."
        )
    return system


def files_in(path: Path, is_one: Callable[[Path], bool], kind: str) -> list[Path]:
    """Return a file, or the files of a folder that are of a kind, in the order of their names.

    Args:
        path: The file or folder.
        is_one: Returns whether a file is of the kind.
        kind: What these files have, for the message.

    Raises:
        DataError: If the folder has none, or can't be read.
    """
    if not path.is_dir():
        return [path]
    found = sorted(file for file in list_folder(path) if file.is_file() and is_one(file))
    if not found:
        raise DataError(f"{path}: no file of this folder has {kind}. Give a folder that has them.")
    return found


def note_choices(reading: Reading, files: Sequence[Path], remarks: Sequence[str]) -> None:
    """Note how the notes were read: of one file its remarks, of several a summary.

    What has no notes isn't named, since codes were read from it.
    """
    if len(files) == 1:
        reading.choices["notes"] = "; ".join(one.partition("; not read")[0] for one in remarks)
    else:
        reading.choices["notes"] = f"of {len(remarks):,} of {len(files):,} files"


def with_progress(items: Iterable[T], reading: Reading, stage: str, unit: str) -> Iterator[T]:
    """Yield items, and report how many were read."""
    for number, item in enumerate(items, start=1):
        yield item
        if reading.on_progress and number % _BETWEEN_REPORTS == 0:
            reading.on_progress(stage, number, 0, unit)
