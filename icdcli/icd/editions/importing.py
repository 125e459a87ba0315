"""Makes an edition of the files in which coding systems are published, whatever they are.

The content decides: CMS's tabular list (XML), its lists of codes and files in order (text), ClaML
(XML), a table of codes and titles (CSV, Excel, JSONL, Parquet), or a ZIP archive with one of these.
"""

import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO

from icdcli.errors import ConfigError, DataError
from icdcli.icd.codes import Kind, System
from icdcli.icd.editions.catalog import check_name
from icdcli.icd.editions.claml import read_claml
from icdcli.icd.editions.cms_lists import is_code_line, is_order_line, read_codes, read_order
from icdcli.icd.editions.edition import About, Edition, Entry
from icdcli.icd.editions.index_xml import read_index_xml
from icdcli.icd.editions.own_tables import read_own_table
from icdcli.icd.editions.publications import official
from icdcli.icd.editions.tabular_xml import read_tabular_xml
from icdcli.io.tables.records import ENDINGS, is_table

_BEGINNING = 4096
_LINES = 50
# The members of an archive that have codes, the most complete first.
_MEMBERS = ("tabular", "order", "codes", "claml")
_XML: Mapping[bytes, Callable[[IO[bytes], str], Iterator[Entry]]] = {
    b"<ICD10CM.tabular": read_tabular_xml,
    b"<ClaML": read_claml,
}
_INDEX = b"<ICD10CM.index"


def about_import(
    path: Path,
    name: str,
    title: str | None = None,
    valid_from: date | None = None,
    license: str = "",
) -> About:
    """Return what is known about an edition to import, by its name as far as it isn't given.

    Args:
        path: The file.
        name: The name, which those of official editions explain (``icd10cm-2027``).
        title: Its name for people.
        valid_from: The first day on which its codes are valid.
        license: Its license.

    Raises:
        ConfigError: The name can't be one.
    """
    check_name(name)
    known = official(name) or About(name, name, source=path.name)
    return replace(
        known,
        title=title or known.title,
        valid_from=valid_from or known.valid_from,
        license=license or known.license,
    )


def import_edition(path: Path, about: About) -> Edition:
    """Make an edition of a file.

    Args:
        path: The file; the content decides how it is read.
        about: What is known about the edition. Its name decides how lists without structure are
            put in order: those of ``icd9cm``, ``icd10cm`` and ``icd10pcs`` below their chapters.

    Raises:
        ConfigError: The file doesn't exist, or is of no known kind.
        DataError: It can't be read.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}.")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: is empty. Get it again.")
    return Edition.of(about, list(_entries(path, about)))


def add_index(edition: Edition, path: Path) -> Edition:
    """Return an edition with the terms of an alphabetic index added to its inclusion terms.

    Args:
        edition: The edition.
        path: The index, as NCHS publishes it.

    Raises:
        DataError: The index can't be read, or has no code of the edition.
    """
    with path.open("rb") as file:
        found = list(read_index_xml(file, str(path)))
    terms: dict[str, list[str]] = {}
    for code, term in found:
        if code in edition:
            terms.setdefault(code, []).append(term)
    if not terms:
        raise DataError(f"{path}: none of its codes is in {edition.about.name}.")
    return Edition.of(
        edition.about,
        [
            entry._replace(
                notes={
                    **entry.notes,
                    "terms": (*entry.notes.get("terms", ()), *terms.get(entry.code, ())),
                }
            )
            for entry in edition.entries()
        ],
    )


def is_index(path: Path) -> bool:
    """Return whether a file is an alphabetic index."""
    with path.open("rb") as file:
        return _INDEX in file.read(_BEGINNING)


def _entries(path: Path, about: About) -> Iterator[Entry]:
    if zipfile.is_zipfile(path) and path.suffix.lower() == ".zip":
        yield from _of_archive(path, about)
        return
    if is_table(path) and path.suffix.lower() != ".json":
        yield from read_own_table(path)
        return
    with path.open("rb") as file:
        yield from _of_stream(file, str(path), about)


def _of_archive(path: Path, about: About) -> Iterator[Entry]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith((".xml", ".txt"))]
            ranked = [
                (rank, name)
                for name in names
                for rank, word in enumerate(_MEMBERS)
                if word in PurePosixPath(name).name.lower() and "addenda" not in name.lower()
            ]
            chosen = min(ranked)[1] if ranked else names[0] if len(names) == 1 else None
            if chosen is None:
                raise DataError(
                    f"{path}: no member with codes; it has {', '.join(archive.namelist()[:10])}. "
                    "Unpack it, and import the file with the codes."
                )
            with archive.open(chosen) as member:
                yield from _of_stream(BytesIO(member.read()), f"{path}/{chosen}", about)
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise DataError(
            f"{path}: the archive is damaged or cut short ({error}). Get it again."
        ) from error


def _of_stream(file: IO[bytes], name: str, about: About) -> Iterator[Entry]:
    beginning = file.read(_BEGINNING)
    file.seek(0)
    for mark, reader in _XML.items():
        if mark in beginning:
            yield from reader(file, name)
            return
    if _INDEX in beginning:
        raise ConfigError(
            f"{name} is an alphabetic index. Import the tabular list first, then the index with "
            "the same name."
        )
    lines = _text(file.read(), name).splitlines()
    first = [line for line in lines[:_LINES] if line.strip()]
    if first and all(map(is_order_line, first)):
        yield from read_order(lines, name, *_kind(about))
    elif first and all(map(is_code_line, first)):
        yield from read_codes(lines, name, *_kind(about))
    else:
        raise ConfigError(
            f"{name}: no known list of codes. Import CMS's tabular list, order file or list of "
            f"codes, ClaML, or a table with the columns code and title ({ENDINGS})."
        )


def _kind(about: About) -> tuple[Kind, System]:
    system = about.system
    kind = about.kinds[0]
    if system == "icd9cm":
        return kind, "icd9"
    if system in ("icd10cm", "icd10pcs"):
        return ("procedure" if system == "icd10pcs" else "diagnosis"), "icd10"
    raise ConfigError(
        f"{about.name}: a list of codes without structure can be read for icd9cm, icd10cm and "
        "icd10pcs. Name the edition after one of them (icd10cm-2027), or import a table with the "
        "columns code, title and parent."
    )


def _text(content: bytes, name: str) -> str:
    if b"\0" in content:
        raise DataError(f"{name}: it isn't a text in UTF-8. Save it as one.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")  # the accents of CMS's older lists
