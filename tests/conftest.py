"""Fixtures of all tests: no network; small models of real architectures, made once per session."""

import gc
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fsspec.implementations.memory import MemoryFileSystem
    from playwright.sync_api import Browser

    from icdcli.config.schema import Config
    from icdcli.evaluation.evaluate import Evaluation
    from icdcli.run_dir import RunDir

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "true"
# On shared cores, threads that wait for each other make small work ten times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Jobs in the background of a shell ignore SIGINT, and so would the processes that tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What is imported stays: the garbage collector need not look through it, now or in the tests.
gc.disable()


def pytest_collection_finish() -> None:
    """Collect garbage again, but only what tests make.

    As often as elsewhere: a finalizer that happens to run where a test nests as deep as Python
    allows would fail, and the more garbage there is, the likelier that is.
    """
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def garbage_of_a_module() -> Iterator[None]:
    """Collect a module's garbage at its end, and leave what stays out of later collections."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def no_gpu_is_seeded_that_is_not_there() -> Iterator[None]:
    """Don't seed GPUs if there are none: torch notes the stack of each call, for later."""
    with pytest.MonkeyPatch.context() as patch:
        if (torch := sys.modules.get("torch")) is not None and not torch.cuda.is_available():
            for module in (torch.cuda, torch.mtia, torch.xpu):
                patch.setattr(module, "manual_seed_all", lambda _seed: None)
        yield


CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_REQUIRED = "ICDCODE_REQUIRE_CHROMIUM"  # set by .ci/run: there, a missing one isn't skipped
CHROMIUM_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Whatever a page asks for, nothing but this machine is reached.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
SHARED = Path(__file__).parents[1].parent / "shared"


@pytest.fixture(scope="session", autouse=True)
def nothing_waits_for_the_disk() -> Iterator[None]:
    """Don't flush files in this process: a test can't cut the power, and a training flushes 60.

    Tests of what is flushed, and in which order, put their own function in this place.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _handle: None)
        yield


@pytest.fixture(scope="session")
def stores_wait_for_no_disk() -> Iterator[str]:
    """Don't flush SQLite's files either; yield what makes it flush them as users have it."""
    from icdcli.review import store

    flushing = store._SYNCHRONOUS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_SYNCHRONOUS", "OFF")
        yield flushing


@pytest.fixture(scope="session", autouse=True)
def complete_transformers() -> Iterator[None]:
    """Import transformers as commands that train do: tests of training share this process."""
    from icdcli import light_transformers

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(light_transformers, "import_transformers_lightly", lambda: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def smaller_tiny() -> Iterator[dict[str, int]]:
    """Make `tiny` smaller in this process: its training takes a tenth of the time, or less."""
    from icdcli.model.hub import TINY_SIZES

    sizes = dict(TINY_SIZES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TINY_SIZES, "hidden_size", 64)
        patch.setitem(TINY_SIZES, "intermediate_size", 128)
        yield sizes


@pytest.fixture
def full_tiny(smaller_tiny: dict[str, int]) -> Iterator[None]:
    """Make `tiny` as large as it is for users: random states of few dimensions tell less apart."""
    from icdcli.model.hub import TINY_SIZES

    with pytest.MonkeyPatch.context() as patch:
        for name, size in smaller_tiny.items():
            patch.setitem(TINY_SIZES, name, size)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of openly licensed data beside the project on developers' machines."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the shared data is not beside this checkout")
    return SHARED / "data"


@pytest.fixture(scope="session")
def made_up_evaluation() -> "Callable[..., Evaluation]":
    """Return a function that makes evaluations of 40 invented documents and 12 ICD-9 codes."""
    import numpy as np

    from icdcli.data.corpus.reader import Documents, Labels
    from icdcli.evaluation.evaluate import evaluate_split
    from icdcli.evaluation.score_split import SplitScores
    from icdcli.icd.code_system import open_code_system
    from icdcli.model.threshold import Threshold

    numbers = "36.15 401.9 410.71 427.31 428.0 486 491.21 496 585.9 599.0 999.99 V15.82"
    codes = tuple(numbers.split())
    titles = tuple(None if code == "999.99" else f"Title <{code}> & more" for code in codes)
    counts = (0, 900, 3, 45, 600, 12, 7, 300, 60, 5, 1, 200)
    labels = Labels(codes, ("procedure", *("diagnosis",) * 11), titles, counts, counts)

    @cache
    def make(
        seed: int = 0,
        threshold: Threshold | None = None,
        skill: float = 2.0,
        split: str = "test",
        documents: int = 40,
    ) -> "Evaluation":
        targets_NL = np.random.default_rng(1).random((documents, len(codes))) < np.linspace(
            0.05, 0.5, len(codes)
        )
        targets_NL[:, 10] = False
        noise_NL = np.random.default_rng(seed).normal(-1, 1, targets_NL.shape)
        scores_NL = (1 / (1 + np.exp(-noise_NL - skill * targets_NL))).astype(np.float32)
        ids = [f"document {number}" for number in range(documents)]
        targets = [np.flatnonzero(row).astype(np.int32) for row in targets_NL]
        gold = Documents(ids, [None] * documents, np.arange(documents), targets)
        losses_N = -np.where(
            targets_NL, np.log(scores_NL), np.log1p(-np.minimum(scores_NL, 0.999))
        ).mean(axis=1)
        scored = SplitScores(gold, scores_NL, losses_N)
        return evaluate_split(
            split,
            scored,
            labels,
            threshold or Threshold(0.5),
            open_code_system("icd9"),
            {"run": "outputs/run"},
        )

    return make


@pytest.fixture(scope="session")
def with_acceptance() -> "Callable[[Evaluation], Evaluation]":
    """Return a function that adds to an evaluation what its scores decide."""
    from icdcli.evaluation.acceptance.measuring import measure_acceptance

    def add(evaluation: "Evaluation") -> "Evaluation":
        threshold_L = evaluation.threshold.values_L(len(evaluation.labels))
        scores_NL = evaluation.scored.scores_NL
        measured = (evaluation.split, scores_NL, evaluation.targets_NL, threshold_L)
        return replace(evaluation, acceptance=measure_acceptance(*measured))

    return add


@pytest.fixture
def memory() -> "Iterator[MemoryFileSystem]":
    """Return an empty file system in memory, whose URLs begin with ``memory://``."""
    import fsspec

    system = fsspec.filesystem("memory")
    system.rm("/", recursive=True)
    yield system
    system.rm("/", recursive=True)


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return folders of small Llama, Mistral and BERT models of random weights, with tokenizer."""
    import torch
    from transformers import AutoModel, BertConfig, LlamaConfig, MistralConfig

    from icdcli.model.tokenizer import train_tokenizer

    words = (
        "chest pain denies fever heart failure acute on chronic kidney disease "
        "diabetes mellitus type two"
    ).split()
    tokenizer = train_tokenizer(
        [" ".join(words[i:] + words[:i]) for i in range(len(words))] * 3, vocabulary=400
    )
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 128,
    }
    grouped = {"num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    configs = {
        "llama": LlamaConfig(**sizes, **grouped),
        "mistral": MistralConfig(**sizes, **grouped, sliding_window=64),
        "bert": BertConfig(**sizes),
    }
    root = tmp_path_factory.mktemp("models")
    for number, (name, config) in enumerate(configs.items()):
        torch.manual_seed(number)
        AutoModel.from_config(config).save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return {name: root / name for name in configs}


WORDINGS = {
    "I10": ["hypertension", "htn", "high blood pressure"],
    "E11.9": ["diabetes", "dm2", "type two diabetes"],
    "J18.9": ["pneumonia", "pna", "lobar infiltrate"],
    "N17.9": ["acute kidney injury", "aki", "renal failure"],
}


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a table of 120 short notes in which phrases indicate four codes."""
    draw = random.Random(0)
    path = tmp_path_factory.mktemp("notes") / "notes.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(120):
            codes = [code for code in WORDINGS if draw.random() < 0.4] or ["I10"]
            words = [draw.choice(WORDINGS[code]) for code in codes] + [
                "patient seen",
                "plan discussed",
                "stable",
            ]
            draw.shuffle(words)
            row = {
                "id": str(number),
                "subject_id": str(number // 2),
                "text": ". ".join(words),
                "codes": codes,
            }
            file.write(json.dumps(row) + "\n")
    return path


@pytest.fixture(scope="session")
def config_of() -> "Callable[..., Config]":
    """Return a function that makes the configuration of a quick run of a project on notes."""
    from icdcli.config.loading import load_config

    def make(project: Path, notes: Path, /, **changes: object) -> "Config":
        options: dict[str, object] = {
            "model": "tiny", "bit": 32, "lora_activate": False, "max_len": 48, "device": "cpu",
            "data_path": notes, "project": project, "name": "run", "batch_size": 8,
            "steps": 24, "warmup_steps": 4, "lr0": 2e-3, "head_lr_factor": 20, "pos_weight": 1,
            "gradient_checkpointing": False, "log_every": 5,
            "metrics": "[f1_micro, aucroc_micro]", "prediction_print_n": 2,
        }  # fmt: skip
        return load_config(None, [f"{key}={value}" for key, value in (options | changes).items()])

    return make


@pytest.fixture
def config(
    config_of: "Callable[..., Config]", notes: Path, tmp_path: Path
) -> "Callable[..., Config]":
    """Return a function that makes the configuration of a quick run on the notes, with changes."""
    return partial(config_of, tmp_path / "runs", notes)


@pytest.fixture
def described(
    config: "Callable[..., Config]", model_folders: dict[str, Path], tmp_path: Path
) -> "Callable[..., Config]":
    """Return a function that makes that of a small encoder with a head from descriptions."""

    def make(**changes: object) -> "Config":
        options: dict[str, object] = {
            "model": model_folders["bert"], "freeze_backbone": True, "label_width": 16,
            "pooling_mode": "label_attention", "description_prior": True, "code_system": "icd10",
            "cache_dir": tmp_path / "cache", "head_lr_factor": 1,
        }  # fmt: skip
        return config(**(options | changes))

    return make


FROZEN = {"bit": 32, "lora_activate": False, "freeze_backbone": True, "cpu_precision": "float32"}


@pytest.fixture(scope="session")
def train_member(notes: Path, tmp_path_factory: pytest.TempPathFactory) -> "Callable[..., RunDir]":
    """Return a function that trains a quick member of an ensemble, beside the others."""
    import torch

    from icdcli.config.loading import load_config
    from icdcli.training.run import run_training

    project = tmp_path_factory.mktemp("members")

    def train(name: str, **changes: object) -> "RunDir":
        options: dict[str, object] = {
            "model": "tiny", "bit": 32, "lora_activate": False, "max_len": 48, "device": "cpu",
            "data_path": notes, "project": project, "name": name, "batch_size": 16, "steps": 4,
            "warmup_steps": 2, "lr0": 2e-3, "head_lr_factor": 20, "pos_weight": 1, "log_every": 4,
            "gradient_checkpointing": False, "metrics": "[f1_micro, map]",
            "prediction_print_n": 0, "code_system": "icd10",
            "positive_threshold": "auto",
        }  # fmt: skip
        pairs = [f"{key}={value}" for key, value in (options | changes).items()]
        with torch.random.fork_rng():
            return run_training(load_config(None, pairs)).run

    return train


@pytest.fixture(scope="session")
def member_runs(
    train_member: "Callable[..., RunDir]", model_folders: dict[str, Path]
) -> "dict[str, RunDir]":
    """Return runs: two networks on one frozen BERT, another network with n-grams, and TF-IDF."""
    frozen = {"model": model_folders["bert"], **FROZEN}
    return {
        "attention": train_member("attention", pooling_mode="label_attention", **frozen),
        "mean": train_member("mean", seed=1, **frozen),
        "lexical": train_member("lexical", lexical="[ngrams]"),
        "tfidf": train_member("tfidf", model="tfidf"),
    }


@pytest.fixture(scope="session")
def checkpoints(member_runs: "dict[str, RunDir]") -> dict[str, Path]:
    """Return the checkpoint of each member."""
    from icdcli.run_dir import find_checkpoint

    return {name: find_checkpoint(run, "metric") for name, run in member_runs.items()}


# While it runs, the thread has a running event loop, which tests of other folders must not see. So
# each module has a browser of its own, which starts in half a second.
@pytest.fixture(scope="module")
def chromium() -> "Iterator[Browser]":
    """Return a running Chromium."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright isn't there: pip install -e '.[dev]'"
    )
    if not CHROMIUM.exists():
        reason = f"{CHROMIUM} isn't there: apt-get install chromium"
        assert CHROMIUM_REQUIRED not in os.environ, reason
        pytest.skip(reason)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()
