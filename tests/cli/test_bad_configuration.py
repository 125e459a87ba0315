"""Wrong configurations and arguments: one message, its exit code, and no file."""

import pytest


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- model: tiny\n", "is a list; a configuration is a mapping of `key: value` lines"),
        ("model\n", "is a single value; a configuration is a mapping"),
        ("steps: 5\nmodel: [tiny\n", "line 3: not valid YAML"),
        ("seed: 1\nbatchsize: 4\n", "line 2: unknown key 'batchsize' (did you mean 'batch_size'?)"),
        ("steps: many\n", "line 1: steps: should be a whole number"),
        (
            "steps: 5\nwarmup_steps: 5\n",
            "line 2: warmup_steps: must be less than the 5 steps, not 5",
        ),
        ("model: tiny\nbit: 8\n", "line 2: bit: model: tiny has random weights"),
        ("metrics: [f1_mcro]\n", "unknown metric 'f1_mcro' (did you mean 'f1_micro'?)"),
    ],
)
def test_configuration_that_cannot_be(refused, tmp_path, text, says):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    for command in ("train", "plot-lr"):
        refused(2, command, path, says=[str(path), says])
    assert list(tmp_path.iterdir()) == [path]


def test_all_problems_of_file_and_command_line_in_one_message(refused, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text("modle: tiny\nsteps: many\nbit: 7\n")
    message = refused(
        2,
        "train",
        path,
        "sed=1",
        "steps",
        says=[f"{path} has 5 problems:", "(did you mean 'model'?)"],
    )
    assert "command line: unknown key 'sed' (did you mean 'seed'?)" in message
    assert "command line: 'steps' should be key=value" in message
    assert "line 3: bit: should be 4, 8, 16 or 32, got 7" in message


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "s3://bucket/run", "notes.csv"],
        ["predict", "run", "notes.csv", "--output=gs:/bucket/codes.csv"],
        ["demo-data", "hdfs://host/x"],
        ["prepare-data", "https://host/notes.csv"],
        ["train", "configs/demo.yaml", "project=s3://bucket/runs"],
    ],
)
def test_urls_make_no_folders(refused, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    refused(2, *words, says="should be a file or folder of this machine, not a URL")
    assert not list(tmp_path.iterdir())


def test_the_home_folder_after_an_equals_sign(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for words in (
        ["describe", "--config=~/c.yaml", "."],
        ["predict", "--output=~/c", "~/run", "n"],
    ):
        refused(2, *words, says=str(tmp_path / "home" if words[0] == "describe" else "run"))
    assert not (tmp_path / "~").exists()


def test_configuration_that_is_not_there(refused, tmp_path):
    refused(2, "train", tmp_path / "no.yaml", says="no.yaml: there is no such configuration file")
    refused(2, "train", tmp_path, says="is a folder, not a YAML file")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["trian", "x.yaml"], "No such command 'trian'"),
        (["train"], "Missing argument 'CONFIG'"),
        (["train", "x.yaml", "--dryrun"], "No such option: --dryrun"),
        (["train", "x.yaml", "--port", "0"], "--port"),
        (["evaluate", "x", "--load", "best"], "'metric', 'loss', 'last'"),
        (["show-predictions", "x", "-n", "0"], "-n"),
    ],
)
def test_usage(icdcode, words, says):
    answer = icdcode(*words)
    assert (answer.code, answer.out) == (2, "")
    assert says in answer.err
    assert "--help" in answer.err
