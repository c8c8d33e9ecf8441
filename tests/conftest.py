"""After every test, nothing of ours is left in the process: not in libraries, not in Python."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import entry_points
from types import FunctionType
from typing import Any

import pytest

from tensortoll.capture import watch
from tensortoll.capture.hazards import writes
from tensortoll.capture.rewriting.handing import HANDED
from tensortoll.capture.runtime.expressions import RUNNING
from tensortoll.capture.text.sources import is_own

pytest_plugins = ["pytester"]

OWNERS = (
    "warnings",
    "multiprocessing.process:BaseProcess",
    "jax",
    "jax.numpy",
    "jax.dlpack",
    "jax._src.array:ArrayImpl",
    "jax._src.core:EvalTrace",
    "jax._src.core:ShapedArray",
    "jax._src.interpreters.pxla",
    "torch",
    "torch._C",
    "torch:Tensor",
    "torch._C:TensorBase",
    "torch.utils.data._utils.collate:default_collate_fn_map",
    "tensorflow.python.pywrap_tfe",
    "tensorflow.python.framework.constant_op",
    "tensorflow.python.framework.ops",
    "tensorflow.python.framework.ops:EagerTensor",
    "tensorflow.python.framework.ops:_EagerTensorBase",
    "tensorflow.python.framework.tensor_conversion_registry",
    "tensorflow.python.ops.resource_variable_ops:BaseResourceVariable",
    "tensorflow.python.ops.script_ops",
    "tensorflow.python.ops.script_ops:FuncRegistry",
)
"""Modules, and classes in them, that probes change while a watch is on."""
NAMED = {
    "torch._C:_from_dlpack",
    "torch._C:_to_dlpack",
    "torch:frombuffer",
    "torch:Tensor.numpy",
    "torch:Tensor.__array__",
    "torch:Tensor.tolist",
    "torch:Tensor.item",
    "jax.numpy:asarray",
    "jax:device_put",
    "jax._src.core:EvalTrace.process_primitive",
    "tensorflow.python.framework.constant_op:convert_to_eager_tensor",
    "tensorflow.python.pywrap_tfe:TFE_Py_FastPathExecute",
    "tensorflow.python.pywrap_tfe:TFE_Py_Execute",
    "tensorflow.python.framework.ops:EagerTensor.__init__",
}
"""Functions that must be the very ones that were there before."""
KERNELS = ("aten::copy_", "aten::lift_fresh")
_originals: dict[str, Any] = {}


def _found(path: str) -> Any:
    """Return `module:attribute.attribute` if the module is loaded to its end, else None."""
    name, _, attributes = path.partition(":")
    found: Any = sys.modules.get(name)
    if found is None or getattr(found.__spec__, "_initializing", False):
        return None
    for attribute in filter(None, attributes.split(".")):
        found = getattr(found, attribute, None)
    return found


def _left_in(owner: object) -> Iterator[str]:
    members = owner if isinstance(owner, dict) else vars(owner)
    for name, value in tuple(members.items()):
        function = value.__func__ if type(value) in (staticmethod, classmethod) else value
        if type(function) is FunctionType and is_own(function.__code__.co_filename):
            yield f"{getattr(owner, '__name__', 'a table')}.{name}"


def _kernels() -> dict[str, list[str]]:
    """Return what is registered for the operators that the torch probe overrides."""
    torch = sys.modules.get("torch")
    if torch is None or _found("torch") is None:
        return {}
    return {one: sorted(torch._C._dispatch_dump(one).splitlines()) for one in KERNELS}


def _now() -> dict[str, Any]:
    state = {path: found for path in NAMED if (found := _found(path)) is not None}
    return {**state, **_kernels()}


@pytest.fixture(autouse=True)
def nothing_stays_installed() -> Iterator[None]:
    """Fail the test that leaves anything of a watch behind."""
    for name, value in _now().items():
        _originals.setdefault(name, value)
    # Arrays that an earlier test left alive may share memory, as those of earlier cells do.
    writes._ALIASES.clear()
    yield
    left = watch.current()
    if left is not None:
        left.stop()  # or every later test would fail as well
    owners = [owner for path in OWNERS if (owner := _found(path)) is not None]

    assert left is None, "a watch was still on"
    assert RUNNING.recorder is None
    assert {} == RUNNING.describers
    assert HANDED.to is None
    assert [] == [name for owner in owners for name in _left_in(owner)]
    assert [] == [one for one in sys.meta_path if type(one).__module__.startswith("tensortoll")]
    assert [] == [one for one in warnings.filters if one == ("ignore", None, Warning, None, 0)]
    for name, value in _now().items():
        if name not in KERNELS:
            assert _originals.setdefault(name, value) is value, f"{name} is not the original"
        else:
            assert _originals.setdefault(name, value) == value


@pytest.fixture(scope="session")
def plugin() -> tuple[str, ...]:
    """Return the options that put our pytest plugin on, for runs inside of this one.

    An environment that was made before the entry point was there does not find it by itself.
    """
    known = any(one.value == "tensortoll.pytest_plugin" for one in entry_points(group="pytest11"))
    return () if known else ("-p", "tensortoll.pytest_plugin")


@pytest.fixture
def shell() -> Iterator[Any]:
    """Return a new shell of IPython with the extension loaded, an empty history and no colours."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    settings = Config()
    settings.HistoryManager.hist_file = ":memory:"
    settings.InteractiveShell.colors = "nocolor"
    before = sys.excepthook, sys.displayhook, sys.modules["__main__"]
    made = InteractiveShell.instance(config=settings)
    made.run_line_magic("load_ext", "tensortoll")
    yield made
    if "tensortoll" in made.extension_manager.loaded:
        made.run_line_magic("unload_ext", "tensortoll")
    made.history_manager.end_session()
    made.restore_sys_module_state()
    InteractiveShell.clear_instance()
    sys.excepthook, sys.displayhook, sys.modules["__main__"] = before
