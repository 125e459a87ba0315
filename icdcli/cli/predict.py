"""``icdcode predict``: codes for new notes."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icdcli.checkpoint_path import checkpoint_of, require_checkpoint
from icdcli.cli.common import CpuPrecision, Load, Port, RunOrCheckpoint, import_visibly
from icdcli.cli.encounter_options import (
    ByEncounterFlag,
    EncounterColumn,
    NoteTypeColumn,
    NoteTypesToRead,
    SubjectColumn,
    TimeColumn,
    encounters_of,
)
from icdcli.cli.notes_on_terminal import model_words, show_notes
from icdcli.cli.processes import ending_at_once, in_all_processes
from icdcli.cli.ray_options import Engine, kept_from_ray, require_use_of_ray
from icdcli.config.fields import refuse_url
from icdcli.errors import ConfigError, counted, in_shell
from icdcli.model.files.checkpoint_files import is_tfidf
from icdcli.predict.formats.format_name import FormatName
from icdcli.report.console import Output

if TYPE_CHECKING:
    from icdcli.data.notes.encounters import ByEncounter
    from icdcli.data.notes.files import Notes
    from icdcli.distributed.process_group import ProcessGroup
    from icdcli.predict.checking import Checking
    from icdcli.predict.prediction_file import PredictionFile
    from icdcli.predict.run import AcceptScore
    from icdcli.predict.shards.records import Shard


@dataclass(frozen=True)
class _Call:
    """The options of `predict`."""

    run: Path
    load: str
    files: list[str]
    text_column: str | None = None
    id_column: str | None = None
    date_column: str | None = None
    top: int | None = None
    min_score: float | None = None
    evidence: bool = False
    output: str | None = None
    checking: "Checking | None" = None
    accept_at: float | None = None
    cpu_precision: CpuPrecision = None
    skip_unreadable: bool = False
    encoding: str | None = None
    format: FormatName | None = None
    shard: "Shard | None" = None
    by_encounter: "ByEncounter | None" = None
    concepts: Path | None = None
    engine: Engine = None
    gpu: bool | None = None


def predict(
    run_dir: RunOrCheckpoint,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Documents (.txt, .rtf, .html, .docx, .pdf, CDA), folders of them, tables (.csv, "
            ".tsv, .jsonl, .parquet …), FHIR (.json, .ndjson), HL7 v2 (.hl7), OMOP "
            "(tables or postgresql://…) or pipes; - reads from standard input. Files and folders "
            "may be URLs (s3://, gs://, hdfs://).",
        ),
    ],
    top: Annotated[
        int | None,
        typer.Option(
            help="Show the N highest-scoring codes per note, even below the threshold.",
            metavar="N",
            min=1,
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            help="Show every code with at least this score, whatever the threshold.", min=0, max=1
        ),
    ] = None,
    evidence: Annotated[
        bool,
        typer.Option(
            "--evidence",
            help="Highlight the words behind each code. The terminal prints complete sentences, "
            "which may identify patients.",
        ),
    ] = False,
    accept_at: Annotated[
        float | None,
        typer.Option(
            help="Mark each code accept or review. In the checkpoint's acceptance table, accepted "
            "codes reach this precision (.80 to .99).",
            metavar="P",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Also check the predicted codes of each note, as icdcode check does."
        ),
    ] = False,
    resolve: Annotated[
        bool,
        typer.Option(
            "--resolve",
            help="Check, and remove codes by hard rules: not assignable, a category beside its "
            "code, a manifestation without its cause.",
        ),
    ] = False,
    date: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="With --check: the day of the discharge of all notes, which chooses the edition. "
            "Default: the edition of the model.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Output file (.jsonl, .csv, .parquet) or its URL. Rerun the same command to "
            "continue after an interruption.",
        ),
    ] = None,
    format: Annotated[
        FormatName | None,
        typer.Option(
            "--format",
            "--output-format",
            help="With --output: fhir (.ndjson), omop, omop-conditions, omop-procedures (.csv, "
            ".parquet), dg1 (HL7 v2, .hl7), labelstudio (.json) or codiesp (.tsv). Default: by the "
            "ending of the file.",
        ),
    ] = None,
    concepts: Annotated[
        Path | None,
        typer.Option(
            help="With --format omop-conditions or omop-procedures: folder of CONCEPT and "
            "CONCEPT_RELATIONSHIP, from which rows get their concepts. Default: concepts are 0."
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            help="With --output: predict only the Ith of N parts of the notes, into "
            "OUTPUT.shards/. icdcode join OUTPUT joins them.",
            metavar="I/N",
        ),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Column of the notes in tables. Default: text.")
    ] = None,
    id_column: Annotated[
        str | None,
        typer.Option(help="Column of the ids in tables. Default: id, or the row number."),
    ] = None,
    date_column: Annotated[
        str | None,
        typer.Option(
            help="With --check, --format omop-conditions or omop-procedures: column of the days in "
            "tables."
        ),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            help="Encoding of tables and plain texts without a mark, such as cp1252 or cp949. "
            "Default: UTF-8, or what their content shows.",
        ),
    ] = None,
    by_encounter: ByEncounterFlag = False,
    encounter_column: EncounterColumn = None,
    time_column: TimeColumn = None,
    note_type_column: NoteTypeColumn = None,
    subject_column: SubjectColumn = None,
    note_types: NoteTypesToRead = None,
    skip_unreadable: Annotated[
        bool,
        typer.Option(
            "--skip-unreadable",
            help="Count documents that can't be read as notes without text, instead of ending "
            "with an error.",
        ),
    ] = False,
    load: Load = "metric",
    device: Annotated[
        str | None,
        typer.Option(help="cpu, mps, 0, 0,1 … Default: the first GPU, else the CPU."),
    ] = None,
    cpu_precision: CpuPrecision = None,
    engine: Engine = None,
    port: Port = 10001,
    json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print JSONL to standard output, one line per note; with --output, one JSON "
            "object about the file.",
        ),
    ] = False,
) -> None:
    """Predict codes for new notes.

    Needs only the checkpoint; the training data aren't needed.

    Example: icdcode predict outputs/laptop/laptop notes.csv --output codes.jsonl
    """
    from icdcli.predict.shards.records import Shard

    refuse_url(run_dir, str(run_dir))
    tfidf = is_tfidf(require_checkpoint(run_dir, load))
    for option, value in (("format", format), ("shard", shard), ("concepts", concepts)):
        if output is None and value is not None:
            raise ConfigError(f"--{option}: is for files. Add --output.")
    if engine is not None:
        require_use_of_ray(files, output, shard, device)
    network = not tfidf or evidence or format is not None  # some formats have evidence
    import_visibly("icdcli.predict.run", Output(json), predicts=True, network=network)
    only_checks = None if format in ("omop-conditions", "omop-procedures") else date_column
    checking = _checking(check or resolve, resolve, date, only_checks)
    call = _Call(
        *(run_dir, load, files, text_column, id_column, date_column),
        *(top, min_score, evidence, output, checking, accept_at),
        cpu_precision,
        skip_unreadable,
        _python_name(encoding),
        format,
        None if shard is None else Shard.parse(shard),
        encounters_of(
            *(by_encounter, encounter_column, time_column, note_type_column),
            *(subject_column, note_types),
        ),
        *(concepts, engine, None if device is None else device != "cpu"),
    )
    on_cpu = engine is not None or (device is None and not network)
    chosen = "cpu" if on_cpu else _device(device)
    stopped = "Stopped. Rerun the same command to continue." if output else "Stopped."

    def work(console: Output) -> None:
        with ending_at_once(console, stopped):
            _predict(call, chosen, console)

    in_all_processes(chosen, port, work, json)


def _checking(
    check: bool, resolve: bool, day: datetime | None, column: str | None
) -> "Checking | None":
    if day is not None and column is not None:
        raise ConfigError("--date and --date-column: give one of them.")
    if not check:
        for option, value in (("--date", day), ("--date-column", column)):
            if value is not None:
                raise ConfigError(
                    f"{option}: chooses the edition of checks. Add --check or --resolve."
                )
        return None
    from icdcli.predict.checking import Checking

    return Checking(resolve, day.date() if day else None)


def _python_name(encoding: str | None) -> str | None:
    """Return what Python calls the encoding."""
    from icdcli.io.encodings import python_encoding

    try:
        return None if encoding is None else python_encoding(encoding)
    except (LookupError, ValueError):
        raise ConfigError(
            f"--encoding: {encoding!r} is unknown. Pass cp1252, cp949, utf-16 or another one."
        ) from None


def _device(given: str | None) -> str | list[int]:
    """Return the device that is given.

    Without one, return the first GPU; all GPUs if a launcher started a process for each; else the
    CPU.
    """
    from icdcli.config.loading import load_config

    if given is not None:
        return load_config(None, [f"device={given}"]).run.device
    import torch

    from icdcli.distributed.launcher import read_slurm_environment

    read_slurm_environment(os.environ)
    count = torch.cuda.device_count()
    return [*range(count if "WORLD_SIZE" in os.environ else min(count, 1))] or "cpu"


def _predict(call: _Call, device: str | list[int], output: Output) -> None:
    """Predict in this process, which may be one of several: on the terminal or into a file."""
    from icdcli.data.notes.files import find_notes
    from icdcli.data.notes.pipes import reads_pipe
    from icdcli.distributed.process_group import join_process_group

    process_group = join_process_group(device)
    if call.shard is not None and any(map(reads_pipe, call.files)):
        raise ConfigError(
            "--shard: each shard reads the notes, and a pipe can be read only once. Give a file."
        )
    if process_group.size > 1 and (call.output is None or any(map(reads_pipe, call.files))):
        raise ConfigError(
            "several processes can only read notes from files and write to a file. "
            "Pass --output, and don't use - or other pipes."
        )
    columns = (call.text_column, call.id_column, call.date_column)
    notes = find_notes(
        *(call.files, None, *columns, call.skip_unreadable, call.encoding, call.by_encounter)
    )
    if call.output is None:
        _show(call, notes, process_group.device_name, output)
    else:
        _write(call, call.output, notes, process_group, output)


def _write(
    call: _Call, file: str, notes: "Notes", process_group: "ProcessGroup", output: Output
) -> None:
    from icdcli.predict.run import predict_to_file

    predict: Callable[..., PredictionFile] = partial(
        predict_to_file, shard=call.shard, process_group=process_group
    )
    if call.engine is not None:
        from icdcli.predict.on_ray.run import predict_on_ray

        predict = partial(predict_on_ray, gpu=call.gpu)
    with kept_from_ray(call.engine), output.stages() as on_progress:
        written = predict(
            call.run,
            notes,
            file,
            load=call.load,
            top=call.top,
            min_score=call.min_score,
            evidence=call.evidence,
            checking=call.checking,
            format=call.format,
            concepts=call.concepts,
            accept_score=_accept_score(call),
            cpu_precision=call.cpu_precision,
            on_progress=on_progress,
            on_warning=output.warn,
            on_message=output.say,
        )
    output.say(model_words(written.checkpoint, written.labels, written.threshold))
    output.say(f"Written: {written.output}, {counted(written.notes, 'note')}")
    if call.shard is not None:
        output.say(f"When all {call.shard.total} shards are written: icdcode join {in_shell(file)}")
    output.result(written.to_json())


def _accept_score(call: _Call) -> "AcceptScore | None":
    """Return what finds the score from which a checkpoint's codes are accepted; None: nothing."""
    if call.accept_at is None:
        return None
    from icdcli.evaluation.acceptance.stored import accept_score

    return partial(accept_score, precision=call.accept_at)


def _show(call: _Call, notes: "Notes", device: str, output: Output) -> None:
    from icdcli.model.checkpoint import load_checkpoint
    from icdcli.predict.batches import Selection

    accept_score = _accept_score(call)
    if accept_score is not None:  # loading may take minutes
        accept_score(checkpoint_of(call.run, call.load))
    loaded = load_checkpoint(call.run, call.load, device, output.warn, call.cpu_precision)
    score = None if accept_score is None else accept_score(loaded.folder)
    selection = Selection(call.top, call.min_score, accept_score=score)
    show_notes(
        *(loaded.model, loaded.folder, notes, output, selection, call.evidence, call.checking)
    )
