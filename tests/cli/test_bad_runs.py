"""Run folders that can't be resumed, evaluated or shown: one message, and an unchanged folder."""

import json
import shutil
import sys

import pytest

READERS = ("resume", "evaluate", "show-predictions")


def snapshot(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture
def refused_run(refused, run_copy):
    """Return a function that asserts that the copied run is refused and unchanged."""

    def run(code, command, *words, says):
        before = snapshot(run_copy)
        message = refused(code, command, run_copy, *words, says=says)
        assert snapshot(run_copy) == before
        return message

    return run


@pytest.mark.parametrize(
    ("code", "command", "loaded"),
    [
        (3, "audit", "icdcli.audit.run"),
        (2, "serve", "icdcli.review_page.hosting"),
    ],
)
def test_a_missing_folder_is_refused_before_pytorch_is_loaded(
    refused, tmp_path, monkeypatch, code, command, loaded
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, loaded, None)  # importing it would be an error
    refused(code, command, "nowhere", says="nowhere: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", READERS)
def test_no_run_folder(refused, command, tmp_path):
    refused(2, command, tmp_path / "nowhere", says="nowhere: no such run folder")
    refused(
        2,
        command,
        tmp_path,
        says=[
            "isn't a run folder (it has no args.yaml)",
            "Give the run folder that `icdcode train` printed",
        ],
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", READERS)
def test_run_without_checkpoints(refused_run, run_copy, command):
    shutil.rmtree(run_copy / "weights")
    says = [
        "has no checkpoint",
        "ended before its first checkpoint",
        f"icdcode train {run_copy / 'args.yaml'}",
    ]
    refused_run(4, command, says=says)


@pytest.mark.parametrize("command", READERS)
def test_run_without_the_requested_checkpoint(refused_run, run_copy, command):
    (run_copy / "weights" / "loss").unlink()
    refused_run(
        4,
        command,
        "--load",
        "loss",
        says="has no checkpoint 'loss'. It has metric, last; choose one with --load",
    )


@pytest.mark.parametrize("command", READERS)
def test_flipped_byte(refused_run, run_copy, command):
    head = run_copy / "weights" / "last" / "head.safetensors"
    content = bytearray(head.read_bytes())
    content[-1] ^= 1
    head.write_bytes(content)
    (run_copy / "weights" / "previous").unlink()  # else `resume` uses it
    refused_run(
        4, command, "--load", "last", says="12-2/head.safetensors: was changed or is damaged"
    )


@pytest.mark.parametrize(
    "name", ["state.pt", "head.safetensors", "labels.parquet", "backbone/tokenizer.json"]
)
def test_file_of_a_checkpoint_missing(refused_run, run_copy, name):
    (run_copy / "weights" / "last" / name).unlink()
    (run_copy / "weights" / "previous").unlink()
    refused_run(4, "resume", says=f"the checkpoint is incomplete: {name} is missing")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "is not a checkpoint (manifest.json is missing)"),
        ("{", "manifest.json: can't be read"),
        ("[" * 100_000, "manifest.json: can't be read"),
        ("[]", "manifest.json: doesn't list the checkpoint's files"),
        ('{"files": {}}', "manifest.json: doesn't list the checkpoint's files"),
        (
            '{"name": "a web site", "files": ["index.html"]}',
            "manifest.json: doesn't list the checkpoint's files",
        ),
    ],
)
def test_manifest_missing_or_damaged(refused_run, run_copy, content, says):
    manifest = run_copy / "weights" / "last" / "manifest.json"
    manifest.unlink()
    (run_copy / "weights" / "previous").unlink()
    if content is not None:
        manifest.write_text(content)
    refused_run(4, "resume", says=says)


def test_args_that_were_edited_wrongly(refused_run, run_copy):
    with (run_copy / "args.yaml").open("a") as file:
        file.write("modle: tiny\n")
    for command in READERS:
        refused_run(
            2,
            command,
            says=["args.yaml has 1 problem", "unknown key 'modle' (did you mean 'model'?)"],
        )


@pytest.mark.parametrize("command", ["evaluate", "show-predictions"])
def test_split_that_is_not_there(refused_run, command):
    refused_run(
        2,
        command,
        "--split",
        "dev",
        says=["no documents in 'dev'", "It has: train (", "validation (", "test ("],
    )


def test_device_that_is_none(refused_run):
    refused_run(
        2,
        "evaluate",
        "--device",
        "gpux",
        says="device: should be cpu, mps, or GPU numbers such as [0] or [0,1]",
    )


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("seed=3", "seed=3 (was 0): it decides the documents of the remaining steps"),
        ("batch_size=4", "batch_size=4 (was 16)"),
        ("max_len=32", "max_len=32 (was 64): it defines the model"),
        ("model=llama3", "model='llama3' (was 'tiny'): it defines the model"),
        ("metrics=[f1_macro]", "the best value so far was measured with it"),
        ("monitor=f1_micro", "the best value so far was measured with it"),
        ("protocol=hadm-digit", "the corpus depends on it"),
        ("name=other", "a run stays in its folder"),
    ],
)
def test_keys_that_a_run_cannot_change(refused_run, override, says):
    refused_run(
        4,
        "resume",
        override,
        says=["a resumed run can't change these keys; start a new run instead", says],
    )


def test_all_refused_changes_in_one_message(refused_run):
    message = refused_run(
        4, "resume", "seed=3", "steps=20", "pooling_mode=eos_token", says="seed=3"
    )
    assert "pooling_mode='eos_token' (was 'mean')" in message
    assert "steps=20" not in message


def test_fewer_steps_than_are_done(refused_run):
    refused_run(4, "resume", "steps=8", says=["steps=8: ", "is already at step 12. Set more steps"])


def test_invalid_override(refused_run):
    refused_run(
        2, "resume", "stps=20", says="command line: unknown key 'stps' (did you mean 'steps'?)"
    )


@pytest.fixture
def run_on_changed_data(icdcode, place, table_copies, rewrite, tmp_path):
    """Return a run whose source tables were changed afterwards, with the same codes."""
    options = (
        f"data_path={table_copies}",
        f"project={tmp_path}",
        "steps=2",
        "warmup_steps=0",
        "prediction_print_n=0",
    )
    assert icdcode("train", place.config, *options).code == 0
    rewrite(table_copies, "NOTEEVENTS", lambda text: text.replace("Sex: F", "Sex: M", 1))
    return tmp_path / "run"


def test_data_that_changed_since(refused, icdcode, run_on_changed_data):
    before = snapshot(run_on_changed_data)
    says = [
        "was trained on the corpus mimic3-patient-",
        "the tables or the data options have changed",
        "start a new run",
    ]
    refused(4, "resume", run_on_changed_data, "steps=4", says=says, warned=True)
    assert snapshot(run_on_changed_data) == before
    answer = icdcode("evaluate", run_on_changed_data)
    assert answer.code == 0
    assert "warning: " in answer.err
    assert "was trained on the corpus mimic3-patient-" in answer.err


def test_label_space_that_changed_since(refused, run_on_changed_data, rewrite, table_copies):
    rewrite(table_copies, "DIAGNOSES_ICD", lambda text: text.replace('"4019"', '"4010"'))
    refused(
        3,
        "evaluate",
        run_on_changed_data,
        says=["its label space", "differs from the one that the model was trained on"],
        warned=True,
    )
    assert not (run_on_changed_data / "evaluation").exists()


def test_data_that_is_gone(refused_run, run_copy):
    args = run_copy / "args.yaml"
    lines = [line for line in args.read_text().splitlines() if not line.startswith("data_path:")]
    args.write_text("\n".join([*lines, f"data_path: {run_copy / 'gone'}"]) + "\n")
    for command in READERS:
        refused_run(3, command, says="gone: no such file or folder. Check the path (data_path)")


def test_checkpoint_of_another_format(refused_run, run_copy):
    from icdcli.io.manifest import write_manifest

    folder = run_copy / "weights" / "metric"
    about = json.loads((folder / "coder.json").read_text())
    (folder / "coder.json").write_text(json.dumps(about | {"format": 99, "icdcode": "9.9"}))
    (folder / "manifest.json").unlink()
    write_manifest(folder, {"step": 12})
    refused_run(4, "evaluate", says="written by another version of icdcode (9.9)")
