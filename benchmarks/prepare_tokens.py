"""The token cache compared with tokenizing one document at a time, for `prepare.py --tokens`.

Both read the same texts from the same Parquet file and use the same tokenizer, without special
tokens and truncation; only the cache also writes the tokens. Imports aren't counted, since both
need the same ones. Linux only.
"""

import shutil
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from prepare_measure import Measured, measured
from prepare_sides import icdcode

OURS = "token cache"
_VOCABULARY, _LEARNED_FROM = 8_192, 300  # tokens, and documents


def compare_tokens(tables: Path, work: Path, runs: int) -> Measured:
    """Tokenize one corpus in both ways, each in a new process; print the best run of each.

    Returns:
        All figures; `agree` is False if the numbers of tokens differ.
    """
    made = measured("corpus", tables, work)
    corpus, tokenizer = Path(made["corpus"]), Path(made["tokenizer"])
    found: dict[str, list[Measured]] = {way: [] for way in WAYS}
    for _ in range(runs):
        for cached in corpus.glob("tokens-*"):
            shutil.rmtree(cached)
        for way in WAYS:
            found[way].append(measured(way, corpus, tokenizer))
    found["opened again"] = [measured(OURS, corpus, tokenizer) for _ in range(runs)]
    best = {
        way: min(results, key=lambda result: result["seconds"]) for way, results in found.items()
    }
    print(f"{made['documents']:,} documents, {best[OURS]['tokens']:,} tokens; best of {runs}")
    print(f"{'':<24}{'seconds':>10}{'tokens/s':>13}{'times':>8}")
    for way in WAYS:
        seconds = best[way]["seconds"]
        times = f"{seconds / best[OURS]['seconds']:.1f}" if way != OURS else ""
        print(f"{way:<24}{seconds:>10.3f}{best[way]['tokens'] / seconds:>13,.0f}{times:>8}")
    again = best["opened again"]
    print(
        f"{'the cache, opened again':<24}{again['seconds']:>10.3f}   {again['ids_mb']:,.0f} MB of "
        f"tokens in {again['resident_mb']:.1f} MB of memory, "
        f"{again['python_mb']:.2f} MB of it Python's"
    )
    agree = len({result["tokens"] for results in found.values() for result in results}) == 1
    if not agree:
        print(
            "not the same number of tokens:",
            {way: best[way]["tokens"] for way in best},
            file=sys.stderr,
        )
    return {"agree": agree, "best": best, "runs": found}


def _corpus(tables: Path, work: Path) -> Measured:
    """Prepare the tables, and train a small tokenizer on the first documents."""
    from pyarrow import parquet

    from icdcli.model.tokenizer import train_tokenizer

    documents, tokenizer = icdcode(tables, work), work / "tokenizer.json"
    train_tokenizer(
        islice(_texts(documents.parent), _LEARNED_FROM), _VOCABULARY
    ).backend_tokenizer.save(str(tokenizer))
    count = parquet.ParquetFile(documents).metadata.num_rows
    return {"corpus": str(documents.parent), "tokenizer": str(tokenizer), "documents": count}


def _cached(corpus: Path, tokenizer: Path) -> Measured:
    """Make or open the token cache, and measure time and memory."""
    from tokenizers import Tokenizer

    from icdcli.data.token_cache import token_cache

    backend = Tokenizer.from_file(str(tokenizer))
    before, start = _resident_megabytes(), time.perf_counter()
    tokens = token_cache(corpus, backend)
    seconds, resident = time.perf_counter() - start, _resident_megabytes() - before
    tracemalloc.start()
    token_cache(corpus, backend)
    peak = tracemalloc.get_traced_memory()[1]
    memory = {"ids_mb": tokens.ids.nbytes / 1e6, "resident_mb": resident, "python_mb": peak / 1e6}
    return {"seconds": seconds, "tokens": len(tokens.ids), **memory}


def _one_at_a_time(corpus: Path, tokenizer: Path) -> Measured:
    """Call `tokenizer.encode(text)` in a loop, with the library that transformers wraps."""
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(tokenizer))
    start = time.perf_counter()
    tokens = sum(len(backend.encode(text, add_special_tokens=False).ids) for text in _texts(corpus))
    return {"seconds": time.perf_counter() - start, "tokens": tokens}


def _texts(corpus: Path) -> Iterator[str]:
    from pyarrow import parquet

    for batch in parquet.ParquetFile(corpus / "documents.parquet").iter_batches(
        256, columns=["text"]
    ):
        yield from batch.column(0).to_pylist()


def _resident_megabytes() -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) * 1024 / 1e6


WAYS: dict[str, Callable[[Path, Path], Measured]] = {OURS: _cached, "one at a time": _one_at_a_time}
TASKS: dict[str, Callable[[Path, Path], Measured]] = {"corpus": _corpus, **WAYS}
