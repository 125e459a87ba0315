"""The published split lists of the benchmark protocols: their addresses, and how to read a copy.

The split of an admission is only in these lists; it can't be derived from the tables. There are two
formats: CAML's ``{train,dev,test}_{full,50}_hadm_ids.csv`` (no header, one HADM_ID per line) and
Edin's feather files (columns ``_id`` and ``split``). For MIMIC-III full and 50 both exist. They
agree, except for four admissions without codes that only CAML's full list has. Reading needs no
network; see `icdcli.data.benchmarks.download`.
"""

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os.path import exists, isdir, isfile  # Path's methods raise if a folder can't be entered
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa
import pyarrow.parquet as pq
from platformdirs import user_data_path

from icdcli.data.sources.admission import SPLITS
from icdcli.errors import ConfigError, DataError, nearest
from icdcli.io.raw_tables import list_folder

CAML, EDIN = "CAML", "Edin et al."
ID, SPLIT = "_id", "split"
ENDINGS = (".feather", ".parquet", ".csv")

_CAML_ADDRESS = (
    "https://raw.githubusercontent.com/jamesmullenbach/caml-mimic/master/mimicdata/mimic3"
)
_EDIN_ADDRESS = (
    "https://raw.githubusercontent.com/JoakimEdin/medical-coding-reproducibility/main/files/data"
)
_CAML_PARTS = {"train": "train", "dev": "validation", "test": "test"}
_SPLIT_WORDS = _CAML_PARTS | {"val": "validation", "validation": "validation"}

Entry = tuple[int, object, object]
"""Line or row, id and split, as in the file."""


@dataclass(frozen=True)
class PublishedFile:
    """One public file.

    Attributes:
        name: The file's name, unique among all lists.
        address: Its public address.
        sha256: The SHA-256 of the published content.
    """

    name: str
    address: str
    sha256: str


@dataclass(frozen=True)
class PublishedLists:
    """The files that together have all splits of a protocol.

    Attributes:
        source: ``CAML`` or ``Edin et al.``.
        files: One file, or CAML's three in the order train, dev, test.
    """

    source: str
    files: tuple[PublishedFile, ...]


@dataclass(frozen=True)
class SplitLists:
    """The split of each admission; see `load_split_lists`.

    Attributes:
        files: The files that were read.
        splits: HADM_ID to ``train``, ``validation`` or ``test``.
        published: Whether every file has the SHA-256 of the published one.
        source: ``CAML``, ``Edin et al.``, or the name of another file.
    """

    files: tuple[Path, ...]
    splits: Mapping[str, str]
    published: bool
    source: str


def _caml(size: str, *digests: str) -> PublishedLists:
    names = [f"{part}_{size}_hadm_ids.csv" for part in _CAML_PARTS]
    files = [
        PublishedFile(name, f"{_CAML_ADDRESS}/{name}", digest)
        for name, digest in zip(names, digests, strict=True)
    ]
    return PublishedLists(CAML, tuple(files))


def _edin(path: str, digest: str) -> PublishedLists:
    return PublishedLists(
        EDIN, (PublishedFile(path.rpartition("/")[2], f"{_EDIN_ADDRESS}/{path}", digest),)
    )


_MIMIC3_FULL = (
    _caml(
        "full",
        "abc4601d2cb798c7f26d35a4aa38b84b0050af03e102e455ab70651d654cb964",
        "5bc77377a675b17631844f6253ecec5c0b2b39c294aebe34aebbd2c733d8efb4",
        "2861293b9057a3aa20b21b397590e4f148aceebdaa705622acf748ccb1b7216c",
    ),
    _edin(
        "mimiciii_full/mimiciii_full_splits.feather",
        "85c763780c2526bc3e5edbc45649b13f380c90bc4cfcbdd57ca16af702acfb26",
    ),
)
_MIMIC3_50 = (
    _caml(
        "50",
        "aee261aa45a2d89368e4da275c6c0a601b8bfc2c22e3af915d89adbc068716d2",
        "bcd69c3be3f4d8a7d29252ac8b5b99f197875b639ab12cf3ab324ee11612ea9e",
        "cc3d3c22cbf0c68b62508712d4fc27baf5a5cb9705c1c8f8b6fc1618332c49b2",
    ),
    _edin(
        "mimiciii_50/mimiciii_50_splits.feather",
        "7b78a5c2b1242f6114578a40943ea37ef73d0f9abd364abe462e7f6aff389d16",
    ),
)
_MIMIC3_CLEAN = _edin(
    "mimiciii_clean/mimiciii_clean_splits.feather",
    "deedf0fe76f80470ca85e71ff10fc2f9de70d28644d4143f5ccf6db635333b9e",
)
_MIMIC4_ICD9 = _edin(
    "mimiciv_icd9/mimiciv_icd9_split.feather",
    "b60d01628b76aa8874cb52bb06aa07f9d18ed03a441cbf0884e9b748300ab4bf",
)
_MIMIC4_ICD10 = _edin(
    "mimiciv_icd10/mimiciv_icd10_split.feather",
    "f913edf80c41f52c0865c2c802ab65d0d7b24fdfc03307564d2808bb9a672b61",
)

_CAML_SPLITS = {
    file.name: split
    for lists in (_MIMIC3_FULL[0], _MIMIC3_50[0])
    for file, split in zip(lists.files, _CAML_PARTS.values(), strict=True)
}

PUBLISHED: Mapping[str, tuple[PublishedLists, ...]] = MappingProxyType(
    {
        "mimic3-full": _MIMIC3_FULL,
        "mimic3-full-caml": _MIMIC3_FULL,
        "mimic3-50": _MIMIC3_50,
        "mimic3-clean": (_MIMIC3_CLEAN,),
        "mimic4-icd9": (_MIMIC4_ICD9,),
        "mimic4-icd10": (_MIMIC4_ICD10,),
    }
)
"""Protocol to its published lists, the preferred ones first."""


def splits_home() -> Path:
    """Return the folder of ``icdcode splits fetch``, which is read if no other is configured."""
    return user_data_path("icdcode") / "splits"


def published_lists(protocol: str) -> tuple[PublishedLists, ...]:
    """Return the published lists of a protocol, the preferred ones first.

    Raises:
        ConfigError: If there are none.
    """
    if protocol not in PUBLISHED:
        known = ", ".join(PUBLISHED)
        raise ConfigError(
            f"protocol {protocol!r} has no published split lists{nearest(protocol, PUBLISHED)}. "
            f"Protocols with lists: {known}"
        )
    return PUBLISHED[protocol]


def sha256_of(file: Path) -> str | None:
    """Return the SHA-256 of a file; None if it doesn't exist.

    Raises:
        DataError: If it exists but can't be read.
    """
    return hashlib.sha256(_content(file)).hexdigest() if exists(file) else None


def load_split_lists(protocol: str, path: Path | None) -> SplitLists:
    """Read the split lists of a benchmark protocol.

    Lists that differ from the published ones are read too; see `SplitLists.published`.

    Args:
        protocol: A protocol of `PUBLISHED`.
        path: A folder with the lists in either format, directly or one level below; or one feather,
            Parquet or CSV file with the columns ``_id`` and ``split``; None: `splits_home`.

    Returns:
        The split of every admission in the lists.

    Raises:
        ConfigError: If there are no lists (the message has the public addresses), or the protocol
            has none.
        DataError: If a list is missing, empty or damaged, or has an invalid id or split.
    """
    choices = published_lists(protocol)
    place = splits_home() if path is None else path
    files = (place,) if isfile(place) else _find(place, choices)
    if not files:
        raise ConfigError(_missing_lists(protocol, place))
    splits: dict[str, str] = {}
    sums = []
    for file in files:
        content = _content(file)
        sums.append(hashlib.sha256(content).hexdigest())
        _add(splits, file, content)
    missing = sorted(set(SPLITS) - set(splits.values()), key=SPLITS.index)
    if missing:
        alone = files[0].name in _CAML_SPLITS
        advice = (
            "CAML's lists are three files. Give their folder."
            if alone
            else "All three splits are needed."
        )
        raise DataError(f"{place}: has no admission of {' and '.join(missing)}. {advice}")
    names = [file.name for file in files]
    for lists in choices:
        published = sums == [file.sha256 for file in lists.files]
        if published or names == [file.name for file in lists.files]:
            return SplitLists(files, splits, published, lists.source)
    return SplitLists(files, splits, False, names[0])


def _find(folder: Path, choices: tuple[PublishedLists, ...]) -> tuple[Path, ...]:
    """Return the files of the preferred lists that exist, all from one folder, or nothing."""
    if not isdir(folder):
        return ()
    places = [folder, *sorted(filter(isdir, list_folder(folder)))]
    for lists in choices:
        names = [file.name for file in lists.files]
        found = [[place / name for name in names if isfile(place / name)] for place in places]
        most = max(found, key=len)
        if len(most) == len(names):
            return tuple(most)
        if most:
            there = {file.name for file in most}
            absent = " and ".join(name for name in names if name not in there)
            raise DataError(
                f"{most[0].parent}: {absent} missing beside {most[0].name}. Put all of "
                f"{lists.source}'s lists into this folder."
            )
    return ()


def _missing_lists(protocol: str, place: Path) -> str:
    lines = [
        f"protocol {protocol} needs split lists, and {place} "
        f"{'has none' if isdir(place) else 'does not exist'}. Run "
        f"`icdcode splits fetch {protocol}` and leave out splits_path; or copy the public files "
        "and set splits_path=FOLDER to their folder:"
    ]
    for number, lists in enumerate(published_lists(protocol)):
        lines.append(f"  {'or ' if number else ''}{lists.source}:")
        for file in lists.files:
            lines += [f"    {file.address}", f"      sha256 {file.sha256}"]
    return "\n".join(lines)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror}).") from error


def _add(splits: dict[str, str], file: Path, content: bytes) -> None:
    """Add the ids of a file to the splits."""
    unit = "line" if file.name.endswith(".csv") else "row"
    number = 0
    for number, raw_id, raw_split in _entries(file, content):
        id, split = str(raw_id).strip(), _SPLIT_WORDS.get(str(raw_split).strip().lower())
        if not (id.isascii() and id.isdecimal()):
            raise DataError(
                f"{file}, {unit} {number}: {raw_id!r} isn't a HADM_ID. Write an integer."
            )
        if split is None:
            raise DataError(
                f"{file}, {unit} {number}: {raw_split!r} isn't a split. Write train, val or test."
            )
        if splits.setdefault(id, split) != split:
            raise DataError(
                f"{file}, {unit} {number}: HADM_ID {id} is in {split} and in {splits[id]}. Keep it "
                "in one."
            )
    if not number:
        raise DataError(f"{file}: is empty. Copy it again, or run `icdcode splits fetch`.")


def _entries(file: Path, content: bytes) -> Iterator[Entry]:
    if file.name in _CAML_SPLITS:
        for number, line in enumerate(_text(file, content).splitlines(), start=1):
            if line.strip():
                yield number, line, _CAML_SPLITS[file.name]
    elif file.name.endswith(".csv"):
        yield from _csv_entries(file, _text(file, content))
    else:
        yield from _arrow_entries(file, content)


def _text(file: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{file}, line {line}: not UTF-8. Copy it again, or save it as UTF-8."
        ) from error


def _csv_entries(file: Path, text: str) -> Iterator[Entry]:
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        _require_columns(file, rows.fieldnames or [])
        for row in rows:
            yield rows.line_num, row[ID], row[SPLIT]
    except csv.Error as error:
        raise DataError(
            f"{file}, line {rows.line_num}: not valid CSV ({error}). Copy the file again."
        ) from error


def _arrow_entries(file: Path, content: bytes) -> Iterator[Entry]:
    if not file.name.endswith(ENDINGS):
        endings = ", ".join(ENDINGS)
        raise DataError(
            f"{file}: isn't a split list. Give a folder of lists, or one file ending in {endings}."
        )
    read = pq.read_table
    if file.name.endswith(".feather"):
        from pyarrow import feather  # which imports pandas's types

        read = feather.read_table
    try:
        table = read(pa.BufferReader(content))
        table.validate(full=True)
        names = list(table.column_names)
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: bytes that aren't UTF-8
        raise DataError(
            f"{file}: is damaged ({error}). Copy it again, or run `icdcode splits fetch`."
        ) from error
    _require_columns(file, names)
    columns = (table.column(name).to_pylist() for name in (ID, SPLIT))
    yield from zip(range(1, table.num_rows + 1), *columns, strict=True)


def _require_columns(file: Path, names: Sequence[str]) -> None:
    for name in (ID, SPLIT):
        if names.count(name) != 1:
            raise DataError(
                f"{file}: needs one column {name!r}{nearest(name, names)}. Its columns are: "
                f"{', '.join(names)}"
            )
