"""CodiEsp v4: clinical cases in Spanish, or machine-translated to English, with ICD-10 codes.

The folder is the published one: ``{train,dev,test}/text_files[_en]/ID.txt``, with ``{split}D.tsv`` (diagnoses,
ICD-10-CM) and ``{split}P.tsv`` (procedures, ICD-10-PCS), each row ``ID<tab>code`` without a header. Every case was read
by an annotator, so one without codes is a case that has none, and stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from icdcli.data.admission import Admission, Code
from icdcli.data.protocols import Protocol
from icdcli.data.rows import Reading
from icdcli.errors import DataError
from icdcli.icd.codes import System, dotted

FOLDERS = {"train": "train", "validation": "dev", "test": "test"}
TEXT_FOLDERS = {"en": "text_files_en", "es": "text_files"}
_KINDS = {"diagnoses": ("diagnosis",), "procedures": ("procedure",), "all": ("diagnosis", "procedure")}
_LETTER = {"diagnosis": "D", "procedure": "P"}


@dataclass(frozen=True)
class CodiespSource:
    """The folder that holds ``train/`` and ``dev/``, and ``test/`` where one has it.

    Attributes:
        folder: The data set's folder.
        language: ``en`` (machine-translated) or ``es`` (the original).
        codes: ``diagnoses``, ``procedures`` or ``all``.
        reading: Whom to tell how far it is; collects what was dropped.
    """

    folder: Path
    language: str = "en"
    codes: str = "diagnoses"
    reading: Reading = field(default_factory=Reading)

    system: System | None = "icd10"

    def files(self) -> list[Path]:
        """The files that the corpus depends on.

        Raises:
            DataError: Naming what is missing.
        """
        return [file for split in self._splits() for file in (*self._tables(split).values(), *self._texts(split))]

    @property
    def titles(self) -> dict[Code, str]:
        """Nothing: CodiEsp has no titles of its own."""
        return {}

    def admissions(self, protocol: Protocol, work: Path) -> Iterator[Admission]:
        """Read the cases.

        Args:
            protocol: The official one: the split is the folder's.
            work: Not needed here.

        Yields:
            The cases in the order of train, dev, test and of their names.

        Raises:
            DataError: When a file can't be read as it should.
        """
        for split in self._splits():
            codes = self._codes(split)
            texts = self._texts(split)
            for number, path in enumerate(texts, start=1):
                text = _read_text(path)
                case = codes.pop(path.stem, set())
                if text.strip():
                    yield Admission(path.stem, None, text, frozenset(case), split)
                else:
                    self.reading.drop("cases without text", 1)
                if self.reading.progress:
                    self.reading.progress(f"reading {split} cases", number, len(texts))
            self.reading.drop("cases with codes but no text", len(codes))

    def _splits(self) -> list[str]:
        there = [split for split in FOLDERS if split != "test" or (self.folder / FOLDERS[split]).is_dir()]
        parts = [
            part for split in there for part in (self._text_folder(split), *self._tables(split).values()) if not part.exists()
        ]
        if parts:
            names = ", ".join(str(part.relative_to(self.folder)) for part in parts)
            raise DataError(f"{self.folder}: CodiEsp's {names} missing; unpack the whole data set into this folder")
        return there

    def _text_folder(self, split: str) -> Path:
        return self.folder / FOLDERS[split] / TEXT_FOLDERS[self.language]

    def _tables(self, split: str) -> dict[str, Path]:
        folder = self.folder / FOLDERS[split]
        return {kind: folder / f"{folder.name}{_LETTER[kind]}.tsv" for kind in _KINDS[self.codes]}

    def _texts(self, split: str) -> list[Path]:
        return sorted(self._text_folder(split).glob("*.txt"))

    def _codes(self, split: str) -> dict[str, set[Code]]:
        found: dict[str, set[Code]] = {}
        for kind, path in self._tables(split).items():
            for number, line in enumerate(_read_text(path).splitlines(), start=1):
                if not line.strip():
                    continue
                fields = line.split("\t")
                if len(fields) != 2:
                    raise DataError(f"{path}, line {number}: {len(fields)} fields where ID<tab>code should be")
                try:
                    code = Code(dotted(fields[1], kind, "icd10"), kind)
                except ValueError as error:
                    raise DataError(f"{path}, line {number}: {error}") from error
                found.setdefault(fields[0].strip(), set()).add(code)
        return found


def _read_text(path: Path) -> str:
    # Decoded without translating line ends: the evidence offsets of CodiEsp count characters of the file as it is.
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: not UTF-8; save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from error
