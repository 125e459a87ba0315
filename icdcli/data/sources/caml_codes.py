"""MIMIC-III's codes as the preparation of CAML (Mullenbach et al. 2018) reads them.

Two accidents, which papers that use its 8,921 labels share. The column of procedures was read as
numbers, so that leading zeros are lost (``0066`` is ``66``), and the dot was put after two
characters even if nothing follows (``66.``). Then diagnoses and procedures of the admissions with a
note were joined in one file, which pandas read in blocks of rows: a block of procedures alone
became floating-point numbers (``96.70`` is ``96.7`` in it, ``66.`` is ``66.0``).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icdcli.data.benchmarks.protocols import CodeFilter
from icdcli.data.sources.admission import Admission, Code
from icdcli.data.sources.admission_join import AdmissionCodes
from icdcli.io.csv_reader import Reading

BLOCK = 131_072
"""The rows of a block: pandas reads a table of five columns so."""

Numbers = NDArray[np.int64]


def procedure_as_caml(raw: str) -> str:
    """Return a procedure code as it is before the blocks are read.

    Some codes become equal to others (``0331`` and ``331``).
    """
    digits = raw.strip()
    if digits.isdecimal():
        digits = str(int(digits))
    return f"{digits[:2]}.{digits[2:]}"


class CamlCodes(AdmissionCodes):
    """The codes of each admission; read the table of diagnoses first, then that of procedures."""

    def __init__(self) -> None:
        super().__init__()
        # For each table the numbers of admission and code of all rows, in the order of the file.
        self._tables: list[list[tuple[Numbers, Numbers]]] = []

    def read(
        self,
        reading: Reading,
        table: Path,
        columns: tuple[str, str],
        spell: Callable[[str], Code | str],
        where: Mapping[str, str] | None = None,
    ) -> set[str]:
        """Add the rows of a table; see `AdmissionCodes.read`."""
        self._tables.append([])
        return super().read(reading, table, columns, spell, where)

    def _add(self, admissions: Numbers, codes: Numbers) -> None:
        self._tables[-1].append((admissions, codes))
        super()._add(admissions, codes)

    def of(
        self,
        admissions: Iterable[str],
        keep: CodeFilter | None = None,
        count_rows: bool = False,
    ) -> Mapping[str, frozenset[Code]]:
        """Return the codes of the admissions with a note; see `AdmissionCodes.of`."""
        admissions = list(admissions)
        self._read_blocks(self._chosen(admissions))
        return super().of(admissions, keep, count_rows)

    def _read_blocks(self, noted: NDArray[np.bool_]) -> None:
        """Spell the procedures of the blocks without a diagnosis as numbers."""
        (of_diagnoses, _), (of_procedures, codes) = map(_joined, self._tables)
        # Diagnoses without a code are rows of the joined file, too.
        diagnoses = int(_in(noted, of_diagnoses).sum())
        first = -(-diagnoses // BLOCK) * BLOCK
        rows = np.flatnonzero(_in(noted, of_procedures))
        as_numbers = rows[max(first - diagnoses, 0) :]
        spelled = np.array([self._number(_as_number(code), []) for code in list(self._codes)])
        codes = codes.copy()
        coded = as_numbers[codes[as_numbers] >= 0]
        codes[coded] = spelled[codes[coded]]
        self._tables[1] = [(of_procedures, codes)]
        self._pairs = []
        for table in self._tables:
            super()._add(*_joined(table))


def with_spelled_evidence(admission: Admission) -> Admission:
    """Return an admission whose evidence has the codes as its document spells them."""
    codes = {code.code for code in admission.codes}
    evidence = []
    for span in admission.evidence:
        as_number = _as_number(Code(span.code, "procedure")).code
        other = span.code not in codes and as_number in codes
        evidence.append(span._replace(code=as_number) if other else span)
    return replace(admission, evidence=tuple(evidence))


def _as_number(code: Code) -> Code:
    """Return a procedure as pandas writes the number that it reads; a diagnosis unchanged."""
    if code.kind != "procedure":
        return code
    try:
        return Code(repr(float(code.code)), code.kind)
    except ValueError:
        return code


def _joined(table: list[tuple[Numbers, Numbers]]) -> tuple[Numbers, Numbers]:
    none = np.empty(0, dtype=np.int64)
    admissions, codes = zip((none, none), *table, strict=True)
    return np.concatenate(admissions), np.concatenate(codes)


def _in(noted: NDArray[np.bool_], admissions: Numbers) -> NDArray[np.bool_]:
    """Return whether each row is of an admission with a note; rows without an id aren't."""
    found: NDArray[np.bool_] = np.zeros(len(admissions), dtype=bool)
    with_id = admissions >= 0
    found[with_id] = noted[admissions[with_id]]
    return found
