"""Configurations from files and the command line, and back to text."""

import json
from pathlib import Path

import pytest

from icdcli.config.loading import _OLDER_NAMES, FIELDS, config_schema, load_config, to_yaml
from icdcli.config.schema import Config
from icdcli.data.section import DataConfig
from icdcli.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path | None, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return str(caught.value)


def test_scientific_notation_without_a_dot_is_a_number(tmp_path):
    assert load_config(write(tmp_path, "lr0: 1e-4\n")).train.lr0 == 1e-4
    assert load_config(None, ["lr0=3e-5"]).train.lr0 == 3e-5
    assert load_config(None, ["positive_threshold=1e-1"]).log.positive_threshold == 0.1


@pytest.mark.parametrize(
    ("key", "written", "read"),
    [
        ("steps", "0500", 500), ("seed", "010", 10), ("seed", "+010", 10), ("seed", "0_1", 1),
        ("seed", "1_000", 1000), ("seed", "0x10", 16), ("seed", "0b11", 3), ("seed", "-0", 0),
        ("max_len", "0128", 128), ("lr0", "010.50", 10.5), ("lr0", ".5e-3", 0.0005),
        ("device", "[0, 01]", [0, 1]), ("checkpoint_every", "0500", 500),
        ("name", "010", "010"), ("name", "no", "no"), ("name", "2024-05-01", "2024-05-01"),
        ("name", "2020-13-45", "2020-13-45"), ("name", "1_000", "1_000"), ("name", "1e3", "1e3"),
        ("text_column", "On", "On"), ("codes_column", "10", "10"), ("split_column", "No", "No"),
        ("data_path", "2024", "2024"), ("monitor", "null", None), ("data_path", "~", None),
        ("data_path", "None", None), ("chunk_len", "None", None), ("name", "None", "None"),
        ("id_column", "'None'", "None"), ("lora_targets", "[q, no, 010]", ["q", "no", "010"]),
        ("codes_column", "[on, 2]", ["on", "2"]), ("lexical", "[ngrams]", ["ngrams"]),
        ("deterministic", "no", False), ("label_pruning", "yes", True), ("lexical", "no", []),
    ],
)  # fmt: skip
def test_values_mean_what_they_look_like(tmp_path, key, written, read):
    for config in (
        load_config(write(tmp_path, f"{key}: {written}\nbit: 16\nwarmup_steps: 0\n")),
        load_config(None, [f"{key}={written}", "bit=16", "warmup_steps=0"]),
    ):
        found = config.flat()[key]
        assert (found, type(found)) == (read, type(read))
        assert load_config(write(tmp_path, to_yaml(config))) == config


@pytest.mark.parametrize("word", ["out #2", "#2", "a$b", "100%"])
def test_the_command_line_has_no_comments(word):
    config = load_config(None, [f"project={word}", f"name={word}", "seed=1 # one"])
    assert (str(config.run.project), config.run.name, config.run.seed) == (word, word, 1)


@pytest.mark.parametrize("url", ["s3://bucket/x", "gs://b", "hdfs://h/x", "https://h/x", "file:/x"])
def test_a_url_is_no_path(url):
    for key in ("project", "data_path", "mimic3_data_path", "cache_dir", "splits_path"):
        assert f"{key}: should be a file or folder of this machine, not a URL" in problems(
            None, f"{key}={url}"
        )
        with pytest.raises(ValueError, match="not a URL"):
            DataConfig(data_path=Path(url))
    assert load_config(None, ["data_path=C:/x"]).data.data_path == Path("C:/x")


@pytest.mark.parametrize(
    ("text", "overrides", "path"),
    [
        ("data_path: a", ["mimic3_data_path=b"], "b"),
        ("mimic3_data_path: a", ["data_path=b"], "b"),
        ("mimic3_data_path: a", ["data_path=null"], "a"),
        ("mimic3_data_path: a\ndata_path: null", [], "a"),
        ("mimic3_data_path: data\ndata_path: b", [], "b"),
        ("mimic3_data_path: data/\ndata_path: b", [], "b"),
        ("mimic3_data_path: b\ndata_path: b", [], "b"),
        ("data_path: a", ["data_path=null", "mimic3_data_path=b"], "b"),
    ],
)
def test_an_override_wins_under_either_name_of_a_key(tmp_path, text, overrides, path):
    config = load_config(write(tmp_path, text), overrides)
    assert config.data.path == Path(path)
    assert load_config(write(tmp_path, to_yaml(config))) == config


def test_two_names_of_one_key_are_an_error(tmp_path):
    text = "mimic3_data_path: a\ndata_path: b\n"
    assert (
        "line 1: mimic3_data_path: is an older name of data_path, which is set, too (line 2). "
        "Delete one of them"
    ) in problems(write(tmp_path, text))
    assert "command line: mimic3_data_path: is an older name" in problems(
        None, "data_path=a", "mimic3_data_path=b"
    )
    of_a_run = tmp_path / "args.yaml"  # version 0.1.0 wrote both; the newer name counted
    of_a_run.write_text(text)
    assert load_config(of_a_run).data.path == Path("b")
    assert load_config(of_a_run, ["mimic3_data_path=c"]).data.path == Path("c")


def test_every_older_name_and_its_newer_one_are_keys_of_one_type():
    assert set(_OLDER_NAMES) == {
        key for key, (_, field) in FIELDS.items() if " is null" in field.description
    }
    for old, new in _OLDER_NAMES.items():
        assert FIELDS[old][0] == FIELDS[new][0]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("[0]", [0]), ("0", [0]), ("'0'", [0]), ("[0,1]", [0, 1]), ("[0, 1]", [0, 1]),
        ("0,1", [0, 1]), ("'[1,2,3]'", [1, 2, 3]),
        ("cuda", [0]), ("cuda:1", [1]), ("[cuda:0, cuda:1]", [0, 1]), ("gpu", [0]), ("GPU:2", [2]),
        ("cpu", "cpu"), ("CPU", "cpu"), ("[cpu]", "cpu"), ("'cpu'", "cpu"), ("mps", "mps"),
    ],
)  # fmt: skip
def test_every_spelling_of_device(tmp_path, written, read):
    assert load_config(write(tmp_path, f"device: {written}\nbit: 32\n")).run.device == read
    assert load_config(None, [f"device={written}", "bit=32"]).run.device == read


def test_keys_as_other_tools_call_them(tmp_path):
    message = problems(write(tmp_path, "learning_rate: 1\noutput_dir: runs\n"), "epochs=3", "lr=2")
    assert "unknown key 'learning_rate' (did you mean 'lr0'?)" in message
    assert "unknown key 'lr' (did you mean 'lr0'?)" in message
    assert "unknown key 'output_dir' (did you mean 'project'?)" in message
    assert "'epochs' (set steps: an epoch has documents / batch_size of them)" in message


def test_a_metric_is_one_of_a_list_or_the_nearest(tmp_path):
    assert "(did you mean 'f1_micro'?), got" in problems(write(tmp_path, "metrics: [f1micro]\n"))
    assert "'qqq'; known: aucroc_macro, " in problems(write(tmp_path, "metrics: [qqq]\n"))


@pytest.mark.parametrize("written", ["tpu", "[]", "[0,0]", "-1", "[0,cpu]", "True", "0.5", "null"])
def test_values_that_are_no_device(tmp_path, written):
    assert "line 1: device: " in problems(write(tmp_path, f"device: {written}\n"))


def test_all_problems_come_in_one_message(tmp_path):
    path = write(
        tmp_path, "seed: 1\nmodle: llama3\nbatch_size: eight\nbit: 5\nmetrics: [f1_micor]\n"
    )
    message = problems(path, "patience=-1", "max_lenn=3", "nonsense")
    assert f"{path} has 7 problems:" in message
    assert "line 2: unknown key 'modle' (did you mean 'model'?)" in message
    assert "line 3: batch_size: should be a whole number" in message
    assert "got 'eight'" in message
    assert "line 4: bit: should be 4, 8, 16 or 32, got 5" in message
    assert "line 5: metrics: unknown metric 'f1_micor' (did you mean 'f1_micro'?)" in message
    assert "command line: patience: should be greater than or equal to 0, got -1" in message
    assert "command line: unknown key 'max_lenn' (did you mean 'max_len'?)" in message
    assert "command line: 'nonsense' should be key=value" in message


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["warmup_steps=100", "steps=100"],
            "warmup_steps: must be less than the 100 steps, not 100",
        ),
        (["device=mps"], "bit: 8 bit needs a CUDA GPU or a CPU"),
        (["model=tiny"], "model: tiny has random weights and can't be quantized"),
        (["freeze_backbone=False", "lora_activate=False"], "8-bit backbones can't be trained"),
        (["freeze_backbone=False", "bit=16"], "LoRA keeps the backbone frozen"),
        (["pooling_mode=bos_token", "attention=causal"], "the first token can't see any other"),
        (["lora_activate=False", "bit=32", "gradient_checkpointing=5"], "gradient_checkpointing"),
        (["gradient_checkpointing=maybe"], "should be True, False or 'auto', got 'maybe'"),
        (["freeze_backbone=maybe"], "freeze_backbone: should be True or False, got 'maybe'"),
        (["strategy=fsdp"], "strategy: fsdp: 8-bit weights can't be sharded; use ddp"),
        (
            ["strategy=fsdp", "bit=16", "freeze_backbone=True", "lora_activate=False"],
            "so there is little to shard; use ddp",
        ),
        (
            ["strategy=fsdp", "bit=16", "head_steps=9"],
            "head_steps freezes weights that are already sharded",
        ),
        (["strategy=fsdp", "bit=16", "device=mps"], "device: mps has only one process"),
        (
            ["torch_compile=True", "bit=16", "gradient_checkpointing=True"],
            "torch_compile: not available with activation recomputation",
        ),
        (
            ["torch_compile=True", "gradient_checkpointing=False"],
            "8-bit layers can't be compiled",
        ),
        (
            ["torch_compile=True", "gradient_checkpointing=False", "bit=16", "strategy=fsdp"],
            "not tested with strategy: fsdp",
        ),
        (
            ["kernels=liger", "torch_compile=True", "gradient_checkpointing=False", "bit=16"],
            "kernels: liger: torch_compile fuses the layers itself; use auto",
        ),
        (
            ["kernels=liger", "device=cpu"],
            "kernels: liger: needs an NVIDIA or AMD GPU, not device: cpu; use auto",
        ),
        (["kernels=triton"], "kernels"),
        (["batch_size=True"], "should be a number, not True or False"),
        (["common=[lr,lr]"], "contains a value twice"),
        (["metrics=[]"], "metrics"),
        (["monitor=val_loss"], "unknown metric 'val_loss'"),
        (["name=a/b"], "name: "),
        (["seed=[1"], "is not a YAML value"),
        (["seed=2020-13-45"], "seed: should be a whole number"),
        (["seed=2024-05-01"], "should be a whole number, got '2024-05-01'"),
        (["seed=!!float x"], "seed: '!!float x' is not a YAML value"),
        (["steps=1:30"], "steps: should be a whole number"),
        (["lr0=1:30.5"], "lr0: should be a number"),
        (["positive_threshold=0:30"], "should be a number from 0 to 1, auto or auto_per_code"),
        (["checkpoint_every=1:30"], "should be a number of steps, or a time such as 90s"),
        (["steps=60.000"], "steps: should be a whole number, written without a point, got 60.0"),
        (["steps='60.000'"], "steps: should be a whole number, written without a point"),
        (["steps=1,000"], "steps: should be a whole number"),
        (["project=$HOME/x"], "project: should be a path, and $HOME isn't replaced here"),
        (["data_path=/a/${USER}"], "data_path: should be a path, and ${USER} isn't replaced here"),
        (["cache_dir=a/%TEMP%"], "cache_dir: should be a path, and %TEMP% isn't replaced here"),
        (
            ["data_path=caf\udcc3\udca9.csv"],
            "data_path: has characters that Python's settings excl",
        ),
        (["data_path=caf\udce9.csv"], "data_path: caf?.csv isn't valid UTF-8. Rename the file"),
        (["name=.."], "name: should be the name of a folder, without / \\ and :"),
        (["name=s3://bucket"], "name: should be the name of a folder, without / \\ and :"),
        (["steps=" + "[" * 1000], "steps: has too many brackets in each other"),
        (["lr0=.inf"], "lr0: should be a finite number, got inf"),
        (["weight_decay=1e400"], "weight_decay: should be a finite number"),
        (["pos_weight=.nan"], "pos_weight: should be"),
        (["positive_threshold=.nan"], "positive_threshold: should be a finite number"),
        (["positive_threshold=5e1"], "positive_threshold: should be from 0 to 1"),
        (["positive_threshold=nan"], "positive_threshold: should be from 0 to 1"),
        (["positive_threshold=best"], "should be a number from 0 to 1, auto or auto_per_code"),
        (["seed=99999999999999999999999"], "seed: should be at most 9223372036854775807"),
        (["steps=9223372036854775808"], "steps: should be at most 9223372036854775807"),
        (["project=~nobody-here/x"], "project: there is no home folder for '~nobody-here'"),
        (["data_path=~nobody-here/x"], "data_path: there is no home folder for '~nobody-here'"),
    ],
)
def test_conflicts_and_invalid_values(overrides, message):
    assert message in problems(None, *overrides)


def test_a_problem_in_a_default_says_so(tmp_path):
    assert "line 1: warmup_steps" not in problems(write(tmp_path, "steps: 300\n"))
    assert "default: warmup_steps: must be less than the 300 steps, not 400" in problems(
        write(tmp_path, "steps: 300\n")
    )


def test_problems_come_by_line_and_those_of_the_command_line_and_defaults_last(tmp_path):
    path = write(tmp_path, "steps: 300\nbit: 8\nmodel: tiny\nlora_activate: False\n")
    message = problems(path, "freeze_backbone=False", "description_prior=True")
    places = [line.strip().split(": ")[:2] for line in message.splitlines()[1:]]
    assert places == [
        ["line 2", "bit"],
        ["default", "warmup_steps"],
        ["command line", "freeze_backbone"],
        ["command line", "description_prior"],
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- seed\n- 0\n", "is a list; a configuration is a mapping"),
        ("seed\n", "is a single value"),
        ("seed: 0\n  model: x\n", "line 2: not valid YAML"),
        ("seed: [0\n", "not valid YAML"),
        ("seed: 0\nseed: 1\n", "line 2: 'seed' is set twice, first at line 1"),
        ("seed: 0\nsteps: 2020-13-45\n", "line 2: steps: should be a whole number"),
        ("seed: 0\nsteps: !!int x\n", "line 2: steps: not a value: invalid literal"),
        ("metrics: " + "[" * 1000, "has too many brackets in each other"),
    ],
)
def test_files_that_are_no_configuration(tmp_path, text, message):
    assert message in problems(write(tmp_path, text))


def test_a_missing_file_and_a_folder(tmp_path):
    assert "there is no such configuration file" in problems(tmp_path / "none.yaml")
    assert "is a folder" in problems(tmp_path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "isn't text in UTF-8" in problems(binary)


def test_an_empty_file_is_the_defaults(tmp_path):
    assert load_config(write(tmp_path, "# nothing\n")) == Config()


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("metrics=map,f1_micro", ["map", "f1_micro"]),
        ("metrics=map", ["map"]),
        ("metrics=[map, f1_micro]", ["map", "f1_micro"]),
        ("device=0,1", [0, 1]),
        ("lexical=ngrams,terms", ["ngrams", "terms"]),
        ("lora_targets=", []),
        ("codes_column=a,b", "a,b"),
    ],
)
def test_a_list_needs_no_brackets_on_the_command_line(word, value):
    assert load_config(None, [word]).flat()[word.partition("=")[0]] == value


def test_a_written_configuration_loads_as_the_same(tmp_path):
    config = load_config(
        None,
        ["lr0=1e-5", "device=[0,1]", "data_path=a/b c", "name='007'", "monitor=f1_micro", "bit=16"],
    )
    for explain in (False, True):
        assert load_config(write(tmp_path, to_yaml(config, explain))) == config


def test_the_effective_configuration_explains_each_key():
    lines = to_yaml(Config(), explain=True).splitlines()
    for key, (_, field) in FIELDS.items():
        [place] = [place for place, line in enumerate(lines) if line.startswith(f"{key}: ")]
        assert field.description
        first = max(row for row in range(place) if not lines[row])
        assert " ".join(line[2:] for line in lines[first + 1 : place]) == field.description


def test_explanations_fit_a_terminal_of_80_columns():
    lines = to_yaml(Config(), explain=True).splitlines()
    assert max(len(line) for line in lines if line.startswith("#")) < 80


def test_the_json_schema_has_every_key():
    schema = json.loads(json.dumps(config_schema()))
    assert set(schema["properties"]) == set(FIELDS)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["bit"]["enum"] == [4, 8, 16, 32]
    assert all("description" in entry for entry in schema["properties"].values())
