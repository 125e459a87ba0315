"""The coding system of a corpus: how its codes are written, and which editions say what they mean.

    icd9, icd10                the newest editions of ICD-9-CM; of ICD-10-CM and ICD-10-PCS
    icd10cm-2026, icd10cm      an edition by its name or the beginning of it
    kcd-9, icd10gm-2026 …      an edition that was imported
    file:codes.csv             a table of codes and titles

Codes of ICD-9-CM, ICD-10-CM and ICD-10-PCS are written with their dots, and their chapters and
blocks are known. Codes of all other systems are carried as they are.
"""

import re
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from pathlib import Path

from icdcli.errors import ConfigError, DataError
from icdcli.icd.codes import (
    KINDS,
    SYSTEMS,
    Kind,
    System,
    kind_of,
    system_name,
    without_placeholders,
)
from icdcli.icd.editions.catalog import editions as at_hand
from icdcli.icd.editions.catalog import find_edition, is_bundled, open_edition
from icdcli.icd.editions.edition import Edition
from icdcli.icd.editions.records import edition_record
from icdcli.icd.hierarchy import Group, chapter_of, chapters
from icdcli.icd.terms import inclusion_terms, terms_in
from icdcli.icd.titles import description, title_of

FILE = "file:"
"""What a coding system begins with that is a table of codes and titles."""

_EDITIONS: Mapping[str, tuple[System, Mapping[Kind, str]]] = {
    "icd9": ("icd9", {"diagnosis": "icd9cm", "procedure": "icd9cm"}),
    "icd10": ("icd10", {"diagnosis": "icd10cm", "procedure": "icd10pcs"}),
}
EARLIER: Mapping[str, str] = {"icd9": "icd9cm-32", "icd10": "icd10cm-2024"}
"""The editions of version 0.1.0, whose corpora and runs don't name any."""
_SHAPES: Mapping[str, str] = {"icd9cm": "icd9", "icd10cm": "icd10", "icd10pcs": "icd10"}
_KEPT = "edition-{kind}.parquet"


@dataclass(frozen=True, eq=False)
class CodeSystem:
    """The coding system of a corpus.

    Attributes:
        name: Its name in full: that of its edition, or ``file:`` and the file's name.
        shape: The system whose rules decide how codes are written; None: they are kept unchanged,
            and count as diagnoses.
        editions: The edition of each kind of code.
    """

    name: str
    shape: System | None
    editions: Mapping[Kind, Edition]

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Return the kinds of its codes."""
        return tuple(self.editions)

    def to_json(self) -> dict[str, dict[str, str]]:
        """Return the name and the hash of the edition of each kind."""
        return {kind: edition_record(edition) for kind, edition in self.editions.items()}

    def edition(self, kind: str) -> Edition | None:
        """Return the edition of a kind of code; None: it has none."""
        return next((edition for own, edition in self.editions.items() if own == kind), None)

    def title(self, code: str, kind: str) -> str | None:
        """Return the title of a code, also of one that an earlier edition had."""
        edition = self.edition(kind)
        found = edition.title(code) if edition is not None else None
        if found is None and self.shape is not None:
            return title_of(code, kind, self.shape)
        return found

    def description(
        self, code: str, kind: str, own_titles: Mapping[str, str] | None = None
    ) -> str | None:
        """Return a description of a code, even if it has no title.

        Args:
            code: The code.
            kind: Its kind.
            own_titles: Code to title from the data set's own tables, which are preferred.

        Returns:
            Its title, or the closest substitute; see `icdcli.icd.titles.description`. A code of
            another system has the title of the nearest code above it.
        """
        edition = self.edition(kind)
        if edition is None:
            return None
        if self.shape is not None:
            known = self._titles[edition.about.name]
            titles: Mapping[str, str] = known if not own_titles else _Both(own_titles, known)
            return description(code, kind, self.shape, titles)
        row = edition.spelled(code)
        if found := (own_titles or {}).get(code):
            return found
        if row is None:
            return None
        places = (row, *edition.above(row))
        return next((edition.titles[place] for place in places if edition.titles[place]), None)

    def terms(self, code: str, kind: str) -> tuple[str, ...]:
        """Return the inclusion terms of a code; see `icdcli.icd.terms.terms_in`."""
        edition = self.edition(kind)
        row = edition.spelled(code) if edition is not None else None
        if edition is not None and row is None and self.shape == "icd10" and kind == "diagnosis":
            code = without_placeholders(code)
            row = edition.spelled(code)
        if edition is not None and row is not None and edition.has_notes:
            return terms_in(edition, edition.codes[row])
        # An edition without notes has those of the newest tabular list.
        return inclusion_terms(code) if (self.shape, kind) == ("icd10", "diagnosis") else ()

    def described_codes(
        self, kinds: Iterable[str], own_titles: Iterable[tuple[str, str, str]] = ()
    ) -> Iterator[tuple[str, str, str]]:
        """Yield the codes that can be assigned and have a title: code, kind and title.

        A code of the data set's own tables that is the beginning of another one is left out; see
        `icdcli.icd.titles.described_codes`.

        Args:
            kinds: The kinds of the codes.
            own_titles: Code, kind and title from the data set's own tables, which are preferred.
        """
        own = list(own_titles)
        for kind in kinds:
            edition = self.edition(kind)
            known = dict(self._assignable(edition, kind)) if edition is not None else {}
            known |= {code: title for code, its_kind, title in own if its_kind == kind and title}
            ordered = sorted((code.replace(".", ""), code) for code in known)
            for (bare, code), (following, _) in zip(ordered, [*ordered[1:], ("", "")], strict=True):
                if self.shape is None or not following.startswith(bare):
                    yield code, kind, known[code]

    def chapters(self, kind: str) -> tuple[Group, ...]:
        """Return the chapters of a kind of code in official order.

        A system without chapters has the codes at its top.
        """
        edition = self.edition(kind)
        if edition is None:
            return ()
        if self.shape is not None:
            return chapters(self.shape, kind)
        return tuple(
            Group(edition.codes[row], edition.titles[row])
            for row in range(len(edition))
            if edition.parents_R[row] < 0
        )

    def chapter_of(self, code: str, kind: str) -> Group | None:
        """Return the chapter of a code; None: it is in none."""
        edition = self.edition(kind)
        if edition is None:
            return None
        if self.shape is not None:
            return chapter_of(code, kind, self.shape)
        row = edition.spelled(code)
        if row is None:
            return None
        top = (row, *edition.above(row))[-1]
        return Group(edition.codes[top], edition.titles[top])

    def _assignable(self, edition: Edition, kind: str) -> Iterator[tuple[str, str]]:
        several = self.shape if len(edition.about.kinds) > 1 else None
        for code, title in edition.assignable():
            if title and (several is None or kind_of(code, several) == kind):
                yield code, title

    def keep(self, folder: Path) -> None:
        """Copy the editions that aren't in this package into a folder."""
        for kind, edition in self.editions.items():
            if not is_bundled(edition):
                edition.write(folder / _KEPT.format(kind=kind))

    @cached_property
    def _titles(self) -> Mapping[str, dict[str, str]]:
        """Return the name of each edition to code and title, of rows with a title."""
        return {
            edition.about.name: {
                code: title
                for code, title in zip(edition.codes, edition.titles, strict=True)
                if title
            }
            for edition in self.editions.values()
        }


class _Both(ChainMap[str, str]):
    """Titles of a data set and, for codes that it lacks, those of an edition; only to be read."""

    def __init__(self, own: Mapping[str, str], official: Mapping[str, str]) -> None:
        super().__init__()
        self.maps = [own, official]  # type: ignore[list-item]  # nothing is written


def shape_of(name: str) -> System | None:
    """Return the system whose rules the codes of a configured system follow; None: none."""
    name = system_name(name)
    system = name if name in SYSTEMS else _SHAPES.get(name.partition("-")[0])
    return next((known for known in SYSTEMS if known == system), None)


def stored_code_system(
    name: str, editions: Mapping[Kind, Mapping[str, str]], folder: Path
) -> CodeSystem:
    """Open the coding system of a corpus or run, with the editions that it was made with.

    Args:
        name: `CodeSystem.name`.
        editions: What `CodeSystem.to_json` returned.
        folder: The folder with the editions that `CodeSystem.keep` has copied.

    Raises:
        ConfigError: An edition isn't at hand any more.
        DataError: An edition can't be read, or is another one than it was.
    """
    opened: dict[Kind, Edition] = {}
    for kind, stored in editions.items():
        kept = folder / _KEPT.format(kind=kind)
        found = open_edition(kept) if kept.is_file() else find_edition(stored["name"])
        if found.sha256 != stored["sha256"]:
            raise DataError(
                f"{folder}: the edition {stored['name']} is another one than when the data were "
                "prepared. Prepare them again."
            )
        opened[kind] = found
    return CodeSystem(name, shape_of(name), opened)


@cache
def earlier_editions(shape: System | None) -> Mapping[str, Mapping[str, str]] | None:
    """Return the editions of version 0.1.0 as `CodeSystem.to_json` does; None: it had none."""
    return None if shape is None else open_code_system(EARLIER[shape]).to_json()


def open_code_system(name: str, on: date | None = None) -> CodeSystem:
    """Open a coding system by its configured name.

    Args:
        name: As in ``code_system``.
        on: A day: the editions that were valid on it are taken; None: the newest.

    Raises:
        ConfigError: There is no such edition or file.
        DataError: It can't be read.
    """
    if name.startswith(FILE):
        path = Path(name.removeprefix(FILE)).expanduser()
        if not path.is_file():
            where = "" if path.is_absolute() else f" in {Path.cwd()}"
            raise ConfigError(
                f"{name}: no such file{where}. It is a table with the columns code and title."
            )
        # It imports the readers of all formats.
        from icdcli.icd.editions.importing import about_import, import_edition

        edition = import_edition(path, about_import(path, _name_of(path)))
        # Without its folder, which differs between machines.
        return CodeSystem(f"{FILE}{path.name}", None, {"diagnosis": edition})
    name = system_name(name)
    if name in _EDITIONS:
        shape, names = _EDITIONS[name]
        if on is not None:
            return open_code_system(find_edition(names["diagnosis"], on).about.name)
        editions = {kind: find_edition(names[kind], on) for kind in KINDS}
        return CodeSystem(editions["diagnosis"].about.name, shape, editions)
    edition = find_edition(name, on)
    own_shape, name = shape_of(name), edition.about.name
    if own_shape is None:
        return CodeSystem(name, None, {"diagnosis": edition})
    # A corpus may have codes of the other kind, too: those of the same year.
    _, names = _EDITIONS[own_shape]
    day = edition.about.valid_from
    editions = {
        kind: edition if kind in edition.about.kinds else find_edition(names[kind], day)
        for kind in KINDS
    }
    return CodeSystem(name, own_shape, editions)


def edition_of(name: str, on: date | None = None) -> Edition:
    """Open one edition, as commands name it.

    Args:
        name: As `icdcli.icd.editions.catalog.find_edition` takes it, or ``file:PATH``.
        on: A day, as there.

    Raises:
        ConfigError: There is no such edition or file.
        DataError: It can't be read.
    """
    if name.startswith(FILE):
        return open_code_system(name).editions["diagnosis"]
    return find_edition(name, on)


def beside_edition(name: str, on: date | None = None) -> CodeSystem:
    """Open one edition as `edition_of` does, with that of the other kind of the same year."""
    if name.startswith(FILE):
        return open_code_system(name)
    return open_code_system(find_edition(name, on).about.name)


def names_several(name: str) -> bool:
    """Return whether a configured name may mean several editions, of which a day chooses one."""
    if name.startswith(FILE):
        return False
    name = system_name(name)
    return name in _EDITIONS or all(one.about.name != name for one in at_hand())


def _name_of(path: Path) -> str:
    """Return the name of the edition that a file is."""
    plain = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")
    if not plain:
        raise ConfigError(f"{FILE}{path}: give the file a name with letters or digits of ASCII.")
    return f"file-{plain}"
