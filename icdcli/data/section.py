"""The section ``data`` of the configuration."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr

from icdcli.config.fields import Conflict, Integer, OneOf, Section, UserPath
from icdcli.data.copies.advice import require_copied
from icdcli.data.sources.names import source_names
from icdcli.io.encodings import python_encoding

ProtocolName = Literal[
    "patient",
    "official",
    "split-column",
    "subject-splits",
    "hadm-digit",
    "mimic3-full",
    "mimic3-full-caml",
    "mimic3-50",
    "mimic3-clean",
    "mimic4-icd9",
    "mimic4-icd10",
    "mdace-icd9",
    "mdace-icd10",
    "mdace-icd9-profee",
    "mdace-icd10-profee",
]


def _check_fold(text: str) -> str:
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]) or int(found[2]) < 2:
        raise ValueError("should be a fold and the number of folds, at least 2, such as 1/5")
    return text


def _check_encoding(name: str) -> str:
    try:
        return python_encoding(name)
    except (LookupError, ValueError):
        raise ValueError("should be an encoding, such as cp1252, cp949 or utf-16") from None


DataPath = Annotated[UserPath, BeforeValidator(require_copied)]

LABEL_SPACES = {
    "protocol": "all codes of the benchmark, those of the test split included",
    "seen": "all codes of the data set, whatever their split",
    "own tables": "all codes of the data set's own tables",
    "described": "all codes with a title that can be assigned",
    "train": "the codes of the training split only",
    "categories": "all codes of the categories of the training split's codes",
    "assignable": "the codes of the training split, and all diagnoses that can be assigned",
    "migrated": "the codes of a migrated model",
}
"""The name of each label space, and what it consists of."""


class DataConfig(Section):
    """The notes and codes to read, and the options of their corpus."""

    older_names: ClassVar[dict[str, str]] = {"mimic3_data_path": "data_path"}

    _of_a_run: bool = PrivateAttr(False)
    workers: Integer = Field(
        0, ge=0, description="tokenizer threads; 0: chosen automatically, one per CPU core"
    )
    mimic3_data_path: DataPath = Field(
        Path("data/"), description="older name of data_path, used if data_path is null"
    )
    data_path: DataPath | None = Field(
        None, description="folder or file with notes and codes, of any data set"
    )
    dataset: Annotated[str, OneOf(source_names())] | None = Field(
        None, description=f"{', '.join(source_names())}; null: recognized from data_path"
    )
    protocol: ProtocolName | None = Field(
        None,
        description="patient (80/10/10 by patient), hadm-digit, mimic3-50 …; null: its default",
    )
    splits_path: UserPath | None = Field(
        None,
        description="file or folder of published split lists; null: from `icdcode splits fetch`",
    )
    text_cleaning: Literal["none", "caml", "edin"] = Field(
        "none", description="none (best for language models), caml, edin (as in these papers)"
    )
    chunk_size: Integer = Field(
        100_000, ge=1, description="rows of a raw table held in memory at a time"
    )
    encoding: Annotated[str, AfterValidator(_check_encoding)] | None = Field(
        None,
        description="encoding of CSV and JSONL files without a mark, such as cp1252 or cp949; "
        "null: UTF-8, or what the content of a CSV file shows",
    )
    skip_bad_rows: bool = Field(False, description="count and skip rows that are not valid CSV")
    label_pruning: bool = Field(
        False,
        description="True: only codes in use are labels; False: all codes in the D_ICD tables",
    )
    language: str = Field(
        "en",
        pattern="^[a-z]{2,3}$",
        description="language of the notes: en, es, ko, or another ISO code; codiesp: en, es",
    )
    codes: Literal["diagnoses", "procedures", "all"] = Field(
        "diagnoses", description="codiesp: kind of codes: diagnoses, procedures, all"
    )
    projected_evidence: bool = Field(
        False,
        description="codiesp in English: carry the Spanish evidence over to the English texts",
    )
    text_column: str = Field("text", description="table: column with the notes")
    label_space: Literal["seen", "train", "categories", "assignable", "described"] = Field(
        "seen",
        description="seen: codes of all splits, for benchmarks; train: codes of the training "
        "split; categories: train, and the other codes of their categories; assignable: train, and "
        "all other diagnoses; described: seen, and all other codes with a title",
    )
    train_on: Literal["train", "train+validation"] = Field(
        "train",
        description="splits to train on; train+validation needs held_out_fold, or `icdcode refit`",
    )
    held_out_fold: Annotated[str, AfterValidator(_check_fold)] | None = Field(
        None,
        description="fold of the training documents that replaces the validation split, such as "
        "2/5; null: none",
    )
    codes_column: str | Annotated[list[str], Field(min_length=1)] = Field(
        "codes",
        description="table: column with the codes, a list or separated by ; or ,; several columns: "
        "[dx1, dx2] or 'dx*'",
    )
    id_column: str | None = Field(
        None,
        description="table: column with document ids; null: id, if there is one; rows with the "
        "same id and text are one document",
    )
    subject_column: str | None = Field(
        None, description="table: column with patient ids; null: subject_id, if there is one"
    )
    split_column: str | None = Field(
        None, description="table: column with the splits; null: split, if there is one"
    )
    evidence_column: str | None = Field(
        None,
        description="table: column of annotated evidence, a list of {code, begin, end}; null: none",
    )
    date_column: str | None = Field(
        None,
        description="table: column with the days of discharge (2026-05-31), which choose the "
        "edition of code_system and the codes that are valid; null: none",
    )
    codes_path: DataPath | None = Field(
        None,
        description="table: another table with one row per note and code; null: the codes are in "
        "the table of notes",
    )
    sequence_column: str | None = Field(
        None,
        description="table: with one row per code, column with their order, the principal "
        "diagnosis first; null: found by its usual names in codes_path",
    )
    poa_column: str | None = Field(
        None,
        description="table: with one row per code, column with present on admission (Y, N, U, W, "
        "1, E); null: found by its usual names in codes_path",
    )
    version_column: str | None = Field(
        None,
        description="table: with one row per code, column with the version (9, 10, ICD10CM …); "
        "rows that aren't of code_system are left out; null: found by its usual names in "
        "codes_path",
    )
    principal: bool = Field(
        False,
        description="learn and predict the principal diagnosis: SEQ_NUM 1 in mimic3 and mimic4, "
        "the first code in a table",
    )
    evidence_path: UserPath | None = Field(
        None, description="mimic3: file or folder of MDACE annotations; null: none"
    )
    encounter_column: str | None = Field(
        None,
        description="table: column with encounter ids; rows with the same one are the notes of one "
        "document; null: each row is a document",
    )
    note_type_column: str | None = Field(
        None, description="table: column with the types of an encounter's notes; null: none"
    )
    time_column: str | None = Field(
        None,
        description="table: column with the times (2026-05-31 08:00) by which an encounter's notes "
        "are ordered; null: date_column, or the order of the rows",
    )
    note_types: Annotated[list[str], Field(min_length=1)] | None = Field(
        None,
        description="types of notes to read, such as [Discharge summary, Radiology]; null: all "
        "(mimic3, mimic4: discharge summaries)",
    )
    code_system: str | None = Field(
        None,
        description="table, mimic4 by patient: icd9, icd10, an edition (icd10cm-2026, kcd-9 …; see "
        "`icdcode codes list`), or file:PATH, a table of codes and titles; null: codes unchanged "
        "(mimic4: icd10)",
    )
    code_kind: Literal["diagnosis", "procedure", "both"] | None = Field(
        None,
        description="table: kind of the codes: diagnosis, procedure, both; null: decided for the "
        "column as a whole",
    )
    accept_unknown_codes: bool = Field(
        False, description="table: use the codes although many aren't in the official tables"
    )
    accept_leaks: bool = Field(
        False, description="table: use its splits although they share patients"
    )
    ignore_split_column: bool = Field(
        False, description="table: make new splits although it has a column of splits"
    )
    cache_dir: UserPath | None = Field(
        None, description="folder of prepared corpora; null: .icdcode in the data folder"
    )

    def code_conflicts(self) -> Iterator[Conflict]:
        """Yield the options about codes that can't be combined."""
        if self.date_column is not None and self.code_system is None:
            yield Conflict(
                "date_column",
                "chooses the edition of code_system, which isn't set. Set code_system, or leave "
                "date_column out",
            )

    def encounter_conflicts(self) -> Iterator[Conflict]:
        """Yield the options about an encounter's notes that need another one."""
        for option in ("note_type_column", "time_column"):
            if getattr(self, option) is not None and self.encounter_column is None:
                yield Conflict(
                    option,
                    "is of the notes of encounters. Set encounter_column, or leave it out",
                )

    @property
    def path(self) -> Path:
        """Return the folder or file that contains the notes and codes."""
        return self.data_path if self.data_path is not None else self.mimic3_data_path

    @property
    def has_validation(self) -> bool:
        """Return whether documents are left to validate on."""
        return self.train_on == "train" or self.held_out_fold is not None

    def accepting(self) -> "DataConfig":
        """Return the section for a run that exists: what it used is accepted, with a warning."""
        accepted = ("accept_unknown_codes", "accept_leaks", "ignore_split_column")
        config = self.model_copy(update=dict.fromkeys(accepted, True))
        config._of_a_run = True
        return config

    @property
    def of_a_run(self) -> bool:
        """Return whether it is the section of a run that exists."""
        return self._of_a_run
