"""Import transformers without what only training, generation and other modalities need.

To predict, transformers makes a network and computes its forward pass. Importing it also imports
PyTorch's compiler and its tensors of several machines, SciPy's optimizers and more, and reads all
of its files to list what they define, which takes longer than the rest of the start. Here, all that
is imported when something of it is used, which prediction never does.

Commands that train import transformers as usual, and so do all on a machine with a GPU: what loads
models there, such as accelerate for 4 and 8 bit, was not tried with this.
"""

import importlib
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import version
from types import ModuleType
from typing import Any

from icdcli.garbage import paused_collection

POSTPONED = (
    *("torch._dynamo", "scipy.optimize", "accelerate", "PIL", "jinja2"),
    "huggingface_hub.hf_api",  # to upload; files are downloaded without it
)
"""The modules that aren't imported until something of them is used, with all modules in them."""

_TRANSFORMERS = "transformers"
_NEEDED = (
    *("modeling_utils", "modeling_layers", "masking_utils", "generation.utils"),
    *("models.auto.modeling_auto", "models.auto.tokenization_auto"),
)
"""The modules of transformers that every architecture imports, and those that find it."""

_MARKS = {"allow_in_graph", "assume_constant_result", "disable"}
"""Functions that mark others for PyTorch's compiler. Where nothing is compiled, no mark counts."""


def import_transformers_lightly() -> None:
    """Import what loads a network and computes with it, unless transformers is imported already.

    From then on, transformers works as with a PyTorch that has no distributed tensors. Any other
    part of it can still be imported.

    If a version of transformers can't be imported in this way, none of it is imported yet.
    """
    with paused_collection():
        import torch

    if _TRANSFORMERS in sys.modules or torch.cuda.is_available():
        return
    try:
        with paused_collection(), postponed(POSTPONED):
            for name in (_TRANSFORMERS, f"{_TRANSFORMERS}.models"):
                sys.modules[name] = _Package(name)
            _answer_in_advance()
            for name in _NEEDED:
                importlib.import_module(f"{_TRANSFORMERS}.{name}")
    except Exception:  # of any kind: a version may use at once what was postponed
        for name in list(sys.modules):
            if name.partition(".")[0] == _TRANSFORMERS:
                del sys.modules[name]


def _answer_in_advance() -> None:
    """Let transformers take PyTorch for one without distributed tensors, and itself as it is."""
    import torch

    checks = importlib.import_module(f"{_TRANSFORMERS}.utils.import_utils")
    available = torch.distributed.is_available
    torch.distributed.is_available = lambda: False
    try:
        checks.is_torch_distributed_available()  # it remembers the answer
    finally:
        torch.distributed.is_available = available
    # It would execute the package's own file, to look up a few classes that aren't needed here.
    utils = sys.modules[f"{_TRANSFORMERS}.utils"]
    vars(utils)["direct_transformers_import"] = lambda _: sys.modules[_TRANSFORMERS]


class _Package(ModuleType):
    """A package whose own file isn't executed until it's needed.

    It isn't needed for modules of the package, nor for what the modules imported so far define.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        parent = sys.modules.get(name.rpartition(".")[0])
        found = PathFinder.find_spec(name, None if parent is None else parent.__path__)
        if found is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        self.__spec__, self.__file__, self.__package__ = found, found.origin, name
        self.__path__ = list(found.submodule_search_locations or ())

    def __getattr__(self, name: str) -> Any:
        if name == "__version__":
            return version(self.__name__)
        if name.startswith("__"):
            raise AttributeError(name)
        path = f"{self.__name__}.{name}"
        if PathFinder.find_spec(path, self.__path__) is not None:
            return importlib.import_module(path)
        for path, module in list(sys.modules.items()):
            if self._exports(path, module, name):
                return getattr(module, name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)

    def _exports(self, path: str, module: ModuleType, name: str) -> bool:
        """Return whether a module defines what the package has under a name, too."""
        parent = path.rpartition(".")[0]
        if parent == f"{_TRANSFORMERS}.models":  # the package of an architecture, with a list
            return name in vars(module).get("__all__", ())
        return parent == self.__name__ and path == getattr(vars(module).get(name), "__module__", 0)


@contextmanager
def postponed(names: Sequence[str]) -> Iterator[None]:
    """Put stand-ins in the place of modules that are imported in the block.

    After it, they are imported as usual, also if something is taken from a stand-in.

    Args:
        names: The modules; those that are imported already, or aren't installed, stay as they are.
    """
    finder = _StandInFinder([name for name in names if name not in sys.modules])
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for module in finder.made:
            module.stands_in = False
            del sys.modules[module.__name__]


class _StandInFinder(MetaPathFinder, Loader):
    """Makes stand-ins of modules, and of all modules in them."""

    def __init__(self, names: Sequence[str]) -> None:
        self.made: list[_StandIn] = []
        self._names, self._thread = names, threading.get_ident()

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        """Return the specification of a stand-in; None for other modules."""
        if threading.get_ident() != self._thread:  # others need the modules themselves
            return None
        if not any(f"{name}.".startswith(f"{one}.") for one in self._names):
            return None
        if PathFinder.find_spec(name.partition(".")[0]) is None:
            return None
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return a new stand-in."""
        self.made.append(module := _StandIn(spec.name))
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Execute nothing."""


class _StandIn(ModuleType):
    """The stand-in of a module."""

    stands_in = True

    def __getattr__(self, name: str) -> Any:
        if not self.stands_in:
            return getattr(importlib.import_module(self.__name__), name)
        if name.startswith("__"):
            raise AttributeError(name)
        return _unmarked if name in _MARKS else _Later(self.__name__, name)


def _unmarked(function: Any = None, *_: Any, **__: Any) -> Any:
    """Return a function as it is, or what does so, as a mark of the compiler is called."""
    return _unmarked if function is None else function


class _Later:
    """What a module defines; the module is imported when it is used."""

    def __init__(self, module: str, name: str) -> None:
        self._place = (module, name)

    def _get(self) -> Any:
        module, name = self._place
        return getattr(importlib.import_module(module), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._get()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._get(), name)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self._get())

    def __mro_entries__(self, _: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._get(),)

    def __or__(self, other: Any) -> Any:  # in annotations
        return self

    __ror__ = __or__
