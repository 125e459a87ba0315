"""Own tables and CodiEsp with awkward content: `prepare` gives what a plain reading gives."""

import gzip
import importlib.util
import json
import random
import re
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from icdcli.data.corpus.prepare import prepare
from icdcli.data.section import DataConfig
from icdcli.data.sources import table as table_source

spec = importlib.util.spec_from_file_location("plain_own", Path(__file__).with_name("plain_own.py"))
plain = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plain)

WORDS = "pain chest denies FEVER heart failure acute 12 mg daily fiebre tos niño".split()
SNAGS = [
    'a "quoted" word, then',
    '""',
    '"',
    "line\nbreak",
    "carriage\r\nreturn",
    "lone\rreturn",
    "semi;colon|pipe",
    "tab\there",
    "cafe\u0301 and caf\u00e9",
    "sepa\u2028rated\x85by\x0cform\xa0feed",
    "漢字 😀 ½",
    "NULL",
    "back\\slash \\\" and ' and #",
    '{"text": "not a row"}\n',
]
WHOLE = ["NA", "nan", "0", ",", '"', " padded ", "\n\nlate\n", "\u200b", "#", "-5.3e10"]
BLANK = ["", " ", "\t \r\n"]
DIAGNOSES9 = "4280 42731 25000 4019 5849 51881 2720 53081 V5861 E8497 0389 486 2859 041".split()
PROCEDURES9 = "9604 9671 3893 966 3615 0066 4516 8856 3722 9904 0331".split()
DIAGNOSES10 = "I10 E11.9 J18.9 M54.50 F32.9 N39.0 K21.9 I48.91 Z79.4 S72.001A A09".split()
PROCEDURES10 = "0BJ08ZZ 02HV33Z 5A1955Z 3E0G76Z".split()
FORMATS = {  # the ending of the name to the separator and the encoding
    "csv": (",", "utf-8-sig"),
    "comma.csv.gz": (",", "utf-8"),
    "semicolon.csv": (";", "utf-8"),
    "tab.tsv": ("\t", "utf-8"),
    "tab.tsv.gz": ("\t", "utf-8-sig"),
    "pipe.csv": ("|", "utf-8"),
    "windows.csv": (";", "utf-16"),
    "jsonl": ("", "utf-8-sig"),
    "ndjson.gz": ("", "utf-8"),
    "json": ("", "utf-8"),
    "json.gz": ("", "utf-8-sig"),
    "xlsx": ("", ""),
    "parquet": ("", ""),
    "spark": ("", ""),  # a folder of Parquet files
}
COLUMNS = [(), ("id", "subject_id"), ("id", "subject_id", "split")]
SEED, ROWS = 5, 300


def text(rng):
    parts = rng.choices(WORDS, k=rng.randint(3, 12)) + rng.choices(SNAGS, k=rng.randint(0, 4))
    rng.shuffle(parts)
    return rng.choice([" ", "\n", ", "]).join(parts)


def cell(rng, codes):
    """Return codes as somebody may have written them into one cell."""
    codes = codes + rng.choices(codes, k=rng.choice([0, 0, 1]))  # one of them twice
    codes = [rng.choice([code, code, code.lower(), f"{code}\u200b", f'"{code}"']) for code in codes]
    bare = [code.strip('"').strip("\u200b") for code in codes]
    return rng.choice(
        [
            ";".join(codes),
            ", ".join(codes),
            " ".join(codes),
            f" {' | '.join(codes)}; ",
            "; ".join(f"{code} some words" for code in codes),
            "[" + " ".join(f"'{code}'" for code in bare) + "]",
            json.dumps([*bare, ""]),
            f"{';'.join(codes)};nan",
        ]
    )


def table(rng, codes, columns):
    """Return rows with all the snags; `columns` says which of the optional ones there are."""
    patients = [f"p{n} é" if n % 7 else str(n) for n in range(ROWS // 3)]
    split_of = {name: rng.choice(["Train", "training", "dev", " VAL", "test"]) for name in patients}
    bodies = WHOLE + BLANK + [text(rng) for _ in range(ROWS)]
    bodies[40] = "\n".join(text(rng) for _ in range(6000))  # above 300 kB
    bodies[50] = bodies[60]
    rows = []
    for number in range(ROWS):
        patient = rng.choice(patients)
        its = rng.sample(codes, rng.randint(1, 5))
        row = {
            "text": bodies[number],
            "codes": cell(rng, its) if number % 20 else rng.choice(["", "NULL", " ", "unknown"]),
            "note": 'not, "used"\n',
        }
        if "id" in columns:
            row["id"] = rng.choice(["{}", " {}", "{:04d}", "n\u00e9-{}", "ne\u0301-{}"]).format(
                number
            )
        if "subject_id" in columns:
            row["subject_id"] = patient if number % 11 or "split" in columns else ""
        if "split" in columns:
            row["split"] = split_of[patient]
        names = list(row)
        rng.shuffle(names)
        rows.append((names, row))
    order = rows[0][0]
    return [{name: row[name] for name in order} for _, row in rows]


def write(rows, path, rng):
    """Write rows in the format of a name, without icdcli and without a CSV writer."""
    ending = path.name.partition(".")[2]
    separator, encoding = FORMATS[ending]
    if ending in ("parquet", "spark"):
        return write_parquet(rows, path, rng)
    if ending == "xlsx":
        return write_workbook(rows, path)
    if separator:
        end = rng.choice(["\n", "\r\n"])

        def field(value):
            special = set(value) & set(f'{separator}"\r\n') or rng.random() < 0.3
            return '"' + value.replace('"', '""') + '"' if special else value

        lines = [rows[0], *(row.values() for row in rows)]
        content = "".join(separator.join(map(field, line)) + end for line in lines)
    else:
        records = []
        for row in rows:
            items = [item for item in row.items() if item[1] or rng.random() < 0.5]
            rng.shuffle(items)
            records.append(dict(items))
        if "json" in ending.split("."):
            content = json.dumps(records, indent=rng.choice([None, 2]), ensure_ascii=False)
        else:
            lines = [json.dumps(record, ensure_ascii=rng.random() < 0.5) for record in records]
            content = "\n".join([lines[0], "", *lines[1:]]) + "\n"
    data = content.encode(encoding)
    path.write_bytes(gzip.compress(data) if ending.endswith(".gz") else data)
    return path


def write_parquet(rows, path, rng):
    if "codes" in rows[0] and rng.random() < 0.5:  # a column of lists
        rows = [row | {"codes": plain.raw_codes(row["codes"])} for row in rows]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=77)
        return path
    parts = {}
    for number, row in enumerate(rows):
        place = f"split={row['split'].strip()}" if "split" in row else ""
        row = {name: value for name, value in row.items() if name != "split"}
        parts.setdefault(f"{place}/part-{number // 100:05d}.parquet", []).append(row)
    for name, part in parts.items():
        file = path / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(part), file)
    (path / "_SUCCESS").touch()
    return path


def write_workbook(rows, path):
    lines = []
    for number, row in enumerate([dict(zip(rows[0], rows[0], strict=True)), *rows], start=1):
        cells = "".join(
            f'<c r="{"ABCDEFGHIJKLMNOPQRSTUV"[place]}{number}" t="inlineStr"><is>'
            f'<t xml:space="preserve">{escape(value)}</t></is></c>'
            for place, value in enumerate(row.values())
            if value
        )
        lines.append(f'<row r="{number}">{cells}</row>')
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/>'
        "</Types>",
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="Notes" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/>'
        "</Relationships>",
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{"".join(lines)}'
        "</sheetData></worksheet>",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + content)
    return path


def for_workbooks(rows):
    """Return rows that fit into cells of Excel: shorter, and without controls and lone returns."""
    return [
        {
            name: re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f]", " ", value.replace("\r", ""))[:30_000]
            for name, value in row.items()
        }
        for row in rows
    ]


def with_a_row_per_code(rows):
    """Return rows with a code each; some have the text in their first row only."""
    spread = []
    for number, row in enumerate(rows):
        for place, raw in enumerate(plain.raw_codes(row["codes"]) or [""]):
            text = row["text"] if place == 0 or number % 2 else ""
            spread.append(row | {"codes": raw, "text": text})
    return spread


def with_a_column_per_code(rows):
    """Return rows with the columns dx1, dx2 …"""
    wide = []
    for row in rows:
        raws = plain.raw_codes(row["codes"])
        row = {name: value for name, value in row.items() if name != "codes"}
        cells = [*raws, *[""] * 12][:12]
        wide.append(row | {f"dx{place}": raw for place, raw in enumerate(cells, start=1)})
    return wide


def prepared(config):
    """Return the documents and labels that `prepare` wrote."""
    folder = prepare(config).folder
    documents = pq.read_table(folder / "documents.parquet").to_pylist()
    labels = pq.read_table(folder / "labels.parquet").to_pylist()
    assert [row["label"] for row in labels] == list(range(len(labels)))
    return (
        folder,
        [plain.Document(**document) for document in documents],
        {plain.Label(row["code"], row["kind"]) for row in labels},
    )


def check(found, expected):
    documents, labels = found
    assert [document.id for document in documents] == [document.id for document in expected[0]]
    for document, its in zip(documents, expected[0], strict=True):
        assert document == its
    assert labels == expected[1]


KINDS = [
    (DIAGNOSES9, "icd9", "diagnosis"),
    (PROCEDURES9, "icd9", "procedure"),
    (DIAGNOSES10 + PROCEDURES10, "icd10", None),
]


def compare(path, system, kind, codes, **options):
    _, *found = prepared(DataConfig(data_path=path, code_system=system, **options))
    expected = plain.own_documents(path, system, kind)
    check(found, expected)
    assert len(expected[0]) > 0.9 * ROWS - 2 * len(BLANK)
    assert len(expected[1]) == len(codes)
    assert len({document.split for document in expected[0]}) == 3


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("number", [0, pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_table_is_read_as_the_plain_reading_reads_it(tmp_path, ending, number):
    codes, system, kind = KINDS[number]
    columns = COLUMNS[(number + list(FORMATS).index(ending)) % len(COLUMNS)]
    rng = random.Random(f"{SEED} {ending} {system} {kind}")
    rows = table(rng, codes, columns)
    rows = for_workbooks(rows) if ending == "xlsx" else rows
    compare(write(rows, tmp_path / f"own.{ending}", rng), system, kind, codes)


@pytest.mark.parametrize("ending", ["csv", "semicolon.csv", "jsonl", "xlsx", "parquet"])
@pytest.mark.parametrize(
    ("shape", "options"),
    [(with_a_row_per_code, {}), (with_a_column_per_code, {"codes_column": "dx*"})],
)
def test_codes_in_several_rows_or_columns_are_read_as_the_plain_reading_reads_them(
    tmp_path, ending, shape, options
):
    codes, system, kind = KINDS[2]
    rng = random.Random(f"{SEED} {ending} {options}")
    rows = table(rng, codes, COLUMNS[2])
    rows = shape(for_workbooks(rows) if ending == "xlsx" else rows)
    path = write(rows, tmp_path / f"own.{ending}", rng)
    compare(path, system, kind, codes, **options)


def test_every_format_is_compared():
    endings = {"." + ending.removesuffix(".gz").split(".")[-1] for ending in FORMATS}
    assert set(re.findall(r"\.[a-z]{3,}", table_source.ENDINGS)) <= endings


def codiesp(folder, rng):
    """Write 300 cases in both languages with their three tables."""
    for name in ("train", "dev", "test"):
        tables = {"D": [], "P": [], "X": []}
        for language in ("text_files", "text_files_en"):
            (folder / name / language).mkdir(parents=True)
        for number in range(100):
            case, spanish = f"S{number:03d}-{name}", text(rng)
            if number % 25 == 0:
                spanish = rng.choice(BLANK)
            for language, body in (("text_files", spanish), ("text_files_en", text(rng))):
                (folder / name / language / f"{case}.txt").write_bytes(body.encode())
            for letter, codes in (("D", DIAGNOSES10), ("P", PROCEDURES10)):
                its = rng.choices(codes, k=rng.choice([0, 1, 3]))
                tables[letter] += [f"{case}\t{code.lower()}" for code in its]
                kind = {"D": "DIAGNOSTICO", "P": "PROCEDIMIENTO"}[letter]
                for code in its:
                    begin = rng.randrange(max(1, len(spanish) - 9))
                    places = [(begin, begin + 4), (begin + 5, begin + 8)][: rng.randint(1, 2)]
                    words = " ".join(spanish[first:last] for first, last in places)
                    words = words if rng.random() < 0.8 else "other words"
                    if not words.strip() or set(words) & set("\t\n\r"):
                        continue
                    places = ";".join(f"{first} {last}" for first, last in places)
                    tables["X"].append(f"{case}\t{kind}\t{code.lower()}\t{words}\t{places}")
        tables["D"].append(f"S999-{name}\ti10")  # without a text
        for letter, lines in tables.items():
            end = rng.choice(["\n", "\r\n"])
            path = folder / name / f"{name}{letter}.tsv"
            path.write_bytes("".join(line + end for line in [*lines, ""]).encode())
    return folder


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize(
    ("codes", "kinds"),
    [
        ("diagnoses", {"D": "diagnosis"}),
        ("procedures", {"P": "procedure"}),
        ("all", {"D": "diagnosis", "P": "procedure"}),
    ],
)
def test_codiesp_is_read_as_the_plain_reading_reads_it(tmp_path, language, codes, kinds):
    data = codiesp(tmp_path / "codiesp", random.Random(SEED))
    config = DataConfig(data_path=data, language=language, codes=codes, cache_dir=tmp_path / "c")
    folder, *found = prepared(config)
    expected = plain.codiesp_documents(data, language, kinds)
    check(found, expected)
    assert len(expected[0]) == 300 - 12 * (language == "es")
    if language == "es":
        evidence = pq.read_table(folder / "evidence.parquet").to_pylist()
        spans = [plain.Span(*(row[n] for n in ("id", "code", "begin", "end"))) for row in evidence]
        assert set(spans) == plain.codiesp_spans(data, kinds)
        assert len(set(spans)) > 60


def test_the_plain_reading_reads_cells_as_by_hand():
    cells = {
        "['25000' '4019']": ["25000", "4019"],
        "I10 high pressure; ICD-10: e11.9*": ["I10", "E11.9"],
        "I10 | nan, E11.9\u200b": ["I10", "E11.9"],
        "NULL": [],
    }
    assert {cell: plain.raw_codes(cell) for cell in cells} == cells
    assert plain.label("E8497", "icd9", "diagnosis") == ("E849.7", "diagnosis")
    assert plain.label("0066", "icd9", "procedure") == ("00.66", "procedure")
    assert plain.label("0BJ08ZZ", "icd10", None) == ("0BJ08ZZ", "procedure")
    assert plain.label("S72001A", "icd10", None) == ("S72.001A", "diagnosis")
