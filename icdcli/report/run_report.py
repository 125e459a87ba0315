"""The page of one run or of several: ``icdcode report`` without the printing."""

import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from icdcli.errors import ConfigError
from icdcli.evaluation.behavior.run import run_behavior
from icdcli.evaluation.run import (
    Warn,
    compare_runs,
    default_split,
    evaluate_opened,
    evaluated_before,
    open_run,
)
from icdcli.io.files import replacing, writing
from icdcli.io.progress import Progress
from icdcli.report.comparison.page import write_comparison_page
from icdcli.report.html import PAGE, evaluation_page, write_page
from icdcli.report.plots.evaluation import evaluation_figures, write_pngs
from icdcli.report.views.documents import PATIENT_TEXT
from icdcli.run_dir import RunDir


@dataclass(frozen=True)
class RunReport:
    """A page that was written.

    Attributes:
        page: The page.
        split: The split that it is about.
        evaluated: The evaluation folders that were written for it.
    """

    page: Path
    split: str
    evaluated: tuple[Path, ...] = ()


def write_report(
    runs: Sequence[RunDir | Path | str],
    path: Path | None = None,
    *,
    split: str | None = None,
    load: str = "metric",
    intersection: bool = False,
    device: str | None = None,
    on_warning: Warn = warnings.warn,
    on_progress: Progress | None = None,
) -> RunReport:
    """Write the page of a run's evaluation, or of a comparison of several runs.

    A run that has been evaluated isn't evaluated again, except a single one whose evaluation has no
    page: the page needs all scores, which aren't stored.

    Args:
        runs: The folders of one or more runs.
        path: The file; None: in the folder of the first run's evaluation.
        split: ``train``, ``validation`` or ``test``; None: see `evaluated_split`.
        load: The checkpoint of each run: ``metric``, ``loss`` or ``last``.
        intersection: Several runs: compare on the codes that all have in common.
        device: The device to use instead of each run's own, e.g. ``cpu`` or ``0``.
        on_warning: Called with a message for each warning.
        on_progress: Called with the progress of each stage.

    Raises:
        ConfigError: If the runs can't be compared, `intersection` is for one run, or a page to
            copy has patient text.
        DataError: If the data can't be prepared, or the page can't be written.
        ResumeError: If a run has no such checkpoint, or it is incomplete or was changed.
    """
    folders = [run if isinstance(run, RunDir) else RunDir.open(Path(run)) for run in runs]
    if intersection and len(folders) == 1:
        raise ConfigError("--intersection: is for several runs. Give another run, or leave it out.")
    split = split or evaluated_split(folders)
    if len(folders) > 1:
        split = split or "test"
        comparison = compare_runs(
            *(folders, split),
            load=load,
            intersection=intersection,
            device=device,
            on_warning=on_warning,
            on_progress=on_progress,
        )
        page = write_comparison_page(comparison, split, path)
        return RunReport(page, split, comparison.evaluated)
    page_of_run = None if split is None else current_page(folders[0], load, split)
    if split is None or page_of_run is None:
        report = _evaluate(folders[0], split, load, device, on_warning, on_progress)
    else:
        report = RunReport(page_of_run, split)
    if path is None:
        return report
    if PATIENT_TEXT in report.page.read_text(encoding="utf-8"):
        raise ConfigError(
            f"--output {path}: {report.page} has texts of documents, since it was written with "
            "--evidence. Write it without them by `icdcode evaluate RUN_DIR --html` first, or copy "
            "the file yourself."
        )
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            shutil.copyfile(report.page, temporary)
    return RunReport(path, report.split, report.evaluated)


def evaluated_split(runs: Sequence[RunDir]) -> str | None:
    """Return ``test``, or ``validation`` if only that has been evaluated; None: neither has been.

    Args:
        runs: The runs; an evaluation of any of them counts.
    """
    for split in ("test", "validation"):
        if any((run.evaluation(split) / "metrics.json").is_file() for run in runs):
            return split
    return None


def current_page(run: RunDir, load: str, split: str) -> Path | None:
    """Return the page of a run's last evaluation on a split.

    Args:
        run: The run.
        load: The checkpoint: ``metric``, ``loss`` or ``last``.
        split: The split.

    Returns:
        None if the last evaluation has no page, or wasn't of this checkpoint.
    """
    page, metrics = (run.evaluation(split) / name for name in (PAGE, "metrics.json"))
    if not (page.is_file() and metrics.is_file()):
        return None
    if page.stat().st_mtime_ns < metrics.stat().st_mtime_ns:
        return None
    return page if evaluated_before(run, load, split) else None


def _evaluate(
    run: RunDir,
    split: str | None,
    load: str,
    device: str | None,
    on_warning: Warn,
    on_progress: Progress | None,
) -> RunReport:
    """Evaluate a run, and write all files that `icdcode evaluate --html` writes."""
    opened = open_run(run, load, device, on_warning, on_progress)
    split = split or default_split(opened.corpus, on_warning)
    evaluation = evaluate_opened(opened, split, on_progress=on_progress)
    try:
        tested = run_behavior(opened.model, opened.corpus.system, on_progress=on_progress)
    except ConfigError as error:
        on_warning(f"Behavior isn't tested: {error}")
        tested = None
    folder, figures = run.evaluation(split), evaluation_figures(evaluation)
    with writing(folder):
        write_pngs(figures, folder)
    page = evaluation_page(
        *(evaluation, figures, opened.corpus.code_system, None, (), tested),
        configuration=run.args.read_text(encoding="utf-8"),
    )
    write_page(folder / PAGE, page)
    return RunReport(folder / PAGE, split, (folder,))
