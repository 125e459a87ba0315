"""Host the review page and the coding service: one process, one store, one model."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from icdcli.checkpoint_path import require_checkpoint
from icdcli.errors import ConfigError, DataError
from icdcli.io.manifest import manifest_sha256
from icdcli.offline import is_local
from icdcli.review.notes import note_count
from icdcli.review.store import (
    Store,
    no_new_store_after_error,
    open_store,
    require_double_share,
)
from icdcli.review.suggestions import add_model, has_model
from icdcli.review.users import has_users
from icdcli.review_page.app import create_review_app
from icdcli.review_page.background import BackgroundWork, ModelUse, ModelWork, WorkProgress
from icdcli.review_page.codebook import Codebook
from icdcli.review_page.security import PageGuard
from icdcli.review_page.settings import (
    PageSettings,
    ServedModel,
    ServedNotes,
    ServerReports,
    ServerSettings,
)
from icdcli.review_page.store_lock import only_server
from icdcli.service.serving import ApplicationServer, listen

if TYPE_CHECKING:  # which import torch
    from icdcli.model.checkpoint import LoadedCheckpoint
    from icdcli.service.coding_service import CodingService
    from icdcli.service.engine import CodingEngine
    from icdcli.service.jobs import Jobs


def host_review(
    target: str,
    settings: ServerSettings,
    page: PageSettings,
    model: ServedModel | None,
    notes: ServedNotes,
    reports: ServerReports,
) -> None:
    """Serve a store, a model, or both, until a signal comes.

    Args:
        target: The store: a path or a URL.
        settings: Where and what.
        page: The settings of the page.
        model: The model; None: there is none, and notes have the suggestions that they have.
        notes: Notes to import first.
        reports: Receives messages.

    Raises:
        ConfigError: If it can't be served so; the message says what to do.
        DataError: If the store can't be used, or has suggestions of another model; or a note can't
            be imported.
        ResumeError: If the checkpoint can't be loaded.
    """
    _check(settings, model, page)
    checkpoint = None if model is None else require_checkpoint(model.run, model.load)
    with ExitStack() as stack:
        listening = listen(settings.host, settings.port)
        stack.callback(listening.close)
        keep = stack.enter_context(no_new_store_after_error(target))
        store, suggests = _opened(stack, target, settings, page) if settings.page else (None, False)
        if store is not None:
            _fill(store, model, checkpoint, notes, reports)
        codebook = None if store is None else Codebook(store)
        ends: list[Callable[[], object]] = []
        work: BackgroundWork = BackgroundWork()
        if model is not None and checkpoint is not None:
            loaded = partial(_load, model, codebook, reports.warning)
            use = _use(model, checkpoint, loaded, store if suggests else None, settings, reports)
            work = ModelWork(use, lambda: [end() for end in ends], reports.warning)
        app, service, jobs = _application(target, store, settings, page, codebook, work)
        server = ApplicationServer(app, service)
        ends.append(server.end)
        keep()
        reports.started(_started(listening.getsockname()[1], store, settings, service, page))
        try:
            if jobs is not None:
                jobs.start()
            if isinstance(work, ModelWork):
                work.start()
            server.run(sockets=[listening])
        finally:
            _end(work, jobs, settings.jobs or _jobs_folder(target))
        if isinstance(work, ModelWork) and work.error is not None:
            raise work.error


def _check(settings: ServerSettings, model: ServedModel | None, page: PageSettings) -> None:
    if model is None and not settings.page:
        raise ConfigError("--no-page: needs a run, whose model the service uses.")
    if not settings.page and settings.service is None:
        raise ConfigError("--no-page and --no-service: nothing would be served.")
    service = settings.service
    if service is not None and service.clients is None and not is_local(settings.host):
        raise ConfigError(
            f"--host {settings.host}: everybody who reaches this machine could use the coding "
            "service. Pass --token-file FILE, or --no-service, or keep --host 127.0.0.1."
        )


def _opened(
    stack: ExitStack, target: str, settings: ServerSettings, page: PageSettings
) -> tuple[Store, bool]:
    """Open the store for this server, and return whether it may suggest codes."""
    _require_writable(target)
    share = settings.double_share
    store = stack.enter_context(open_store(target, double_share=share or 0.0))
    require_double_share(store, share)
    elsewhere = "" if is_local(settings.host) else f"--host {settings.host}"
    elsewhere = elsewhere or ("--host-name" if page.host_names else "")
    elsewhere = elsewhere or ("--trusted-proxy" if page.trusted_proxies else "")
    if elsewhere and not page.trusted_header and not has_users(store):
        raise ConfigError(
            f"{elsewhere}: the store has no users, so that everybody who reaches this machine "
            f"could read the notes. Add users first (icdcode serve --store {store.name} "
            "--create-user NAME), or serve this computer only."
        )
    return store, stack.enter_context(only_server(store))


def _require_writable(target: str) -> None:
    """Raise a `DataError` if a SQLite file may only be read: SQLite would open it nevertheless."""
    try:
        if "://" not in target and Path(target).is_file():
            Path(target).open("r+b").close()
    except OSError as error:
        raise DataError(
            f"{target}: can't be written ({error.strerror}). Correct the permissions of the file "
            "and its folder."
        ) from None


def _fill(
    store: Store,
    model: ServedModel | None,
    checkpoint: Path | None,
    notes: ServedNotes,
    reports: ServerReports,
) -> None:
    """Record the model, so that another label space is refused at once, and import the notes."""
    known = checkpoint is None or has_model(store, manifest_sha256(checkpoint))
    if model is not None and checkpoint is not None and not known:
        from icdcli.review.suggesting import checkpoint_model

        add_model(store, checkpoint_model(checkpoint), accept_others=model.accept_others)
    if notes.names:
        from icdcli.review.importing import NoteColumns, import_files

        done = import_files(
            store,
            notes.names,
            NoteColumns(notes.text_column, notes.id_column, notes.date_column),
            language=notes.language,
            on_progress=reports.progress,
            on_warning=reports.warning,
            on_message=reports.message,
        )
        new = "1 new note" if done.new == 1 else f"{done.new:,} new notes"
        reports.message(f"Imported: {new}, {done.known:,} known")


def _load(
    model: ServedModel, codebook: Codebook | None, on_warning: Callable[[str], object]
) -> "LoadedCheckpoint":
    from icdcli.distributed.devices import chosen_device
    from icdcli.model.checkpoint import load_checkpoint

    device = str(chosen_device(model.device))
    loaded = load_checkpoint(model.run, model.load, device, on_warning, model.cpu_precision)
    if codebook is not None:
        codebook.of_model = frozenset(loaded.model.labels.codes)
    return loaded


def _use(
    model: ServedModel,
    checkpoint: Path,
    load: "Callable[[], LoadedCheckpoint]",
    store: Store | None,
    settings: ServerSettings,
    reports: ServerReports,
) -> ModelUse:
    """Return what is done with the model: suggest codes in a store, and serve."""
    sha256 = manifest_sha256(checkpoint)

    def count() -> WorkProgress:
        from icdcli.review.suggesting import suggesting_progress

        assert store is not None
        return WorkProgress(**vars(suggesting_progress(store, sha256)))

    def suggest_codes(engine: "CodingEngine", work: ModelWork) -> None:
        from icdcli.predict.batches import Selection
        from icdcli.review.suggesting import suggest
        from icdcli.service.engine import CodingOptions

        options = CodingOptions(Selection(model.top, also_predicted=True), evidence=True)

        def report(stage: str, done: int, total: int, unit: str = "", note: str = "") -> None:
            work.progress = WorkProgress(done, total)

        assert store is not None
        suggest(
            store,
            engine.loaded,
            predict=lambda notes: engine.submit(notes, options, background=True).result(),
            accept_others=model.accept_others,
            on_progress=report,
            on_warning=reports.warning,
            stop=work.stopping,
        )

    name = model.run.absolute().name
    counting = None if store is None else count
    return ModelUse(name, load, counting, suggest_codes, settings.service is not None)


def _application(
    target: str,
    store: Store | None,
    settings: ServerSettings,
    page: PageSettings,
    codebook: Codebook | None,
    work: BackgroundWork,
) -> "tuple[FastAPI, CodingService | None, Jobs | None]":
    """Return the application, its service, and the jobs of the service."""
    if store is not None:
        app = create_review_app(store, page, codebook=codebook, work=work)
        if settings.service is None or not isinstance(work, ModelWork):
            return app, None, None
    else:
        app = FastAPI(title="icdcode", docs_url=None, redoc_url=None, openapi_url=None)
        # Other sites must not reach a service without tokens by a name of their own.
        local = settings.service is not None and settings.service.clients is None
        app.add_middleware(PageGuard, settings=page, any_name=not local)
    assert isinstance(work, ModelWork)
    from icdcli.service.application import add_service_routes
    from icdcli.service.inception import inception_router
    from icdcli.service.job_routes import jobs_router
    from icdcli.service.jobs import Jobs
    from icdcli.service.label_studio import label_studio_router
    from icdcli.service.routing import client_name

    async def code(notes: Any) -> Any:
        return await app.state.coding_service.code_with_evidence(notes)

    jobs = Jobs(settings.jobs or _jobs_folder(target), work.engine)
    routers = (
        jobs_router(jobs, client_name),
        label_studio_router(code, work.name),
        inception_router(code),
    )
    service = add_service_routes(app, work.engine, settings.service, routers)
    service.on_stop += [work.stop, jobs.end]
    return app, service, jobs


def _jobs_folder(target: str) -> Path:
    return Path("icdcode.jobs" if "://" in target else f"{target}.jobs")


def _end(work: BackgroundWork, jobs: "Jobs | None", folder: Path) -> None:
    if jobs is not None:
        jobs.stop()
        with suppress(OSError):
            folder.rmdir()  # unless jobs wait in it
    if isinstance(work, ModelWork):
        work.close()


def _started(
    port: int,
    store: Store | None,
    settings: ServerSettings,
    service: "CodingService | None",
    page: PageSettings,
) -> dict[str, Any]:
    """Return what is served where."""
    name = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{name}:{port}/"
    return {
        "address": address,
        "store": None if store is None else store.name,
        "notes": None if store is None else note_count(store),
        "local": store is not None and not page.trusted_header and not has_users(store),
        "local_user": page.local_user,
        "service": None if service is None else f"{address}v1/code",
    }
