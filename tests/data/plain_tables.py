"""Raw MIMIC tables with every trap we know of, to compare `prepare` with the plain reference.

Written in plain Python, without icdcli, so that the two sides of the comparison share no line.
Every code is on a given number of admissions, so that the limits of the protocols (ten admissions,
rank fifty) are met exactly.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple


class Table(NamedTuple):
    """One raw table: its columns in file order, its rows as strings."""

    columns: list[str]
    rows: list[list[str]]


class Code(NamedTuple):
    """A code as the raw tables write it; version is empty in MIMIC-III."""

    kind: str
    raw: str
    version: str = ""


KINDS = {"diagnosis": "DIAGNOSES", "procedure": "PROCEDURES"}
WORDS = (
    "pain Chest denies FEVER heart failure acute chronic kidney disease 12 mg daily aspirin stable"
).split()
SNAGS = [
    'a "quoted" word, then',
    '""',
    '"',
    "line\nbreak",
    "carriage\r\nreturn",
    "lone\rreturn",
    '1,2,100001,,,,Discharge summary,Report,,,"not a row"\n'
    '2,3,100002,,,,Discharge summary,Report,,,"nor this"\n',
    "\n,,,\n",
    "NA",
    "NULL",
    "nan",
    "é ß Ω 漢字 😀 naïve",
    # Lower case changes the length of the first word, and makes ASCII of the Kelvin sign.
    "İstanbul 300\u212a ſ",
    "½ ² ٣ Ⅻ x² 7a",  # words to \w, and numeric or not
    "two_words _ __1__",
    "sepa\u2028rated\x85by\x0cform\xa0feed\x1cs",  # lines to str.splitlines, not to CSV
    "back\\slash \\\" and ' and # and %",
    "-5.3e10",
    "tab\there",
    "  ",
    "cafe\u0301",
]
WHOLE = [
    "NA",
    "NULL",
    "nan",
    "null",
    "None",
    '"',
    '""',
    ",",
    "0",
    " padded ",
    "\n\nlate\n",
    "x",
    "Ω",
    "'",
    "\\",
    "\u200b",
    "#",
]
BLANK = ["", " ", "   ", "\n", "\t \r\n", "\r\n\r\n"]
NUMBERS = ["12 345", "2,000.50", "0"]  # cleaning leaves nothing of these

# The documents per code: 45 codes above the tie of rank 50, 10 in it, then those around the limit
# of ten.
COUNTS = [60 - n for n in range(45)] + [14] * 10 + [11] * 8 + [10] * 10 + [9] * 10
TIED = [
    ("D", "0331"),
    ("P", "0331"),
    ("D", "428"),
    ("P", "4280"),
    ("D", "V10"),
    ("D", "E849"),
    ("D", "V1009"),
]
TIED += [("P", "9671"), ("D", "042"), ("P", "0042")]
SNAGGED = [
    ("D", "0066"),
    ("P", "0066"),
    ("P", "331"),
    ("P", "66"),
    ("P", "10"),
    ("P", "0010"),
    ("P", "0001"),
    ("P", "966"),
]
SNAGGED += [
    ("P", "0966"),
    ("D", "3893"),
    ("P", "3893"),
    ("D", "E8490"),
    ("D", "E8499"),
    ("D", "V1005"),
    ("D", "4280"),
]
SNAGGED += [
    ("P", "428"),
    ("D", "0010"),
    ("D", "NA"),
    ("D", "00321"),
    ("P", "0321"),
    ("D", "E8490X"),
    ("P", "042"),
    ("D", "V4581"),
]
OUTSIDE = {
    ("D", "0066"),
    ("P", "3893"),
    ("P", "331"),
    ("D", "NA"),
    ("D", "V10"),
    ("P", "0042"),
}  # not in the D_ICD table of their kind


def text(rng: random.Random, snags: int) -> str:
    """Return a small text with this number of snags between its words."""
    parts = rng.choices(WORDS, k=rng.randint(3, 12)) + rng.choices(SNAGS, k=snags)
    rng.shuffle(parts)
    return rng.choice([" ", "\n", ", "]).join(parts)


def texts(rng: random.Random, number: int) -> list[str]:
    """Return texts that aren't blank: four above 300 kB, some of one snag only, some of numbers."""
    long = ["\n".join(text(rng, 1) for _ in range(6000)) for _ in range(4)]
    made = long + WHOLE + NUMBERS + [text(rng, rng.randint(0, 4)) for _ in range(number)]
    made = made[:number]
    rng.shuffle(made)
    return made


def catalog(rng: random.Random) -> list[tuple[Code, int]]:
    """Return the ICD-9 codes of MIMIC-III, each with its number of documents."""
    generic = [
        ("D", f"{n}")
        for n in [*rng.sample(range(2500, 7900), 40), *rng.sample(range(25000, 79000), 10)]
    ]
    generic += [("P", f"{n}") for n in rng.sample(range(4300, 9600), 25)]
    others = list(dict.fromkeys(SNAGGED + generic))
    rng.shuffle(others)
    counts = COUNTS[:45] + COUNTS[55:]
    counts += [rng.choice([1, 1, 1, 2, 4, 8]) for _ in range(len(others) - len(counts))]
    pairs = [*zip(TIED, COUNTS[45:55], strict=True), *zip(others, counts, strict=True)]
    return [
        (Code("diagnosis" if kind == "D" else "procedure", raw), count)
        for (kind, raw), count in pairs
    ]


def disguised(rng: random.Random, raw: str) -> str:
    """Return the code as a row may write it: padded or in lower case."""
    return rng.choice([raw] * 12 + [raw.ljust(7), f" {raw}", raw.lower()])


def code_rows(
    rng: random.Random,
    codes: list[tuple[Code, int]],
    holders: dict[str, list[str]],
    others: list[str],
) -> Iterator[tuple[str, Code, str]]:
    """Yield HADM_ID, code and raw code: `count` holders of the version, three others, some twice.

    The first twelve holders have all codes of fewer than nine admissions, and no others.
    """
    for code, count in codes:
        able = holders[code.version][:12] if count < 9 else holders[code.version][12:]
        for admission in rng.sample(able, count) + rng.sample(others, 3) + [""]:
            for _ in range(rng.choice([1] * 8 + [2, 3])):
                yield admission, code, disguised(rng, code.raw)
            if rng.random() < 0.02:
                yield admission, code, rng.choice(["", "  "])


def mimic3(seed: int) -> dict[str, Table]:
    """Return the five tables of MIMIC-III with 400 admissions; the slices name their purposes."""
    rng = random.Random(seed)
    ids = [str(n) for n in rng.sample(range(100_000, 200_000), 400)]
    subjects = {admission: str(rng.randint(1, 260)) for admission in ids}
    documents, addenda, uncoded = ids[:320], ids[320:335], ids[335:350]
    noteless, blank, other, only_empty = ids[350:365], ids[365:375], ids[375:395], ids[395:]
    kinds = [
        (admission, "Discharge summary", "Report") for admission in documents + uncoded + only_empty
    ]
    kinds += [
        (admission, "Discharge summary", "Addendum")
        for admission in addenda + rng.sample(documents, 90)
    ]
    kinds += [(admission, "Discharge summary", "Report") for admission in rng.sample(documents, 40)]
    kinds += [
        (rng.choice(documents), "Discharge summary", word)
        for word in ["report", "Report ", " Report", "", "NA"] * 3
    ]
    kinds += [("", "Discharge summary", "Report")] * 25
    near = [
        "Discharge summary ",
        "discharge summary",
        "Discharge Summary",
        " Discharge summary",
        "Nursing",
        "Physician ",
        "",
    ]
    kinds += [
        (admission, rng.choice(near), "Report") for admission in other + rng.sample(documents, 100)
    ]
    notes = [(*kind, words) for kind, words in zip(kinds, texts(rng, len(kinds)), strict=True)]
    notes += [
        (admission, "Discharge summary", "Report", rng.choice(BLANK))
        for admission in blank + rng.sample(documents, 60)
    ]
    rng.shuffle(notes)  # addenda far from their reports, and before them
    note_rows = []
    for number, (admission, category, description, words) in enumerate(notes, start=1):
        subject = (
            subjects[admission] if admission and rng.random() > 0.03 else str(rng.randint(1, 260))
        )
        times = ["2150-01-02", rng.choice(["", "2150-01-02 10:11:12"]), ""]
        error = rng.choice(["", "", "", "1"])
        note_rows.append(
            [
                str(number),
                subject,
                admission,
                *times,
                category,
                description,
                rng.choice(["", "7"]),
                error,
                words,
            ]
        )
    codes = catalog(rng)
    rows = list(code_rows(rng, codes, {"": documents + addenda}, noteless + blank + other))
    rows += [
        (admission, Code(kind, ""), rng.choice(["", " "]))
        for admission in only_empty
        for kind in KINDS
    ]
    rng.shuffle(rows)
    tables = {
        "NOTEEVENTS": Table(
            (
                "ROW_ID SUBJECT_ID HADM_ID CHARTDATE CHARTTIME STORETIME CATEGORY DESCRIPTION CGID "
                "ISERROR TEXT"
            ).split(),
            note_rows,
        )
    }
    for kind, name in KINDS.items():
        coded = [
            [
                str(number),
                subjects.get(admission, "9"),
                admission,
                rng.choice(["", "1", str(number)]),
                raw,
            ]
            for number, (admission, code, raw) in enumerate(rows, start=1)
            if code.kind == kind
        ]
        known = [
            code.raw
            for code, _ in codes
            if code.kind == kind and (kind[0].upper(), code.raw) not in OUTSIDE
        ]
        titled = [(raw.ljust(6), f'Title, "{raw}"') for raw in known[:2]] + [
            (raw, f"Title of {raw}") for raw in known[2:]
        ]
        titled += [(f"99{n}", rng.choice(["NA", "", "Not in use"])) for n in range(10)]
        tables[f"{name}_ICD"] = Table("ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE".split(), coded)
        tables[f"D_ICD_{name}"] = Table(
            "ROW_ID ICD9_CODE SHORT_TITLE LONG_TITLE".split(),
            [
                [str(number), raw, title[:24], title]
                for number, (raw, title) in enumerate(titled, start=1)
            ],
        )
    return tables


def catalog4(rng: random.Random) -> list[tuple[Code, int]]:
    """Return the codes of MIMIC-IV in both versions, each with its number of documents."""
    both = [
        "0331",
        "3893",
        "E8490",
        "E8491",
        "V1009",
        "0066",
        "A419",
    ]  # the same string in both versions
    shared = [Code(kind, raw, version) for version in ("9", "10") for raw in both for kind in KINDS]
    counts = [6, 6, 11, 10, 9, 9, 10, 12, 5, 7, 25, 14, 9, 11] * 2
    codes = list(zip(shared, counts, strict=True))
    rows = {
        "diagnosis": {
            "9": ["042", "V10", "E849", "4019", "25000"],
            "10": ["I10", "E1165", "Z7902", "A41", "W1830XA"],
        }
    }
    rows["procedure"] = {
        "9": ["966", "0042", "9671"],
        "10": ["0BH17EZ", "02HV33Z", "5A1935Z", "0FT44ZZ"],
    }
    for kind, versions in rows.items():
        for version, raws in versions.items():
            codes += [
                (Code(kind, raw, version), count)
                for raw, count in zip(raws, [10, 9, 11, 30, 40], strict=False)
            ]
    codes += [
        (Code("diagnosis", f"{n}", "9"), rng.randint(7, 13))
        for n in rng.sample(range(25100, 79000), 20)
    ]
    return codes + [
        (Code("diagnosis", f"K{n}", "10"), rng.randint(7, 13))
        for n in rng.sample(range(100, 999), 20)
    ]


def mimic4(seed: int) -> dict[str, Table]:
    """Return the five tables of MIMIC-IV with 300 admissions of either version or both."""
    rng = random.Random(seed)
    ids = [str(n) for n in rng.sample(range(20_000_000, 30_000_000), 300)]
    subjects = {admission: str(10_000_000 + rng.randint(1, 180)) for admission in ids}
    documents, uncoded, noteless, blank = ids[:250], ids[250:265], ids[265:285], ids[285:]
    noted = documents + uncoded + rng.sample(documents, 40) + [""] * 15
    notes = list(zip(noted, texts(rng, len(noted)), strict=True))
    notes += [(admission, rng.choice(BLANK)) for admission in blank + rng.sample(documents, 20)]
    rng.shuffle(notes)
    note_rows = []
    for number, (admission, words) in enumerate(notes, start=1):
        subject = (
            subjects[admission]
            if admission and rng.random() > 0.03
            else str(10_000_000 + rng.randint(1, 180))
        )
        note_rows.append(
            [
                f"{subject}-DS-{number}",
                subject,
                admission,
                "DS",
                str(number),
                "2150-01-02",
                "",
                words,
            ]
        )
    codes = catalog4(rng)
    rows = list(
        code_rows(rng, codes, {"9": documents[:166], "10": documents[:82:-1]}, noteless + blank)
    )
    rng.shuffle(rows)
    columns = "note_id subject_id hadm_id note_type note_seq charttime storetime text".split()
    tables = {"note/discharge": Table(columns, note_rows)}
    for kind, name in KINDS.items():
        date = ["chartdate"] * (kind == "procedure")
        coded = [
            [
                subjects.get(admission, "9"),
                admission,
                str(number),
                *["2150-01-02"] * len(date),
                raw,
                code.version,
            ]
            for number, (admission, code, raw) in enumerate(rows, start=1)
            if code.kind == kind
        ]
        titled = [
            [code.raw.ljust(7), code.version, f'Title, "{code.raw}"']
            for code, _ in codes
            if code.kind == kind
        ]
        tables[f"hosp/{name.lower()}_icd"] = Table(
            ["subject_id", "hadm_id", "seq_num", *date, "icd_code", "icd_version"], coded
        )
        tables[f"hosp/d_icd_{name.lower()}"] = Table(
            ["icd_code", "icd_version", "long_title"], titled[:-3]
        )
    return tables
