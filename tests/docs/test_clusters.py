"""The files in examples/clusters: by the schema of their kind, and by icdcode's own commands."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import typer
import yaml

from icdcli.cli import app
from icdcli.config.loading import load_config, shipped_configs
from icdcli.predict.shards.records import Shard

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "clusters"
SCRIPTS = sorted(FOLDER.glob("*.sh"))
NATIVE = sorted(FOLDER.glob("kubernetes-*.yaml"))
KUBERNETES = "1.34"

# Of sbatch's manual.
SBATCH = {
    *("job-name", "nodes", "ntasks-per-node", "gpus-per-node", "cpus-per-task", "time", "requeue"),
    *("signal", "open-mode", "array", "mem", "dependency", "parsable", "wrap"),
}

TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
# PyTorchJob of kubeflow.org/v1 without elasticPolicy; the templates are checked as pods.
REPLICA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["template"],
    "properties": {
        "replicas": {"type": "integer", "minimum": 0},
        "restartPolicy": {"enum": ["Always", "OnFailure", "Never", "ExitCode"]},
        "template": {"type": "object"},
    },
}
PYTORCH_JOB = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "kubeflow.org/v1"},
        "kind": {"const": "PyTorchJob"},
        "metadata": {"type": "object", "required": ["name"]},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["pytorchReplicaSpecs"],
            "properties": {
                "nprocPerNode": {"type": "string"},
                "runPolicy": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "activeDeadlineSeconds": {"type": "integer"},
                        "backoffLimit": {"type": "integer"},
                        "cleanPodPolicy": {"enum": ["All", "Running", "None"]},
                        "suspend": {"type": "boolean"},
                        "ttlSecondsAfterFinished": {"type": "integer"},
                    },
                },
                "pytorchReplicaSpecs": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["Master"],
                    "properties": {"Master": REPLICA, "Worker": REPLICA},
                },
            },
        },
    },
}
# The fields that the file uses, as SkyPilot 0.14 defines them; its package is too large for tests.
SKYPILOT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["run"],
    "properties": {
        "name": {"type": "string"},
        "workdir": {"type": "string"},
        "num_nodes": {"type": "integer", "minimum": 1},
        "setup": {"type": "string"},
        "run": {"type": "string"},
        "envs": TEXTS,
        "volumes": TEXTS,
        "resources": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "infra": {"type": "string"},
                "accelerators": {"type": "string", "pattern": r"^\w+:\d+$"},
                "use_spot": {"type": "boolean"},
                "disk_size": {"type": "integer"},
                "job_recovery": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "strategy": {"type": "string"},
                        "max_restarts_on_errors": {"type": "integer", "minimum": 0},
                        "recover_on_exit_codes": {
                            "type": "array",
                            "uniqueItems": True,
                            "items": {"type": "integer", "minimum": 0, "maximum": 255},
                        },
                    },
                },
            },
        },
    },
}
# RayJob of ray.io/v1, the fields that the file uses, after KubeRay's definition and its checks:
# required is what any of its versions requires. The templates are checked as pods.
GROUP = {
    "rayStartParams": TEXTS,
    "template": {"type": "object", "required": ["spec"]},
}
RAY_JOB = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayJob"},
        "metadata": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"pattern": "^[a-z][a-z0-9-]{0,45}[a-z0-9]$"}},
        },
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["entrypoint", "rayClusterSpec"],
            "properties": {
                "entrypoint": {"type": "string"},
                "submissionMode": {"enum": ["K8sJobMode", "HTTPMode"]},
                "backoffLimit": {"type": "integer", "minimum": 0},
                "shutdownAfterJobFinishes": {"type": "boolean"},
                "rayClusterSpec": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["headGroupSpec"],
                    "properties": {
                        "rayVersion": {"type": "string"},
                        "enableInTreeAutoscaling": {"type": "boolean"},
                        "authOptions": {
                            "type": "object",
                            "additionalProperties": False,
                            "properties": {"mode": {"enum": ["disabled", "token"]}},
                        },
                        "headGroupSpec": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["rayStartParams", "template"],
                            "properties": GROUP,
                        },
                        "workerGroupSpecs": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "additionalProperties": False,
                                "required": [
                                    *("groupName", "minReplicas", "maxReplicas"),
                                    *("rayStartParams", "template"),
                                ],
                                "properties": {
                                    **GROUP,
                                    "groupName": {"type": "string"},
                                    "replicas": {"type": "integer", "minimum": 0},
                                    "minReplicas": {"type": "integer", "minimum": 0},
                                    "maxReplicas": {"type": "integer", "minimum": 0},
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def read(name):
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", NATIVE, ids=lambda path: path.name)
def test_kubernetes_files_fit_its_schema(path):
    kubernetes_validate.validate(yaml.safe_load(path.read_text()), KUBERNETES, strict=True)


def test_the_schema_of_kubernetes_finds_mistakes():
    job = read("kubernetes-predict.yaml")
    job["spec"]["template"]["spec"]["restartpolicy"] = "Never"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, KUBERNETES, strict=True)


def test_each_pod_of_the_indexed_job_has_a_shard():
    spec = read("kubernetes-predict.yaml")["spec"]
    [container] = spec["template"]["spec"]["containers"]
    total = re.search(r"--shard \$\(\(JOB_COMPLETION_INDEX \+ 1\)\)/(\d+)$", container["args"][0])
    assert (spec["completionMode"], spec["completions"]) == ("Indexed", int(total[1]))
    # One shard that can't be written must not end the others.
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Ignore"]
    assert spec["backoffLimitPerIndex"] > 0


def test_the_pytorch_job_fits_its_schema_and_those_of_pods():
    job = read("pytorchjob-train.yaml")
    jsonschema.validate(job, PYTORCH_JOB)
    for replica in job["spec"]["pytorchReplicaSpecs"].values():
        template = replica["template"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **template}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)
        # The operator looks for the container of this name.
        assert [one["name"] for one in template["spec"]["containers"]] == ["pytorch"]
    job["spec"]["runPolicy"]["cleanPods"] = "Running"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job, PYTORCH_JOB)


def test_the_task_of_skypilot_has_known_fields():
    task = read("skypilot-train.yaml")
    jsonschema.validate(task, SKYPILOT)
    assert task["resources"]["job_recovery"]["recover_on_exit_codes"] == [75]


def test_the_ray_job_fits_its_schema_and_those_of_pods():
    job = read("ray-predict.yaml")
    jsonschema.validate(job, RAY_JOB)
    cluster = job["spec"]["rayClusterSpec"]
    head, [workers] = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    for group in (head, workers):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **group["template"]}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)
        user = pod["spec"]["securityContext"]
        assert user == {"runAsNonRoot": True, "runAsUser": 10001, "fsGroup": 10001}
    assert cluster["authOptions"] == {"mode": "token"}  # programs of others could read the notes
    # The head reads the notes; it has no cores for workers, whose threads fit into their pods.
    assert head["rayStartParams"] == {"num-cpus": "0"}
    [container] = workers["template"]["spec"]["containers"]
    assert container["env"] == [
        {"name": "OMP_NUM_THREADS", "value": container["resources"]["limits"]["cpu"]}
    ]
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert f"\nray=={cluster['rayVersion']}\n" in pinned
    job["spec"]["entryPoint"] = ""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job, RAY_JOB)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_of_slurm_are_correct(path):
    assert subprocess.run(["bash", "-n", path], check=False).returncode == 0
    found = subprocess.run(
        [Path(sys.executable).with_name("shellcheck"), path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout) == (0, "")
    lines = path.read_text(encoding="utf-8").splitlines()
    options = [line for line in lines if line.startswith("#SBATCH")]
    names = [re.match(r"#SBATCH --([a-z-]+)(=\S+)?$", line) for line in options]
    assert names and all(name is not None and name[1] in SBATCH for name in names)


def commands():
    """Yield the file and the words of each icdcode command."""
    for path in sorted(FOLDER.iterdir()):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".yaml":
            task = yaml.safe_load(text)
            lines = [*_texts(task)]
            lines += [line[1:] for line in text.splitlines() if line.startswith("#")]
        else:
            lines = [line.lstrip("#") for line in text.replace("\\\n", " ").splitlines()]
        for line in "\n".join(lines).replace("\\\n", " ").splitlines():
            if found := re.search(r"(?<![\w/-])icdcode ((?:predict|train|resume|join) .*)", line):
                # Of a command in quotes, the closing one is left.
                line = found[1].rstrip('"') if found[1].count('"') % 2 else found[1]
                plain = re.sub(r"\$\(\([^)]*\)\)|\$\{?\w+\}?", "1", line)
                yield path.name, shlex.split(plain)


def _texts(value):
    """Yield the texts in a document; the arguments of a container as one command."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "args" and "command" not in value:
                yield "icdcode " + " ".join(item)
            else:
                yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize(
    ("name", "words"),
    list(commands()),
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_commands_are_those_of_icdcode(name, words):
    group = typer.main.get_command(app)
    with group.make_context("icdcode", list(words)) as context:
        command = group.get_command(context, words[0])
        given = command.make_context(words[0], words[1:], parent=context).params
    if given.get("shard"):
        Shard.parse(given["shard"])
    if given.get("overrides"):
        load_config(None, given["overrides"])
    if words[0] == "train":
        assert given["resume_if_exists"]
        config = given["config"]
        assert config.is_absolute() or config.name in shipped_configs()


def test_every_file_has_a_command_and_is_on_the_page():
    page = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
    files = {path.name for path in FOLDER.iterdir()}
    assert {name for name, _ in commands()} == files
    assert {name for name in files if f"`{name}`" not in page} == set()
    slurm = (ROOT / "docs" / "slurm.md").read_text(encoding="utf-8")
    for path in SCRIPTS:
        assert path.read_text(encoding="utf-8") in slurm
