"""``icdcode evaluate``: every metric of a trained coder on a split."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from icdcli.cli.common import Device, Json, Load, Run, Split, find_evidence, showing
from icdcli.config.schema import Config, load_config
from icdcli.errors import ConfigError
from icdcli.io.files import writing
from icdcli.io.progress import Progress
from icdcli.report.console import Output
from icdcli.run_dir import RunDir

if TYPE_CHECKING:
    from icdcli.data.corpus.reader import Corpus
    from icdcli.evaluation.evaluate import Evaluation
    from icdcli.evaluation.sample import SamplePrediction
    from icdcli.explain.spans import EvidenceSpans, Find
    from icdcli.model.checkpoint import NeuralModel
    from icdcli.model.tfidf_model import TfidfModel

_SHOWN = 3  # documents with evidence on the page


def evaluate(
    run_dir: Run,
    load: Load = "metric",
    split: Split = None,
    against: Annotated[
        Literal["published"] | None,
        typer.Option(help="Show published results beside, where they compare."),
    ] = None,
    html: Annotated[
        bool, typer.Option("--html", help="Also write report.html, one page that needs no network.")
    ] = False,
    evidence: Annotated[
        bool,
        typer.Option(
            "--evidence",
            help="With --html: also show what the codes of a few documents were chosen by, in their words.",
        ),
    ] = False,
    ablate: Annotated[
        bool, typer.Option("--ablate", help="Also show what each part of the coder is worth.")
    ] = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Score a split with a run's checkpoint. Writes metrics, results by code, predictions and curves into the run's folder.

    Example: icdcode evaluate outputs/mimic3/automatic_coding --split test --html
    """
    if evidence and not html:
        raise ConfigError(
            "--evidence: stands on the page that --html writes; give both, or take icdcode show-predictions"
        )
    output = Output(json)
    run = RunDir.open(run_dir)
    from icdcli.evaluation.ablation import ablate as ablations
    from icdcli.evaluation.curves import confusions
    from icdcli.evaluation.files import code_rows
    from icdcli.evaluation.published_results import comparable
    from icdcli.model.tfidf_model import TfidfModel
    from icdcli.report.html import evaluation_page
    from icdcli.report.plots.evaluation import evaluation_figures, write_pngs
    from icdcli.report.views.evaluation import ablation_table, evaluation_view

    with showing(output) as on_progress:
        model, corpus = open_run(run, load, device, output, on_progress)
        find = find_evidence(model, str(run.root), cut=True) if evidence else None
        if ablate and isinstance(model, TfidfModel):
            raise ConfigError(
                f"--ablate: {run.root} is a baseline, which has no parts to leave out"
            )
        split = split or default_split(corpus, output)
        evaluation = evaluated(run, load, model, corpus, split, on_progress)
        rows = (
            ablations(model, corpus, split, on_progress)
            if ablate and not isinstance(model, TfidfModel)
            else []
        )
    published = comparable(corpus.card, split) if against else None
    output.show(evaluation_view(evaluation, published))
    if rows:
        output.show(ablation_table(rows, split))
    folder = run.evaluation(split)
    figures = evaluation_figures(evaluation)
    with writing(folder):
        write_pngs(figures, folder)
        if html:
            from icdcli.io.files import replacing

            chapters, codes = confusions(evaluation, corpus.system), code_rows(evaluation)
            shown = [] if find is None else _documents(evaluation, corpus, find)
            page = evaluation_page(evaluation, figures, chapters, codes, published, shown)
            with replacing(folder / "report.html") as temporary:
                temporary.write_text(page, encoding="utf-8")
    output.say(f"Every metric: {folder / 'metrics.json'}")
    if html:
        output.say(f"As a page: {folder / 'report.html'}")
    output.say(f"Written: {folder}")
    told = {"ablation": {row.without or "nothing": row.metrics for row in rows}} if rows else {}
    output.result({"folder": folder, **evaluation.to_json(), **told})


def _documents(
    evaluation: "Evaluation", corpus: "Corpus", find: "Find"
) -> "list[tuple[SamplePrediction, str, dict[str, EvidenceSpans]]]":
    """A few documents with what is predicted for them, their texts, and the words that it was chosen by."""
    from icdcli.evaluation.sample import evidence_of_sample, sample_prediction, sample_rows

    scored, labels = evaluation.scored, evaluation.labels
    rows = sorted(sample_rows(len(scored.documents), _SHOWN, seed=0))
    threshold_L = evaluation.threshold.values_L(len(labels))
    documents = []
    for row, text in enumerate(corpus.texts(evaluation.split)):
        if row in rows:
            gold, name = scored.documents.targets[row], scored.documents.ids[row]
            sample = sample_prediction(name, labels.codes, scored.scores_NL[row], gold, threshold_L)
            documents.append(
                (sample, text, evidence_of_sample(find, text, sample.predicted, labels.index))
            )
    return documents


def evaluated(
    run: RunDir,
    load: str,
    model: "NeuralModel | TfidfModel",
    corpus: "Corpus",
    split: str,
    on_progress: Progress | None = None,
) -> "Evaluation":
    """Score a split, and write the evaluation into the run's folder."""
    from icdcli.evaluation.evaluate import evaluate_split
    from icdcli.evaluation.files import write_evaluation
    from icdcli.evaluation.score_split import score_split

    scored = score_split(model, corpus, split, on_progress)
    about = {"run": str(run.root), "checkpoint": load, **checkpoint_identity(run, load)}
    about |= {
        "dataset": corpus.card["dataset"],
        "protocol": corpus.card["protocol"],
        "corpus": corpus.folder.name,
    }
    evaluation = evaluate_split(split, scored, model.labels, model.threshold, corpus.system, about)
    write_evaluation(run.evaluation(split), evaluation)
    return evaluation


def checkpoint_identity(run: RunDir, load: str) -> dict[str, str | int]:
    """What tells a run's checkpoint from every other: its step, and a hash over the hashes of its files."""
    import hashlib

    from icdcli.io.manifest import read_manifest
    from icdcli.run_dir import find_checkpoint

    manifest = read_manifest(find_checkpoint(run, load))
    files = "".join(f"{digest} {name}\n" for name, digest in sorted(manifest["files"].items()))
    return {
        "step": int(manifest["step"]),
        "checkpoint_hash": hashlib.sha256(files.encode()).hexdigest()[:12],
    }


def open_run(
    run: RunDir, load: str, device: str | None, output: Output, on_progress: Progress
) -> "tuple[NeuralModel | TfidfModel, Corpus]":
    """A run's coder, and the corpus that its configuration gives; with a word about it where that is no longer the same."""
    from icdcli.data.corpus.prepare import prepare
    from icdcli.data.corpus.reader import open_corpus
    from icdcli.data.token_cache import use_workers
    from icdcli.distributed.process_group import find_device
    from icdcli.io.manifest import read_manifest
    from icdcli.model.tfidf_model import load_trained
    from icdcli.run_dir import find_checkpoint

    config: Config = load_config(run.args, [] if device is None else [f"device={device}"])
    use_workers(config.data.workers)
    checkpoint = find_checkpoint(run, load)
    chosen = find_device("cpu" if config.model.is_baseline else config.run.device)
    corpus = open_corpus(prepare(config.data, on_progress).folder)
    model = load_trained(checkpoint, chosen)
    learned = read_manifest(checkpoint)["corpus"]
    if (
        learned != corpus.folder.name and model.labels.codes == corpus.labels.codes
    ):  # else scoring refuses
        output.warn(
            f"{checkpoint}: was trained on the corpus {learned}, but the data now gives {corpus.folder.name}: "
            "what is scored may be what it was trained on"
        )
    return model, corpus


def default_split(corpus: "Corpus", output: Output) -> str:
    """The test split, or validation, with a word about it, where the protocol has none."""
    if "test" in corpus.splits:
        return "test"
    output.warn(
        f"protocol {corpus.card['protocol']} has no test split; this is the validation split, which training has seen"
    )
    return "validation"
