"""Synthetic MIMIC-III tables of any size for `prepare.py`, as slow to read as the real ones.

They have the same bytes per row, share of discharge summaries, quoting, line breaks, quotes within
quotes, notes of one admission far apart, rows without an admission, and about the same gzip ratio
(3.6). Their words mean nothing. Shares and lengths follow the public counts of MIMIC-III v1.4
(Johnson et al. 2016). 100 MB of notes take about one second.
"""

import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

NOTES = "NOTEEVENTS"
DISCHARGE_SHARE = 0.029
_ADDENDUM_SHARE = 0.1  # of the discharge summaries
_WITHOUT_ADMISSION = 0.11  # of the other notes
_DIAGNOSES, _PROCEDURES = (14_567, 6_984), (3_882, 2_032)  # codes in the D_ICD table, and in use
_WORDS, _PARAGRAPHS = 6_000, 20_000
_AT_ONCE = 500  # rows per write

_NOTE_COLUMNS = (
    "ROW_ID SUBJECT_ID HADM_ID CHARTDATE CHARTTIME STORETIME CATEGORY DESCRIPTION CGID ISERROR TEXT"
)
_CODE_COLUMNS = "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE"
_TITLE_COLUMNS = "ROW_ID ICD9_CODE SHORT_TITLE LONG_TITLE"

# Category, description, rows per thousand other notes, fewest and most paragraphs (of about 420
# bytes).
_OTHER_NOTES = (
    ("Nursing/other", "Report", 406, 1, 4),
    ("Radiology", "CHEST (PORTABLE AP)", 258, 2, 6),
    ("Nursing", "Nursing Progress Note", 110, 3, 8),
    ("ECG", "Report", 103, 1, 1),
    ("Physician ", "Physician Resident Progress Note", 70, 8, 22),
    ("Echo", "Report", 23, 5, 7),
    ("Respiratory ", "Respiratory Care Shift Note", 16, 3, 6),
    ("General", "Generic Note", 14, 3, 8),
)
_DISCHARGE_PARAGRAPHS = (20, 30)  # 1,500 words
_SHORT, _SHORT_DISCHARGE = (1, 2), (3, 5)  # the same of short notes


def tables(folder: Path, gigabytes: float, short: bool = False) -> Path:
    """Make the tables as .csv, unless they exist.

    Args:
        folder: The folder to make their folder in.
        gigabytes: The size of NOTEEVENTS.csv, in 10**9 bytes, which the other tables follow.
        short: Make short notes: nearly three times as many rows.

    Returns:
        The folder of the tables.
    """
    name = f"{gigabytes:g}GB{'-short' * short}"
    made, making = folder / name, folder / f"{name}.partial"
    if not made.is_dir():
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        draw = random.Random(0)
        admissions = _write_notes(making, draw, round(gigabytes * 1e9), short)
        _write_codes(making, draw, admissions)
        making.rename(made)
    return made


def packed(folder: Path) -> Path:
    """Make the same tables as .csv.gz (gzip -6) in a folder beside, unless they exist."""
    made, making = (
        folder.with_name(f"{folder.name}-gzip"),
        folder.with_name(f"{folder.name}-gzip.partial"),
    )
    if not made.is_dir():
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        for table in folder.glob("*.csv"):
            with (making / f"{table.name}.gz").open("wb") as file:
                subprocess.run(["gzip", "-6", "-n", "-c", table], stdout=file, check=True)
        making.rename(made)
    return made


def _write_notes(folder: Path, draw: random.Random, size: int, short: bool) -> int:
    """Write NOTEEVENTS.csv, and return the number of its admissions."""
    paragraphs = _made_up_paragraphs(draw)
    kinds = draw.choices(_OTHER_NOTES, weights=[kind[2] for kind in _OTHER_NOTES], k=5_000)
    admissions, row, written = 1, 0, 0
    with (folder / f"{NOTES}.csv").open("wb") as file:
        written += file.write(_header(_NOTE_COLUMNS).encode())
        while written < size:
            rows: list[str] = []
            while len(rows) < _AT_ONCE:
                row += 1
                if draw.random() >= DISCHARGE_SHARE:
                    category, description, _, *lengths = kinds[row % len(kinds)]
                    shortest, longest = _SHORT if short else lengths
                    # Of an admission with its summary elsewhere in the file, or of none.
                    admission = (
                        None
                        if draw.random() < _WITHOUT_ADMISSION
                        else int(draw.random() * admissions * 1.05)
                    )
                    rest = (
                        f'2151-08-04 10:15:00,2151-08-04 10:32:00,"{category}","{description}",'
                        f"{15_000 + row % 5_000},"
                    )
                else:
                    shortest, longest = _SHORT_DISCHARGE if short else _DISCHARGE_PARAGRAPHS
                    if draw.random() < _ADDENDUM_SHARE:
                        admission, description = int(draw.random() * admissions), "Addendum"
                    else:
                        admission, description = admissions, "Report"
                        admissions += 1
                    if draw.random() < 0.002:
                        admission = None
                    rest = f',,"Discharge summary","{description}",,'
                count = shortest + int(draw.random() * (longest - shortest + 1))
                first = int(draw.random() * (_PARAGRAPHS - count))
                text = "\n\n".join(paragraphs[first : first + count])
                is_error = "1" if row % 2_351 == 0 else ""
                rows.append(
                    f'{row},{_ids(admission, row)},2151-08-04,{rest}{is_error},"{text}\n"\n'
                )
            written += file.write("".join(rows).encode("ascii"))
    return admissions


def _write_codes(folder: Path, draw: random.Random, admissions: int) -> None:
    """Write the code tables, for nearly all admissions with a note and some without."""
    for table, pool, (known, used), (fewest, most) in (
        ("DIAGNOSES", _diagnoses(), _DIAGNOSES, (4, 18)),
        ("PROCEDURES", _procedures(), _PROCEDURES, (0, 8)),
    ):
        codes = draw.sample(pool, known)
        titles = (
            f'{row},"{code}","Title {row}","Title {row}, in ""full"""'
            for row, code in enumerate(codes, 1)
        )
        _write(folder / f"D_ICD_{table}.csv", _TITLE_COLUMNS, titles)
        every = (
            admission for admission in range(admissions * 9 // 8) if admission % 5_000 != 4_999
        )
        _write(
            folder / f"{table}_ICD.csv",
            _CODE_COLUMNS,
            _coded(draw, every, codes[:used], fewest, most),
        )


def _coded(
    draw: random.Random, admissions: Iterator[int], codes: Sequence[str], fewest: int, most: int
) -> Iterator[str]:
    row = 0
    for admission in admissions:
        # A few common codes and a long tail. No admission has a code twice, so that no side must
        # check it.
        places = dict.fromkeys(
            int(len(codes) * draw.random() ** 3) for _ in range(draw.randint(fewest, most))
        )
        for number, place in enumerate(places, 1):
            row += 1
            yield f'{row},{_ids(admission, row)},{number},"{codes[place]}"'
        if admission % 1_000 == 17:
            row += 1
            yield f"{row},{_ids(admission, row)},,"  # some codes are missing, as in the real tables


def _ids(admission: int | None, row: int) -> str:
    """Return SUBJECT_ID and HADM_ID: the id of an admission has six digits and is in no order."""
    if admission is None:
        return f"{row % 46_520 + 2},"
    return f"{admission * 4 // 5 + 2},{100_000 + admission * 7_919 % 899_981}"


def _write(path: Path, columns: str, rows: Iterator[str]) -> None:
    with path.open("w", encoding="ascii", newline="") as file:
        file.write(_header(columns))
        file.writelines(f"{row}\n" for row in rows)


def _header(columns: str) -> str:
    return ",".join(f'"{name}"' for name in columns.split()) + "\n"


def _diagnoses() -> list[str]:
    categories = [f"{number:03d}" for number in range(1, 1_000)] + [
        f"V{number:02d}" for number in range(1, 92)
    ]
    endings = ["", *"0123456789", *(f"{number:02d}" for number in range(10))]
    external = [
        f"E{number}{ending}" for number in range(800, 1_000) for ending in ("", *"0123456789")
    ]
    return [category + ending for category in categories for ending in endings] + external


def _procedures() -> list[str]:
    endings = [*"0123456789", *(f"{number:02d}" for number in range(100))]
    return [f"{category:02d}{ending}" for category in range(100) for ending in endings]


def _made_up_paragraphs(draw: random.Random) -> list[str]:
    """Make paragraphs of about 60 words in lines of ten, as between two quotes of a CSV file."""
    words = [
        "".join(draw.choices("eeeetttaaaooiinnssrrhhlldcumfpgwybvk", k=draw.randint(2, 9)))
        for _ in range(_WORDS)
    ]
    # By Zipf's law, which determines the gzip ratio.
    weights = [1 / (rank + 3) ** 1.4 for rank in range(_WORDS)]
    paragraphs = []
    for number in range(_PARAGRAPHS):
        drawn = draw.choices(words, weights=weights, k=60)
        drawn[7] += ","
        drawn[22] += ", [**2151-7-16**]"
        drawn[31] = f"{number % 200}."
        if number % 6 == 0:
            drawn[40] = f'""{drawn[40]}""'
        drawn[0] = drawn[0].title() + ":"
        drawn[-1] += "."
        paragraphs.append(
            "\n".join(" ".join(drawn[start : start + 10]) for start in range(0, 60, 10))
        )
    return paragraphs
