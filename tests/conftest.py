"""After every test, nothing of ours is left in the process: not in libraries, not in Python."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

TORCH_TENSOR = (
    "numpy __array__ tolist item __float__ __int__ __bool__ __index__ __complex__ __dlpack__"
).split()
TORCH_C = "_to_dlpack _to_dlpack_versioned _from_dlpack".split()
KERNELS = ("aten::copy_", "aten::lift_fresh")
TENSORFLOW = {
    "tensorflow.python.framework.constant_op": ("convert_to_eager_tensor",),
    "tensorflow.python.framework.ops": ("EagerTensor", "convert_to_tensor"),
    "tensorflow.python.framework.tensor_conversion_registry": ("convert",),
    "tensorflow.python.pywrap_tfe": ("TFE_Py_FastPathExecute", "TFE_Py_Execute"),
}
_ABSENT = "absent"


def _state() -> dict[str, Any]:
    """Return everything that a watch may change, of the libraries that are loaded."""
    state: dict[str, Any] = {
        "warnings._showwarnmsg": warnings._showwarnmsg,  # type: ignore[attr-defined]
        "sys.meta_path": [finder for finder in sys.meta_path if _is_ours(finder)],
        "warnings.filters": [one for one in warnings.filters if one[2] is Warning and one[0] == "ignore"],
    }
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "frombuffer"):
        state["torch.frombuffer"] = torch.frombuffer
        for name in TORCH_TENSOR:
            state[f"torch.Tensor.{name}"] = vars(torch.Tensor).get(name, _ABSENT)
        for name in TORCH_C:
            state[f"torch._C.{name}"] = getattr(torch._C, name, _ABSENT)
        for kernel in KERNELS:
            state[kernel] = _registered(torch._C._dispatch_dump(kernel))
    for module, names in TENSORFLOW.items():
        loaded = sys.modules.get(module)
        if loaded is not None and not loaded.__spec__._initializing:
            state |= {f"{module}.{name}": getattr(loaded, name, _ABSENT) for name in names}
    return state


def _is_ours(finder: object) -> bool:
    return type(finder).__module__.startswith("tensortoll")


def _registered(dump: str) -> list[str]:
    """Return the kernels of an operator, without their addresses."""
    return sorted(line for line in dump.splitlines() if "registered at" in line or "Python" in line)


_before: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def nothing_stays_installed() -> Iterator[None]:
    """Fail the test that leaves anything of a watch behind."""
    for name, value in _state().items():
        _before.setdefault(name, value)
    yield
    from tensortoll.capture import watch
    from tensortoll.capture.expressions import RUNNING

    left = watch.current()
    if left is not None:
        left.stop()  # or every later test would fail as well
    for name, value in _state().items():
        known = _before.setdefault(name, value)
        assert known == value, f"{name} is not as it was"
    assert left is None, "a watch was still on"
    assert RUNNING.recorder is None
    assert not RUNNING.describers


@pytest.fixture
def shell() -> Iterator[Any]:
    """Return a new shell of IPython with the extension loaded, an empty history and no colours."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    settings = Config()
    settings.HistoryManager.hist_file = ":memory:"
    settings.InteractiveShell.colors = "NoColor"
    before = sys.excepthook, sys.displayhook, sys.modules["__main__"]
    made = InteractiveShell.instance(config=settings)
    made.run_line_magic("load_ext", "tensortoll")
    yield made
    made.run_line_magic("unload_ext", "tensortoll")
    made.history_manager.end_session()
    made.restore_sys_module_state()
    InteractiveShell.clear_instance()
    sys.excepthook, sys.displayhook, sys.modules["__main__"] = before
