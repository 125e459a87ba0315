"""Measure how fast notes are read from each format, beside a common reader of the same format.

Makes the same synthetic notes in each format and reads them in a process of its own: by icdcode, as
`predict` does (checked, and with their hashes), and by the other reader, which only gets the text.
After a first reading, the fastest of up to five counts.
Prints a table in Markdown: MB of files and notes per second of processor time, and the peak memory.

    python benchmarks/reading.py                 1,000 notes; five minutes
    python benchmarks/reading.py --notes 200 --formats fhir hl7
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from reading_files import FILES, files_of

MOST_READINGS, ENOUGH_SECONDS = 5, 10.0


def by_icdcode(path: Path) -> int:
    """Return the number of characters of all notes."""
    from icdcli.data.notes.files import find_notes

    name = f"sqlite:///{path}" if path.suffix == ".db" else str(path)
    return sum(len(note.text) for note in find_notes([name]))


def of_files(read: Callable[[Path], int]) -> Callable[[Path], int]:
    """Return a reader of a file or of a folder."""
    return lambda path: sum(map(read, files_of(path)))


def _by_pandas(path: Path) -> int:
    import pandas

    return sum(map(len, pandas.read_csv(path, dtype=str)["text"]))


def _by_pandas_in_cp1252(path: Path) -> int:
    import pandas

    return sum(map(len, pandas.read_csv(path, dtype=str, encoding="cp1252")["text"]))


def _by_pandas_parquet(path: Path) -> int:
    import pandas

    return sum(map(len, pandas.read_parquet(path)["text_value"].dropna()))


def _by_sqlite(path: Path) -> int:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(path)) as database:
        return sum(len(text) for (text,) in database.execute("SELECT note_text FROM note"))


def _by_fhir_resources(path: Path) -> int:
    from fhir.resources.bundle import Bundle
    from fhir.resources.documentreference import DocumentReference

    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        found = [entry.resource for entry in Bundle.model_validate_json(text).entry]
    else:
        found = [DocumentReference.model_validate_json(line) for line in text.splitlines()]
    return sum(len(one.content[0].attachment.data.decode()) for one in found)


def _by_hl7apy(path: Path) -> int:
    from hl7apy.parser import parse_message

    content = path.read_bytes().decode()
    count = 0
    for part in content.split("MSH|")[1:]:
        message = parse_message("MSH|" + part, find_groups=False)
        values = [one.obx_5.to_er7() for one in message.children if one.name == "OBX"]
        count += len("\n".join(values))
    return count


def _by_lxml_html(path: Path) -> int:
    from lxml import html

    return len(html.fromstring(path.read_bytes()).find("body").text_content())


def _by_lxml(path: Path) -> int:
    from lxml import etree

    return len("".join(etree.parse(path).getroot().itertext()))


def _by_striprtf(path: Path) -> int:
    from striprtf.striprtf import rtf_to_text

    return len(rtf_to_text(path.read_text(encoding="ascii")))


def _by_python_docx(path: Path) -> int:
    import docx

    return len("\n".join(one.text for one in docx.Document(path).paragraphs))


def _by_pypdf(path: Path) -> int:
    import pypdf

    return sum(len(one.extract_text()) for one in pypdf.PdfReader(path).pages)


OTHERS: dict[str, tuple[str, Callable[[Path], int]]] = {
    "csv": ("pandas", _by_pandas),
    "cp1252": ("pandas", _by_pandas_in_cp1252),
    "meds": ("pandas", _by_pandas_parquet),
    "database": ("sqlite3", _by_sqlite),
    "fhir": ("fhir.resources", _by_fhir_resources),
    "bundle": ("fhir.resources", _by_fhir_resources),
    "hl7": ("hl7apy", _by_hl7apy),
    "html": ("lxml", of_files(_by_lxml_html)),
    "cda": ("lxml", of_files(_by_lxml)),
    "rtf": ("striprtf", of_files(_by_striprtf)),
    "docx": ("python-docx", of_files(_by_python_docx)),
    "pdf": ("pypdf", of_files(_by_pypdf)),
}
NAMES = {
    "text": "plain text",
    "csv": "CSV",
    "cp1252": "CSV in Windows-1252",
    "meds": "MEDS, Parquet",
    "database": "OMOP, SQLite",
    "fhir": "FHIR, NDJSON",
    "bundle": "FHIR, Bundle",
    "hl7": "HL7 v2",
    "html": "HTML",
    "cda": "CDA",
    "rtf": "RTF",
    "docx": "Word",
    "pdf": "PDF",
}


def measure(name: str, path: Path, other: bool) -> dict[str, float]:
    """Read a format in this process, and return what it took."""
    read = OTHERS[name][1] if other else by_icdcode
    read(path)  # imports don't count
    seconds: list[float] = []
    while len(seconds) < MOST_READINGS and sum(seconds) < ENOUGH_SECONDS:
        started = time.process_time()
        characters = read(path)
        seconds.append(time.process_time() - started)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    return {"seconds": min(seconds), "characters": characters, "peak": peak}


def _measured(name: str, path: Path, other: bool) -> dict[str, float]:
    words = [sys.executable, __file__, "--read", name, str(path), *(["--other"] if other else [])]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"reading {name} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def _texts(folder: Path, count: int) -> list[str]:
    """Return synthetic notes."""
    import pandas

    from icdcli.data.corpus.prepare import prepare
    from icdcli.data.section import DataConfig
    from icdcli.data.synthetic.generator import write_demo_data

    write_demo_data(folder, count + count // 5)
    corpus = prepare(DataConfig(data_path=folder)).folder
    texts = list(pandas.read_parquet(corpus / "documents.parquet", columns=["text"])["text"])
    return texts[:count]


def _cells(notes: int, size: int, found: dict[str, float]) -> str:
    seconds = found["seconds"]
    return f"{size / 1e6 / seconds:.1f} | {notes / seconds:,.0f} | {found['peak']:,.0f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--notes", type=int, default=1000)
    parser.add_argument("--formats", nargs="+", choices=list(FILES), default=list(FILES))
    parser.add_argument("--read", nargs=2, metavar=("FORMAT", "PATH"), help=argparse.SUPPRESS)
    parser.add_argument("--other", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        print(json.dumps(measure(options.read[0], Path(options.read[1]), options.other)))
        return
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        texts = _texts(folder / "tables", options.notes)
        print(f"{len(texts):,} notes, {sum(map(len, texts)) / 1e6:.1f} million characters\n")
        print(
            "| format | MB | MB/s | notes/s | peak MB | other reader | MB/s | notes/s | peak MB |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        for name in options.formats:
            path = folder / FILES[name][0]
            FILES[name][1](path, texts)
            size = sum(one.stat().st_size for one in files_of(path))
            ours = _cells(len(texts), size, _measured(name, path, False))
            other = "| | |"
            if name in OTHERS:
                found = _measured(name, path, True)
                other = f"{OTHERS[name][0]} | {_cells(len(texts), size, found)}"
            print(f"| {NAMES[name]} | {size / 1e6:.1f} | {ours} | {other} |", flush=True)


if __name__ == "__main__":
    main()
