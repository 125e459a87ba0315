"""Importing transformers without what predictions don't use."""

import subprocess
import sys
from pathlib import Path

import pytest

from icdcli.light_transformers import _StandIn, postponed


def python(code: str, folder: Path) -> list[str]:
    """Run code in a process of its own; return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()


def test_all_of_transformers_can_still_be_used(tmp_path):
    found = python(
        """
import sys
from icdcli.light_transformers import import_transformers_lightly
import_transformers_lightly()
import transformers
from transformers import AutoModel, PreTrainedTokenizerFast, __version__
print(__version__ == transformers.__version__, type(transformers).__name__)
from transformers import GPT2Config, GPT2Model, pipeline
network = GPT2Model(GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=1))
print(transformers.AutoModel is AutoModel, type(sys.modules["transformers"]).__name__)
print(sys.modules["transformers"].PreTrainedTokenizerFast is PreTrainedTokenizerFast)
import accelerate, torch, torch._dynamo
from scipy.optimize import linear_sum_assignment
from torch.distributed.tensor import DTensor
print(torch.distributed.is_available(), callable(torch._dynamo.disable), accelerate.__version__)
from transformers.loss import loss_for_object_detection as losses
print(losses.linear_sum_assignment([[1, 0], [0, 1]])[1].tolist())
from huggingface_hub import HfApi, create_repo
print(callable(create_repo), HfApi(endpoint="http://localhost").endpoint)
network.save_pretrained("saved")
print(type(AutoModel.from_pretrained("saved")).__name__)
""",
        tmp_path,
    )
    assert found[0] == "True _Package"
    assert found[1:3] == ["True _LazyModule", "True"]
    assert found[3].startswith("True True ")
    assert found[4:] == ["[1, 0]", "True http://localhost", "GPT2Model"]


def test_another_version_of_transformers_is_imported_as_usual(tmp_path):
    found = python(
        """
import sys
from icdcli import light_transformers
light_transformers._NEEDED = ("utils", "not_in_this_version")
light_transformers.import_transformers_lightly()
print([name for name in sys.modules if name.startswith("transformers")])
import transformers
print(type(transformers).__name__, transformers.BertConfig().model_type)
""",
        tmp_path,
    )
    assert found == ["[]", "_LazyModule bert"]


def test_with_a_gpu_transformers_is_imported_as_usual(tmp_path):
    found = python(
        """
import torch
torch.cuda.is_available = lambda: True
from icdcli.light_transformers import import_transformers_lightly
import_transformers_lightly()
import transformers
print(type(transformers).__name__)
""",
        tmp_path,
    )
    assert found == ["_LazyModule"]


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Make a package with a module, and one that imports both."""
    package = tmp_path / "heavy"
    package.mkdir()
    (package / "__init__.py").write_text("class Base:\n    pass\n")
    (package / "tools.py").write_text("def double(x):\n    return 2 * x\n\n\nkept = {1: 2}\n")
    (tmp_path / "light.py").write_text(
        "import heavy\nimport heavy.tools\nfrom heavy import Base\n"
        "from heavy.tools import double, kept\n\n\n"
        "def typed(x: Base | None) -> None:\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    names = ("heavy", "heavy.tools", "light")
    yield lambda: [name for name in names if name in sys.modules]
    for name in names:
        sys.modules.pop(name, None)


def test_a_postponed_module_is_imported_when_something_of_it_is_used(library):
    with postponed(["heavy", "not_installed"]):
        import light

        with pytest.raises(ModuleNotFoundError):
            import not_installed  # noqa: F401
    assert library() == ["light"]
    assert light.double(21) == 42
    assert library() == ["heavy", "heavy.tools", "light"]
    assert light.kept.keys() == {1}
    assert light.heavy.tools.double(1) == 2

    import heavy

    assert isinstance(heavy.Base(), light.Base) and not isinstance(1, light.Base)

    class Derived(light.Base):
        pass

    assert issubclass(Derived, heavy.Base)


def test_a_module_that_is_imported_already_stays(library):
    import heavy

    with postponed(["heavy"]):
        import light
    assert light.Base is heavy.Base


def test_marks_for_the_compiler_change_nothing():
    compiler = _StandIn("torch._dynamo")

    def function():
        pass

    assert compiler.allow_in_graph(function) is function
    assert compiler.disable(function, recursive=True) is function
    assert compiler.disable(recursive=False)(function) is function
