import random
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
from service_models import KINDS, made_up_notes

from icdcli.data.notes.text import Note
from icdcli.errors import ConfigError
from icdcli.io.manifest import manifest_sha256
from icdcli.model.checkpoint import load_checkpoint
from icdcli.predict.batches import NotePredictor, Selection
from icdcli.predict.checking import Checking
from icdcli.predict.run import predict_notes
from icdcli.predict.writers import note_line
from icdcli.service.engine import CodingOptions, EngineClosedError, QueueFullError

TOP = CodingOptions(Selection(top=3))


@pytest.fixture
def blocked(engine_of):
    """Return an engine that works on nothing until the event is set."""
    engine, free = engine_of(waiting_requests=4, waiting_characters=1_500), threading.Event()
    started = threading.Event()

    def wait(model):
        started.set()
        assert free.wait(60)

    engine.call(wait)
    assert started.wait(60)
    yield engine, free
    free.set()


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.slow) if kind == "llama" else kind for kind in KINDS],
)
def test_64_clients_get_what_predict_prints_whatever_is_coded_together(
    engine_of, checkpoints, kind
):
    notes, options = made_up_notes(24, 100), CodingOptions(Selection(top=3))
    expected = predict_notes(load_checkpoint(checkpoints(kind)).model, notes, top=3)
    lines = {note.id: note_line(note) for note in expected}
    engine = engine_of(kind)

    def ask(seed):
        asked = random.Random(seed).sample(notes, 1 + seed % 3)
        coded = engine.submit(asked, options, background=seed % 4 == 0).result(60)
        return [
            note_line(note) == lines[given.id] for given, note in zip(asked, coded, strict=True)
        ]

    with ThreadPoolExecutor(64) as clients:
        assert all(clients.map(ask, range(64)))


def test_an_engine_names_its_checkpoint(engine_of, checkpoints):
    engine = engine_of("tfidf")
    assert (engine.name, engine.sha256) == ("tfidf", manifest_sha256(checkpoints("tfidf")))
    assert engine.ready


def test_requests_that_ask_for_the_same_are_coded_together(blocked, monkeypatch):
    engine, free = blocked
    sizes = []
    predict = NotePredictor.predict

    def watched(self, notes, *others):
        sizes.append(len(notes))
        return predict(self, notes, *others)

    monkeypatch.setattr(NotePredictor, "predict", watched)
    notes = made_up_notes(4, 5)
    futures = [engine.submit([note], TOP) for note in notes[:3]]
    futures.append(engine.submit(notes[3:]))
    free.set()
    assert [future.result(60)[0].id for future in futures] == [note.id for note in notes]
    assert sizes == [3, 1]


def test_requests_overtake_what_is_coded_in_the_background(engine_of):
    engine, free, started = engine_of(batch_notes=2), threading.Event(), threading.Event()
    order = []

    def wait(model):
        started.set()
        assert free.wait(60)

    engine.call(wait)
    assert started.wait(60)
    engine.on_batch = lambda notes, characters, seconds: order.append(notes)
    job = engine.submit(made_up_notes(5), background=True)
    job.add_done_callback(lambda _: order.append("job"))
    request = engine.submit(made_up_notes(1))
    request.add_done_callback(lambda _: order.append("request"))
    assert (engine.load.requests, engine.load.notes, engine.load.background) == (3, 6, 5)
    free.set()
    job.result(60)
    while engine.load.requests:
        time.sleep(0.001)
    assert order == [1, "request", 2, 2, 1, "job"]


def test_a_full_queue_says_how_long_to_wait(blocked):
    engine, free = blocked
    note = Note("1", "x" * 700)
    futures = [engine.submit([note]) for _ in range(2)]
    with pytest.raises(QueueFullError) as full:
        engine.submit([note])
    assert 1 <= full.value.seconds <= 600
    futures += [engine.submit([Note("2", "pain")]) for _ in range(2)]
    with pytest.raises(QueueFullError):
        engine.submit([Note("3", "pain")])
    engine.submit([note], background=True)  # has a queue of its own
    free.set()
    assert all(future.result(60) for future in futures)
    assert engine.submit([Note("4", "x" * 5_000)]).result(60)  # nothing waits: any size


def test_a_cancelled_request_is_not_coded(blocked, monkeypatch):
    engine, free = blocked
    coded = []
    predict = NotePredictor.predict
    monkeypatch.setattr(
        NotePredictor, "predict", lambda self, notes: coded.extend(notes) or predict(self, notes)
    )
    first, second = (engine.submit([note]) for note in made_up_notes(2, 5))
    assert first.cancel()
    free.set()
    assert second.result(60)
    assert [note.id for note in coded] == ["note 1"]
    with pytest.raises(CancelledError):
        first.result(60)


def test_an_error_reaches_only_the_request_that_causes_it(blocked, monkeypatch):
    engine, free = blocked
    predict = NotePredictor.predict

    def failing(self, notes):
        if any(note.id == "note 1" for note in notes):
            raise ArithmeticError("no")
        return predict(self, notes)

    monkeypatch.setattr(NotePredictor, "predict", failing)
    futures = [engine.submit([note]) for note in made_up_notes(3, 5)]
    free.set()
    assert futures[0].result(60) and futures[2].result(60)
    with pytest.raises(ArithmeticError):
        futures[1].result(60)
    assert engine.ready


def test_checks_of_a_model_without_editions_at_hand_fail_with_its_message(engine_of):
    with pytest.raises(ConfigError):
        engine_of().submit(made_up_notes(1), CodingOptions(checking=Checking())).result(60)


def test_closing_finishes_what_was_accepted_and_refuses_more(blocked):
    engine, free = blocked
    futures = [engine.submit([note]) for note in made_up_notes(3, 5)]
    futures.append(engine.submit(made_up_notes(20, 8), background=True))
    closing = threading.Thread(target=engine.close)
    closing.start()
    while engine.ready:
        time.sleep(0.001)
    with pytest.raises(EngineClosedError):
        engine.submit(made_up_notes(1))
    assert not any(future.done() for future in futures)
    free.set()
    closing.join(60)
    assert [len(future.result(0)) for future in futures] == [1, 1, 1, 20]


def test_closing_at_once_gives_up_what_waits(blocked):
    engine, free = blocked
    future = engine.submit(made_up_notes(1))
    assert not engine.close(drain=False, timeout=0)
    with pytest.raises(EngineClosedError):
        future.result(0)
    free.set()
    assert engine.close()


def test_notes_without_text_and_no_notes_need_no_model(engine_of):
    engine = engine_of()
    assert engine.submit([]).result(60) == []
    (coded,) = engine.submit([Note("1", " \n")]).result(60)
    assert (coded.windows, coded.codes) == (0, ())
