"""One cell of `scaling.py` in a process of its own, so that it has its own peak memory.

python benchmarks/scaling_stages.py STAGE DOCUMENTS LABELS WORK [MEDIAN_WORDS]      called by
`scaling.py`; prints one line of JSON
"""

import json
import resource
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scaling_documents import MEDIAN_WORDS, label_space, labels_of, made_up_notes

from icdcli.io.tables.parquet import open_parquet

Timed = Callable[[], object]
"""What is measured; making it isn't."""

MAX_LEN = 512
EVALUATED = 30
"""One document in thirty is validated, as in MIMIC-III, where 1,631 of 47,719 are."""
CODED = 500
"""The documents per note that is coded with evidence."""
STEP = 16
_ROWS = 500


@dataclass(frozen=True)
class Notes:
    """The made-up notes of a cell, in a file.

    Attributes:
        path: A Parquet file of texts and codes.
        documents: N.
        labels: L.
    """

    path: Path
    documents: int
    labels: int

    def __iter__(self) -> Iterator[str]:
        with open_parquet(self.path) as file:
            for batch in file.iter_batches(_ROWS, columns=["text"]):
                yield from batch.column(0).to_pylist()

    @property
    def targets(self) -> list[NDArray[np.int32]]:
        """Return the labels of each document."""
        places = pq.read_table(self.path, columns=["places"]).column(0).to_pylist()
        return [labels_of(np.array(place), self.labels) for place in places]

    def first(self, number: int) -> list[str]:
        """Return the first texts."""
        return list(islice(self, number))


def notes_of(documents: int, labels: int, work: Path, median_words: int = MEDIAN_WORDS) -> Notes:
    """Make the notes, unless they exist."""
    path = work / f"notes-{documents}-{median_words}.parquet"
    if not path.is_file():
        work.mkdir(parents=True, exist_ok=True)
        known = label_space(10**9)
        schema = pa.schema(
            {"text": pa.string(), "codes": pa.list_(pa.string()), "places": pa.list_(pa.int64())}
        )
        made, making = made_up_notes(documents, 0, median_words), path.with_suffix(".partial")
        with pq.ParquetWriter(making, schema) as writer:
            while block := list(islice(made, _ROWS)):
                columns = [
                    [note.text for note in block],
                    [[known[place][0] for place in note.codes] for note in block],
                    [note.codes.tolist() for note in block],
                ]
                writer.write_table(pa.table(dict(zip(schema.names, columns, strict=True)), schema))
        making.rename(path)
    return Notes(path, documents, labels)


def prepare_stage(notes: Notes, work: Path) -> Timed:
    """Prepare a table of the notes as a corpus."""
    from icdcli.config.loading import load_config
    from icdcli.data.corpus.prepare import prepare

    columns = ("text_column=text", "codes_column=codes", "code_system=icd10cm")
    places = (f"data_path={notes.path}", f"cache_dir={work / 'prepared'}")
    config = load_config(None, [*places, *columns])
    return lambda: prepare(config.data, fresh=True)


def tokens_stage(notes: Notes, _work: Path) -> Timed:
    """Tokenize the notes."""
    from icdcli.data.token_cache import tokenization
    from icdcli.model.tokenizer import train_tokenizer

    tokenize = tokenization(train_tokenizer(notes.first(300)).backend_tokenizer)

    def run() -> int:
        texts, tokens = iter(notes), 0
        while block := list(islice(texts, _ROWS)):
            tokens += sum(len(text.ids) for text in tokenize(block))
        return tokens

    return run


def lexical_stage(notes: Notes, _work: Path) -> Timed:
    """Learn to read the notes, and fit all parts of a lexical model, as ``laptop.yaml`` does."""
    return lambda: lexical_model(notes, notes, notes.targets)


def lexical_model(notes: Notes, texts: Any, targets: list[NDArray[np.int32]]) -> Any:
    """Return a lexical model of some of the notes."""
    from icdcli.icd.code_system import EARLIER, open_code_system
    from icdcli.lexical.descriptions import descriptions_of
    from icdcli.lexical.histories import history_labels
    from icdcli.lexical.lexical_model import LexicalModel
    from icdcli.lexical.reading import NoteReading
    from icdcli.lexical.views import Views

    system, labels = open_code_system(EARLIER["icd10"]), labels_with(notes, targets)
    reading = NoteReading.fit(Views.of("learned", "en"), texts, labels, system)
    described = descriptions_of(labels, system, "en")
    histories = history_labels(labels, "icd10", "en")
    return LexicalModel.fit(texts, targets, described, None, None, reading, histories)


def labels_with(notes: Notes, targets: list[NDArray[np.int32]]) -> Any:
    """Return the label space with the counts of some documents."""
    from icdcli.data.corpus.reader import Labels

    space = label_space(notes.labels)
    counts = tuple(np.bincount(np.concatenate(targets), minlength=len(space)).tolist())
    codes, titles = zip(*space, strict=True)
    return Labels(codes, ("diagnosis",) * len(space), titles, counts, counts)


def tfidf_stage(notes: Notes, _work: Path) -> Timed:
    """Fit TF-IDF and its classifiers, as ``tfidf.yaml`` does."""
    from icdcli.data.processes import cores
    from icdcli.lexical.tfidf import Tfidf

    number = len(label_space(notes.labels))
    return lambda: Tfidf.fit(notes, notes.targets, number, threads=cores())


def network_of(notes: Notes, *options: str, model: str = "tiny") -> Any:
    """Return a new model with label attention and, by default, a tiny network."""
    import torch

    from icdcli.config.loading import load_config
    from icdcli.model.new_model import new_model, tokenizer_for
    from icdcli.model.threshold import Threshold

    network = (f"model={model}", "bit=32", f"max_len={MAX_LEN}", "pooling_mode=label_attention")
    config = load_config(None, [*network, "lora_activate=False", "lexicon=False", *options])
    sample = notes.first(300)
    labels = labels_with(notes, notes.targets[:300])
    return new_model(
        config.model,
        tokenizer_for(config.model, sample),
        labels,
        Threshold.configured(0.5),
        torch.device("cpu"),
        0,
        [(title,) for title in labels.titles],
    )


def encoded_of(notes: Notes, model: Any, number: int) -> Any:
    """Return the first notes as a network reads them."""
    from icdcli.data.corpus.reader import Documents
    from icdcli.data.encoded_documents import Tokens
    from icdcli.data.token_cache import tokenization

    read = tokenization(model.tokenizer.backend_tokenizer)(notes.first(number))
    tokens = Tokens.joined([text.ids for text in read])
    targets = notes.targets[: len(read)]
    names = [str(place) for place in range(len(read))]
    documents = Documents(names, [None] * len(read), np.arange(len(read)), targets)
    return model.encoded(tokens, documents)


def prior_stage(notes: Notes, _work: Path) -> Timed:
    """Encode the labels' descriptions and notes, and compare them: one note in thirty."""
    from icdcli.model.inference.precompute import description_similarities

    read = network_of(notes, "freeze_backbone=True", model="minilm")
    few = encoded_of(notes, read, max(notes.documents // EVALUATED, 1))

    def run() -> object:
        options = ("description_prior=True", "freeze_backbone=True")
        described = network_of(notes, *options, model="minilm")
        return description_similarities(described.network, described.network.prior, few)

    return run


def step_stage(notes: Notes, _work: Path) -> Timed:
    """Take one training step of sixteen notes."""
    import torch

    from icdcli.config.schema import Config
    from icdcli.model.batch import read_batch
    from icdcli.model.inference.scoring import document_losses
    from icdcli.training.setup import make_optimizer

    model = network_of(notes)
    network, few = model.network, encoded_of(notes, model, STEP)
    optimizer = make_optimizer(network, Config().train)

    def run() -> None:
        inputs, targets_BL = read_batch(
            few, np.arange(len(few)), len(model.labels), network.padding, torch.device("cpu")
        )
        document_losses(network(inputs), targets_BL, 1.0).mean().backward()
        optimizer.step()

    return run


def validation_stage(notes: Notes, _work: Path) -> Timed:
    """Score one note in thirty with the network."""
    from icdcli.model.inference.scored import Scored
    from icdcli.model.inference.scoring import score_documents

    model = network_of(notes)
    few = encoded_of(notes, model, max(notes.documents // EVALUATED, 1))
    scored = Scored.empty(len(few), len(model.labels))
    return lambda: list(score_documents(model.network, few, scored))


def metrics_stage(notes: Notes, _work: Path) -> Timed:
    """Compute all metrics of one document in thirty, their intervals, and a threshold."""
    from metrics import made_up

    from icdcli.evaluation.threshold_tuning import tune
    from icdcli.metrics.bootstrap import intervals
    from icdcli.metrics.document_statistics import statistics_of

    documents, labels = max(notes.documents // EVALUATED, 2), len(label_space(notes.labels))
    scores_NL, targets_NL = made_up(documents, labels, 0)

    def run() -> object:
        threshold = tune("auto", scores_NL, targets_NL, "validation")
        return intervals(statistics_of(scores_NL, targets_NL, threshold.values_L(labels)))

    return run


def predict_stage(notes: Notes, _work: Path) -> Timed:
    """Code one note in five hundred, with evidence, by a network and a lexical model."""
    from icdcli.data.notes.text import Note
    from icdcli.model.fusion import NETWORK, Fusion
    from icdcli.predict.run import predict_notes

    model = network_of(notes)
    model.lexical = lexical_model(notes, notes.first(100), notes.targets[:100])
    weights = dict.fromkeys((NETWORK, *model.lexical.parts), 0.5)
    model.fusion = Fusion(weights, -2.0, "validation")
    number = max(notes.documents // CODED, 1)
    few = [Note(str(place), text) for place, text in enumerate(notes.first(number))]
    return lambda: list(predict_notes(model, few, top=10, evidence=True))


@dataclass(frozen=True)
class Stage:
    """A stage.

    Attributes:
        make: Returns what is measured.
        title: Its name in tables.
        with_labels: Whether it depends on the labels.
        with_documents: Whether it depends on the documents.
    """

    make: Callable[[Notes, Path], Timed]
    title: str
    with_labels: bool = True
    with_documents: bool = True


STAGES = {
    "prepare": Stage(prepare_stage, "prepare", with_labels=False),
    "tokens": Stage(tokens_stage, "tokens", with_labels=False),
    "lexical": Stage(lexical_stage, "lexical fit"),
    "tfidf": Stage(tfidf_stage, "TF-IDF fit"),
    "prior": Stage(prior_stage, "description prior"),
    "step": Stage(step_stage, "training step", with_documents=False),
    "validation": Stage(validation_stage, "validation"),
    "metrics": Stage(metrics_stage, "metrics, intervals"),
    "predict": Stage(predict_stage, "predict, evidence"),
}


def measure(stage: str, notes: Notes, work: Path) -> dict[str, float]:
    """Run a stage once; return its wall and CPU seconds and peak memory.

    Those of processes that it starts are included: their CPU seconds after they have ended, and
    their memory as it is every fifth of a second, what they share with each other counted twice.
    """
    run = STAGES[stage].make(notes, work)
    done, together = threading.Event(), [0]
    watching = threading.Thread(target=_watch, args=(done, together))
    watching.start()
    began, used = time.perf_counter(), _cpu_seconds()
    run()
    seconds, cpu_seconds = time.perf_counter() - began, _cpu_seconds() - used
    done.set()
    watching.join()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak *= 1024 if sys.platform == "linux" else 1
    return {
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu_seconds, 3),
        "megabytes": round(max(peak, together[0]) / 1024**2, 1),
    }


def _cpu_seconds() -> float:
    of_both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in of_both)


def _watch(done: threading.Event, together: list[int]) -> None:
    """Keep the largest sum of the memory of this process and those that it has started."""
    own = _command("self")
    while not done.wait(0.2):
        children = [
            child
            for listed in Path("/proc/self/task").glob("*/children")
            for child in listed.read_text().split()
            # Until it is a program of its own, a process shares all memory with this one.
            if _command(child) != own
        ]
        if children:
            sizes = [_resident(process) for process in ("self", *children)]
            together[0] = max(together[0], sum(sizes))


def _command(process: str) -> bytes:
    """Return the command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def _resident(process: str) -> int:
    """Return the bytes of memory of a process; 0 if it has ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * resource.getpagesize()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    name, number, size, folder, *words = sys.argv[1:]
    median = int(words[0]) if words else MEDIAN_WORDS
    made = notes_of(int(number), int(size), Path(folder), median)
    if name == "notes":
        print("{}")
    else:
        print(json.dumps(measure(name, made, Path(folder))))
