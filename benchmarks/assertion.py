"""Measure how fast assertion classes are read, next to medspacy, and what CodiEsp's spans have.

Both sides read the same notes, CodiEsp's in English, in one process with one thread each, after a
first round that isn't measured. medspacy runs its sentence splitter (PyRuSH) and its ConText, with
its own rules. It needs another environment, because it pins older libraries:

    python -m venv medspacy && medspacy/bin/pip install medspacy
    python benchmarks/assertion.py DATA --medspacy medspacy/bin/python --json assertion.json

Without ``--medspacy``, only icdcode runs. The second table counts the classes of the spans that
annotators of CodiEsp marked in Spanish: they code mentions, denied ones included.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

PEER_DOCUMENTS = 100


def notes(data: Path, folder: str) -> dict[str, str]:
    """Return the texts of CodiEsp's train and dev splits by document."""
    files = sorted(data.glob(f"*/{folder}/*.txt"))
    if not files:
        raise SystemExit(f"no notes in {data}/*/{folder}; pass CodiEsp's folder")
    return {file.stem: file.read_text(encoding="utf-8") for file in files}


def icdcode_seconds(texts: list[str]) -> float:
    """Return the seconds in which icdcode reads the texts."""
    from icdcli.lexical.assertion.cues import built_in_cues
    from icdcli.lexical.assertion.reader import reader_of

    reader = reader_of(built_in_cues("en"))
    for text in texts:
        reader.read(text)
    start = time.process_time()
    for text in texts:
        reader.read(text)
    return time.process_time() - start


def medspacy_seconds(texts: list[str]) -> float:
    """Return the seconds in which medspacy reads the texts."""
    import medspacy  # in its own environment

    pipeline = medspacy.load(enable=["medspacy_pyrush", "medspacy_context"])
    pipeline(texts[0])
    start = time.process_time()
    for text in texts:
        pipeline(text)
    return time.process_time() - start


def annotated_classes(data: Path) -> Counter[str]:
    """Return how many spans of CodiEsp's annotators, in Spanish, have each class."""
    from icdcli.lexical.assertion.cues import built_in_cues
    from icdcli.lexical.assertion.reader import reader_of

    reader = reader_of(built_in_cues("es"))
    read = {name: reader.read(text) for name, text in notes(data, "text_files").items()}
    counts: Counter[str] = Counter()
    for file in sorted(data.glob("*/*X.tsv")):
        for line in file.read_text(encoding="utf-8").splitlines():
            name, _, _, _, places = line.split("\t")
            begin, end = places.split(";")[0].split()
            if int(begin) < int(end):  # a few annotations are empty
                counts[read[name].of_span(int(begin), int(end)).label] += 1
    return counts


def speed(texts: list[str], seconds: float) -> dict[str, Any]:
    """Return the measured speed as words per second."""
    words = sum(len(text.split()) for text in texts)
    return {"documents": len(texts), "words": words, "words_per_second": round(words / seconds)}


def main() -> None:
    """Run both sides and show the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="CodiEsp's folder")
    parser.add_argument("--medspacy", help="a Python that has medspacy")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    texts = list(notes(options.data, "text_files_en").values())
    if options.peer:
        print(
            "\n"
            + json.dumps(speed(texts[:PEER_DOCUMENTS], medspacy_seconds(texts[:PEER_DOCUMENTS])))
        )
        return
    result: dict[str, Any] = {"icdcode": speed(texts, icdcode_seconds(texts))}
    if options.medspacy:
        command = [options.medspacy, __file__, str(options.data), "--peer"]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        result["medspacy"] = json.loads(done.stdout.splitlines()[-1])
        rates = [result[side]["words_per_second"] for side in ("icdcode", "medspacy")]
        result["ratio"] = round(rates[0] / rates[1], 1)
    counts = annotated_classes(options.data)
    result["annotated_spans"] = {
        label: {"spans": count, "share": round(count / counts.total(), 4)}
        for label, count in counts.most_common()
    }
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
