"""CodiEsp v4: clinical cases in Spanish, or machine-translated to English, with ICD-10 codes.

The folder is the published one: ``{train,dev,test}/text_files[_en]/ID.txt``, with ``{split}D.tsv``
(diagnoses, ICD-10-CM) and ``{split}P.tsv`` (procedures, ICD-10-PCS), each row ``ID<tab>code``
without a header. An annotator has read every case, so a case without codes is kept.

``{split}X.tsv`` has the annotated evidence:
``ID<tab>DIAGNOSTICO|PROCEDIMIENTO<tab>code<tab>words<tab>begin end;begin end``, in characters of
the Spanish text. Some of its fragments are empty, and a few end one punctuation mark before or
after their words. Annotations whose letters differ from the text are dropped and counted. The
English texts have no annotations of their own; ``projected_evidence: True`` carries the Spanish
ones over, word by word (`icdcli.data.sources.translations`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from icdcli.data.benchmarks.protocols import OFFICIAL, Protocol, choose_protocol
from icdcli.data.section import DataConfig
from icdcli.data.sources.admission import Admission, AnnotatedSpan, Code
from icdcli.data.sources.registry import ChosenSource, Match, SourceType, register
from icdcli.data.sources.translations.alignment import TextWords, WordAlignment
from icdcli.data.sources.translations.carried_evidence import carry_over
from icdcli.errors import ConfigError, DataError
from icdcli.icd.codes import System, dotted
from icdcli.io.csv_reader import Reading

FOLDERS = {"train": "train", "validation": "dev", "test": "test"}
TEXT_FOLDERS = {"en": "text_files_en", "es": "text_files"}
_KINDS = {
    "diagnoses": ("diagnosis",),
    "procedures": ("procedure",),
    "all": ("diagnosis", "procedure"),
}
_LETTER = {"diagnosis": "D", "procedure": "P"}
_EVIDENCE_KINDS = {"DIAGNOSTICO": "diagnosis", "PROCEDIMIENTO": "procedure"}


class _Annotation(NamedTuple):
    """One row of an evidence table."""

    code: Code
    words: str
    fragments: list[tuple[int, int]]

    def __repr__(self) -> str:
        # The words are patient text, which is not for logs and tracebacks.
        return f"_Annotation({self.code!r}, {self.fragments!r})"


@dataclass(frozen=True)
class CodiespSource:
    """The folder with ``train/`` and ``dev/``, and optionally ``test/``.

    Attributes:
        folder: The data set's folder.
        language: ``en`` (machine-translated) or ``es`` (the original).
        codes: ``diagnoses``, ``procedures`` or ``all``.
        projected: Whether the English texts get the annotations of the Spanish ones.
        reading: Reports progress, and counts dropped cases.
    """

    folder: Path
    language: str = "en"
    codes: str = "diagnoses"
    projected: bool = False
    reading: Reading = field(default_factory=Reading)

    system: System | None = "icd10"

    def files(self) -> list[Path]:
        """Return the files that the corpus depends on.

        Raises:
            DataError: If files or folders are missing; the message names all of them.
        """
        return [
            file
            for split in self._splits()
            for file in (
                *self._tables(split).values(),
                *self._evidence_tables(split),
                *self._texts(split),
                *(self._texts(split, "es") if self.projected else ()),
            )
        ]

    @property
    def titles(self) -> dict[Code, str]:
        """Return nothing: CodiEsp has no titles of its own."""
        return {}

    def admissions(self, protocol: Protocol, work: Path) -> Iterator[Admission]:
        """Read the cases.

        Args:
            protocol: The official one: the folder is the split.
            work: Not used.

        Yields:
            The cases of train, dev and test, sorted by name.

        Raises:
            DataError: If a file can't be read.
        """
        alignment = self._alignment() if self.projected else None
        for split in self._splits():
            codes = self._codes(split)
            annotations = self._annotations(split)
            texts = self._texts(split)
            for number, path in enumerate(texts, start=1):
                text = _read_text(path)
                case = codes.pop(path.stem, set())
                if text.strip():
                    spans = self._evidence(path, text, annotations.pop(path.stem, []), alignment)
                    yield Admission(path.stem, None, text, frozenset(case), split, spans)
                else:
                    self.reading.drop("cases without text", 1)
                if self.reading.on_progress:
                    self.reading.on_progress(f"reading {split} cases", number, len(texts))
            self.reading.drop("cases with codes but no text", len(codes))
            self.reading.drop(
                "annotations of cases without text", sum(map(len, annotations.values()))
            )

    def _splits(self) -> list[str]:
        there = [
            split for split in FOLDERS if split != "test" or (self.folder / FOLDERS[split]).is_dir()
        ]
        parts = [
            part
            for split in there
            for part in (
                *(self._text_folder(split, language) for language in self._languages),
                *self._tables(split).values(),
            )
            if not part.exists()
        ]
        if parts:
            names = ", ".join(str(part.relative_to(self.folder)) for part in parts)
            raise DataError(
                f"{self.folder}: CodiEsp's {names} missing. Unpack the complete data set into this "
                "folder."
            )
        return there

    @property
    def _languages(self) -> tuple[str, ...]:
        """Return the languages of the texts that are read."""
        return (self.language, "es") if self.projected else (self.language,)

    def _text_folder(self, split: str, language: str) -> Path:
        return self.folder / FOLDERS[split] / TEXT_FOLDERS[language]

    def _tables(self, split: str) -> dict[str, Path]:
        folder = self.folder / FOLDERS[split]
        return {kind: folder / f"{folder.name}{_LETTER[kind]}.tsv" for kind in _KINDS[self.codes]}

    def _evidence_tables(self, split: str) -> list[Path]:
        """Return the split's table of evidence, if it exists and the Spanish texts are read."""
        path = self.folder / FOLDERS[split] / f"{FOLDERS[split]}X.tsv"
        return [path] if "es" in self._languages and path.is_file() else []

    def _texts(self, split: str, language: str | None = None) -> list[Path]:
        return sorted(self._text_folder(split, language or self.language).glob("*.txt"))

    def _spanish(self, path: Path) -> str:
        """Return the Spanish text of an English one."""
        return _read_text(path.parent.parent / TEXT_FOLDERS["es"] / path.name)

    def _alignment(self) -> WordAlignment:
        """Learn from the training cases which Spanish and English words mean each other."""
        pairs = []
        texts = self._texts("train")
        for number, path in enumerate(texts, start=1):
            pairs.append(
                (TextWords.of(self._spanish(path)).words, TextWords.of(_read_text(path)).words)
            )
            if self.reading.on_progress:
                self.reading.on_progress("reading pairs of texts", number, len(texts))
        return WordAlignment.fit(pairs)

    def _evidence(
        self,
        path: Path,
        text: str,
        annotations: list[_Annotation],
        alignment: WordAlignment | None,
    ) -> tuple[AnnotatedSpan, ...]:
        """Return the annotations of a text as spans of its characters."""
        if alignment is None:
            return self._spans(text, annotations)
        spanish = self._spanish(path)
        spans = self._spans(spanish, annotations)
        carried = carry_over(alignment, spanish, text, spans)
        lost = {span.group for span in spans} - {span.group for span in carried}
        self.reading.drop("annotations without a counterpart in the translation", len(lost))
        return carried

    def _codes(self, split: str) -> dict[str, set[Code]]:
        found: dict[str, set[Code]] = {}
        for kind, path in self._tables(split).items():
            for number, line in enumerate(_lines(path), start=1):
                if not line.strip():
                    continue
                fields = line.split("\t")
                if len(fields) != 2:
                    raise DataError(
                        f"{path}, line {number}: {len(fields)} columns, expected ID<tab>code. "
                        "Copy the file again."
                    )
                try:
                    code = Code(dotted(fields[1], kind, "icd10"), kind)
                except ValueError as error:
                    raise DataError(f"{path}, line {number}: {error}.") from error
                found.setdefault(fields[0].strip(), set()).add(code)
        return found

    def _annotations(self, split: str) -> dict[str, list[_Annotation]]:
        """Return each case's annotations of the configured kinds."""
        found: dict[str, list[_Annotation]] = {}
        for path in self._evidence_tables(split):
            for number, line in enumerate(_lines(path), start=1):
                if not line.strip():
                    continue
                id, kind, code, words, places = [*line.split("\t"), "", "", "", ""][:5]
                if line.count("\t") != 4 or kind not in _EVIDENCE_KINDS:
                    wanted = f"ID<tab>{'|'.join(_EVIDENCE_KINDS)}<tab>code<tab>words<tab>begin end"
                    raise DataError(
                        f"{path}, line {number}: expected {wanted}. Copy the file again."
                    )
                if _EVIDENCE_KINDS[kind] not in _KINDS[self.codes]:
                    continue
                try:
                    its_code = Code(
                        dotted(code, _EVIDENCE_KINDS[kind], "icd10"), _EVIDENCE_KINDS[kind]
                    )
                    fragments = [
                        (int(begin), int(end))
                        for begin, end in (place.split() for place in places.split(";"))
                    ]
                except ValueError as error:
                    raise DataError(f"{path}, line {number}: {error}.") from error
                found.setdefault(id.strip(), []).append(_Annotation(its_code, words, fragments))
        return found

    def _spans(self, text: str, annotations: list[_Annotation]) -> tuple[AnnotatedSpan, ...]:
        """Return the annotations whose words are in the text at their position."""
        spans: list[AnnotatedSpan] = []
        for group, annotation in enumerate(annotations):
            fragments = [
                (begin, end) for begin, end in annotation.fragments if 0 <= begin < end <= len(text)
            ]
            if _letters(" ".join(text[begin:end] for begin, end in fragments)) != _letters(
                annotation.words
            ):
                self.reading.drop("annotations whose place in the text holds other words", 1)
                continue
            self.reading.drop(
                "empty fragments of annotations", len(annotation.fragments) - len(fragments)
            )
            spans += [
                AnnotatedSpan(annotation.code.code, begin, end, group) for begin, end in fragments
            ]
        return tuple(spans)


def _lines(path: Path) -> list[str]:
    # Not str.splitlines, which also divides at signs that annotated words may have (U+2028).
    return _read_text(path).replace("\r\n", "\n").split("\n")


def _letters(words: str) -> str:
    return "".join(re.findall(r"\w", words))


def _read_text(path: Path) -> str:
    # Line ends aren't translated, because CodiEsp's evidence counts the characters of the file.
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: not UTF-8. Save the file as UTF-8.") from error
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror}).") from error


_PROTOCOLS = (OFFICIAL,)


def _recognizes(folder: Path) -> Match:
    texts = (folder / "train").is_dir() and any(folder.glob("train/text_files*"))
    return Match.POSSIBLE if texts else Match.NONE


def _open(config: DataConfig, reading: Reading) -> ChosenSource:
    protocol = choose_protocol("codiesp", _PROTOCOLS, config.protocol)
    if config.language not in TEXT_FOLDERS:
        raise ConfigError(
            f"language={config.language}: CodiEsp's notes are in {' and '.join(TEXT_FOLDERS)}."
        )
    projected = config.projected_evidence
    if projected and config.language != "en":
        raise ConfigError(
            f"projected_evidence: texts with language={config.language} have annotations of their "
            "own. Leave out the key, or set language to en."
        )
    source = CodiespSource(config.path, config.language, config.codes, projected, reading)
    options = {"language": config.language, "codes": config.codes}
    if projected:
        options["evidence"] = "projected"
    return ChosenSource("codiesp", source, protocol, options)


register(
    SourceType(
        name="codiesp",
        looks_like="a folder with train/ and dev/, each with text_files_en/ or text_files/, "
        "trainD.tsv, devD.tsv …",
        protocols=_PROTOCOLS,
        recognizes=_recognizes,
        open=_open,
        own_options=("codes", "projected_evidence"),
        system="icd10",
    )
)
