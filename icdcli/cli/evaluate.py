"""``icdcode evaluate``: every metric of a trained coder on a split."""

from typing import TYPE_CHECKING

from icdcli.cli.common import Device, Json, Load, Run, Split, showing
from icdcli.config import Config, load_config
from icdcli.data.progress import Progress
from icdcli.report.console import Output
from icdcli.run_dir import RunDir

if TYPE_CHECKING:
    from icdcli.data.corpus import Corpus
    from icdcli.model.saved import Coder


def evaluate(run_dir: Run, load: Load = "metric", split: Split = None, device: Device = None, json: Json = False) -> None:
    """Score a split with a run's checkpoint. Writes metrics.json, per_code.csv and predictions.parquet into the run's folder.

    Example: icdcode evaluate outputs/mimic3/automatic_coding --split test
    """
    from icdcli.evaluation.split import score_split, write_evaluation
    from icdcli.report.tables import evaluation_table

    output = Output(json)
    run = RunDir.open(run_dir)
    with showing(output) as progress:
        coder, corpus = open_run(run, load, device, output, progress)
        split = split or default_split(corpus, output)
        scored = score_split(coder, corpus, split, progress)
    folder = run.evaluation(split)
    about = {"split": split, "checkpoint": load, "dataset": corpus.card["dataset"], "protocol": corpus.card["protocol"]}
    metrics = write_evaluation(folder, scored, coder, about)
    title = f"{split}: {len(scored.documents):,} documents, {len(coder.labels):,} codes, threshold {coder.threshold:g}"
    output.show(evaluation_table(metrics, title))
    output.say(f"Written: {folder}")
    output.result({"folder": folder, **about, "threshold": coder.threshold, "metrics": metrics})


def open_run(run: RunDir, load: str, device: str | None, output: Output, progress: Progress) -> "tuple[Coder, Corpus]":
    """A run's coder, and the corpus that its configuration gives; with a word about it where that is no longer the same."""
    from icdcli.data.corpus import open_corpus
    from icdcli.data.prepare import prepare
    from icdcli.data.tokens import use_workers
    from icdcli.model.saved import load_saved, read_manifest
    from icdcli.training.checkpoint import find_checkpoint
    from icdcli.training.distributed import find_device

    config: Config = load_config(run.args, [] if device is None else [f"device={device}"])
    use_workers(config.data.workers)
    checkpoint = find_checkpoint(run, load)
    chosen = find_device(config.run.device)
    corpus = open_corpus(prepare(config.data, progress).folder)
    coder = load_saved(checkpoint, chosen)
    learned = read_manifest(checkpoint)["corpus"]
    if learned != corpus.folder.name and coder.labels.codes == corpus.labels.codes:  # else scoring refuses
        output.warn(
            f"{checkpoint}: was trained on the corpus {learned}, but the data now gives {corpus.folder.name}: "
            "what is scored may be what it was trained on"
        )
    return coder, corpus


def default_split(corpus: "Corpus", output: Output) -> str:
    """The test split, or validation, with a word about it, where the protocol has none."""
    if "test" in corpus.splits:
        return "test"
    output.warn(f"protocol {corpus.card['protocol']} has no test split; this is the validation split, which training has seen")
    return "validation"
