"""Predicting with Ray, the cluster replaced by this process; and once with a cluster."""

import os
import shutil
import signal
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

import pytest

from icdcli.data.notes.files import find_notes
from icdcli.errors import DataError, ResumeError
from icdcli.io.manifest import write_manifest
from icdcli.model.checkpoint import load_model
from icdcli.model.ensemble.ensemble_model import EnsembleModel
from icdcli.model.ensemble.member import Member, neutral_logits
from icdcli.model.ensemble.references import MemberReference
from icdcli.model.fusion import Fusion
from icdcli.model.section import ModelConfig
from icdcli.predict.on_ray.blocks import unpacked_rows
from icdcli.predict.on_ray.cluster import ray_cluster
from icdcli.predict.on_ray.engine import RayEngine
from icdcli.predict.on_ray.run import predict_on_ray
from icdcli.predict.on_ray.worker import MOST_ATTEMPTS, Attempts, BlockCoder
from icdcli.predict.run import predict_to_file


@pytest.fixture
def here(monkeypatch):
    """Return the attempts of blocks that this process codes in place of a cluster, last first."""
    attempts = Attempts()

    def coded(self, reader, coding):
        coder = self.coder(coding, "cpu", attempts.begin)
        for table in reversed(list(reader())):
            yield from map(coder.code, unpacked_rows(table))

    monkeypatch.setattr(RayEngine, "_coded", coded)
    return attempts


@pytest.fixture
def frozen(monkeypatch):
    """Make all calls begin at the same time, which FHIR and HL7 have in the file."""

    class Clock(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime(2026, 11, 27, tzinfo=zone)

    monkeypatch.setattr("icdcli.predict.resumable_output.datetime", Clock)


def options(**more):
    return {"top": 2, "connect": nullcontext, **more}


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("codes.jsonl", {"evidence": True}),
        ("codes.csv", {}),
        ("codes.parquet", {"evidence": True}),
        ("codes.ndjson", {"format": "fhir"}),
        ("codes.hl7", {"format": "dg1"}),
        ("codes.json", {"format": "labelstudio"}),
        ("codes.tsv", {"format": "codiesp"}),
    ],
)
@pytest.mark.usefixtures("here", "frozen")
def test_the_file_is_that_of_one_process(notes, checkpoint, tmp_path, name, more):
    (tmp_path / "one").mkdir()
    one = predict_to_file(checkpoint, notes, tmp_path / "one" / name, top=2, **more)
    progress = []
    written = predict_on_ray(
        *(checkpoint, notes, tmp_path / name),
        **options(**more, on_progress=lambda *call: progress.append(call[:4])),
    )
    assert written.output.read_bytes() == one.output.read_bytes()
    assert written.to_json() == one.to_json() | {"output": written.output}
    assert progress[-1] == ("coding", 22, 22, "notes")
    assert not list(tmp_path.glob("*.parts"))


def test_a_block_that_is_given_up_loses_nothing(here, notes, checkpoint, tmp_path):
    output = tmp_path / "codes.csv"
    for _ in range(MOST_ATTEMPTS):
        here.begin(2)  # by workers that died
    with pytest.raises(DataError, match=r"^notes 9 to 12: 3 workers, or their results, were lost"):
        predict_on_ray(checkpoint, notes, output, **options())
    assert not output.exists()
    assert {path.stem for path in (tmp_path / "codes.csv.parts").glob("*.csv")} == {
        f"000000{number}" for number in (3, 4, 5)
    }
    # One process continues where the workers stopped.
    messages, done = [], []
    predict_to_file(
        *(checkpoint, notes, output),
        top=2,
        on_message=messages.append,
        on_progress=lambda *call: done.append(call[:3]),
    )
    assert any("Continuing with the parts" in message for message in messages)
    assert done[-1] == ("coding", 12, 12)
    predict_to_file(checkpoint, notes, tmp_path / "one.csv", top=2)
    assert output.read_bytes() == (tmp_path / "one.csv").read_bytes()


def test_workers_do_not_code_what_is_written(here, notes, checkpoint, tmp_path, monkeypatch):
    output = tmp_path / "codes.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(BlockCoder, "code", _stopped_at(2))
        with pytest.raises(KeyboardInterrupt):
            predict_on_ray(checkpoint, notes, output, **options())
    predict_on_ray(checkpoint, notes, output, **options())
    assert [here.begin(number) for number in range(6)] == [2] * 6  # each was begun once
    predict_to_file(checkpoint, notes, tmp_path / "one.jsonl", top=2)
    assert output.read_bytes() == (tmp_path / "one.jsonl").read_bytes()


@pytest.mark.usefixtures("here", "notes")  # for small blocks
def test_one_process_continues_what_ray_began_with_a_relative_folder(
    checkpoint, tmp_path, monkeypatch
):
    rows = [f"{number},1,2,2026-11-28,chest pain" for number in range(22)]
    header = "note_id,person_id,visit_occurrence_id,note_date,note_text"
    (tmp_path / "note.csv").write_text("\n".join([header, *rows]))
    (tmp_path / "athena").mkdir()
    header = "concept_id,concept_code,vocabulary_id,domain_id,standard_concept"
    (tmp_path / "athena" / "CONCEPT.csv").write_text(f"{header}\n7,I10,ICD10CM,Condition,\n")
    header = "concept_id_1,concept_id_2,relationship_id,invalid_reason"
    (tmp_path / "athena" / "CONCEPT_RELATIONSHIP.csv").write_text(f"{header}\n7,8,Maps to,\n")
    monkeypatch.chdir(tmp_path)
    notes, said = find_notes(["note.csv"], date_column="note_date"), []
    more = {"format": "omop-conditions", "concepts": Path("athena"), "top": 2}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(BlockCoder, "code", _stopped_at(2))
        predict_on_ray(checkpoint, notes, "codes.csv", **options(**more))
    predict_to_file(checkpoint, notes, "codes.csv", **more, on_message=said.append)
    assert any("Continuing with the parts" in one for one in said)


def _stopped_at(number):
    code = BlockCoder.code

    def stop(self, block):
        if block.number == number:
            raise KeyboardInterrupt
        return code(self, block)

    return stop


def test_a_part_that_ray_loses_is_noticed(here, notes, checkpoint, tmp_path, monkeypatch):
    coded = RayEngine._coded

    def losing(self, reader, coding):
        for part in coded(self, reader, coding):
            if part.number != 5:
                yield part

    monkeypatch.setattr(RayEngine, "_coded", losing)
    with pytest.raises(DataError, match="20 of 22 notes were coded"):
        predict_on_ray(checkpoint, notes, tmp_path / "codes.csv", **options())
    assert not (tmp_path / "codes.csv").exists()


def ensemble_of(checkpoint, folder):
    """Return the folder of an ensemble with one member."""
    model = load_model(checkpoint)
    EnsembleModel(
        [Member("one", model, model.labels, neutral_logits(model.labels, 5))],
        model.labels,
        ModelConfig(model="ensemble"),
        model.threshold,
        Fusion({"one": 1.0}, 0, "validation"),
        5,
        references=[MemberReference.of("one", checkpoint)],
    ).save(folder)
    write_manifest(folder, {"step": 1})
    return folder


def test_a_damaged_checkpoint_is_refused_before_a_cluster_is_there(notes, checkpoint, tmp_path):
    damaged = Path(shutil.copytree(checkpoint, tmp_path / "damaged"))
    (tmp_path / "ensemble").mkdir()
    ensemble, weights = ensemble_of(damaged, tmp_path / "ensemble"), damaged / "head.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    said = []
    for folder in (damaged, ensemble):
        for predict, more in ((predict_to_file, {}), (predict_on_ray, {"connect": pytest.fail})):
            with pytest.raises(ResumeError) as caught:
                predict(folder, notes, tmp_path / "codes.csv", **more)
            said.append(str(caught.value))
    assert len(said) == 4 and len(set(said)) == 1
    assert said[0].startswith(f"{weights}: was changed or is damaged")
    assert not list(tmp_path.glob("codes.csv*"))


def test_a_block_that_was_coded_again_is_reported(here, notes, checkpoint, tmp_path):
    here.begin(0)  # by a worker that died
    warnings = []
    predict_on_ray(checkpoint, notes, tmp_path / "codes.csv", **options(on_warning=warnings.append))
    assert warnings[1:] == ["blocks of notes coded again because a worker was lost: 1"]


@pytest.fixture(scope="module")
def cluster():
    """Start Ray with two cores on this computer."""
    with ray_cluster(2):
        yield


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_the_file_is_the_same(cluster, notes, checkpoint, tmp_path):
    marker = str(tmp_path / "killed")

    class Killed(BlockCoder):  # a local class, so that the workers need no module of the tests
        def _code(self, block):
            if block.number == 2:
                try:
                    os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    pass
                else:
                    self._begin(block.number)
                    os.kill(os.getpid(), signal.SIGKILL)
            return super()._code(block)

    import ray

    warnings, settings = [], ray.data.DataContext.get_current()
    before = settings.target_max_block_size
    more = {"top": 2, "coder": Killed, "on_warning": warnings.append}
    predict_on_ray(checkpoint, notes, tmp_path / "codes.jsonl", **more)
    assert ray.is_initialized()  # a connection that was there stays, and so do Ray's settings
    assert settings.target_max_block_size == before
    assert os.path.exists(marker)
    assert warnings[1:] == ["blocks of notes coded again because a worker was lost: 1"]
    predict_to_file(checkpoint, notes, tmp_path / "one.jsonl", top=2)
    assert (tmp_path / "codes.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()
