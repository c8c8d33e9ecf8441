"""Stand-ins for what an expression names, and what may be run on them.

Nothing of the user's is touched: what their expression names is replaced by stand-ins, and only
calls are run that are known to convert, to look or to lay out, and to do nothing else.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from tensortoll.advice import standins
from tensortoll.advice.case import SHORT, Case
from tensortoll.advice.standins import CannotMakeError, Drawing, Layer, Likeness
from tensortoll.capture.arrays.facts import Held
from tensortoll.capture.running import run

NAME: Final = "<trial>"
MOST_BYTES: Final = 512 * 1024 * 1024
"""Memory for the stand-ins of one trial."""
SHARE_OF_MEMORY: Final = 4
"""A trial takes no more than one part in so many of the memory that is free."""
PURE: Final = frozenset(
    (
        "tensor as_tensor asarray asanyarray array from_numpy frombuffer ascontiguousarray "
        "asfortranarray stack constant convert_to_tensor cast identity to type float double half "
        "bfloat16 int long short bool byte char clone contiguous copy astype reshape ravel "
        "flatten transpose permute t view squeeze unsqueeze expand_dims swapaxes moveaxis numpy "
        "detach cpu cuda tolist item from_dlpack device_put vstack concatenate cat Identity "
        "DoubleTensor FloatTensor LongTensor IntTensor HalfTensor Tensor require read_value "
        "to_numpy flip flipud fliplr float32 float64 int64 int32 float16 pin_memory "
        "convert_to_numpy zeros ones full linspace eye identity list split"
    ).split()
)
"""Names of calls that may be run again."""
BUILTIN: Final = frozenset(("bool", "float", "int", "list"))


class CannotTryError(Exception):
    """Says why two forms can't be compared."""


class Bench:
    """The stand-ins, and what runs on them."""

    def __init__(self, case: Case, facts: Mapping[str, Likeness], *, ranged: bool = False) -> None:
        """Start empty.

        Args:
            case: The expression as it was run.
            facts: What is known of what stands in it, by how it is written.
            ranged: Whether the values of the arrays are to be of the range that the user's had.
        """
        self._case = case
        self._facts = facts
        self._ranged = ranged
        self._wanted: dict[str, Likeness] = {}
        self.namespace: dict[str, Any] = {}

    def prepared(self, node: ast.expr) -> ast.expr:
        """Return an expression with stand-ins for what it names.

        Raises:
            CannotTryError: If it may do something else than convert.
        """
        again = ast.parse(ast.unparse(node), mode="eval").body
        changed: ast.expr = _Replacing(self).visit(again)
        return ast.fix_missing_locations(changed)

    def stand_in(self, written: str) -> ast.expr | None:
        """Return the name of the stand-in for what is written so; None where none is known."""
        fact = self._facts.get(written)
        if fact is None:
            return None
        name = f"_{list(self._facts).index(written)}"
        self._wanted[name] = fact
        return ast.Name(name, ast.Load())

    def may_call(self, node: ast.Call) -> bool:
        """Say whether a call does nothing but convert, look or lay out, or is one of a stand-in."""
        if _name(node) in PURE:
            return True
        receiver = getattr(node.func, "value", None)
        drawn = None if receiver is None else self._facts.get(ast.unparse(receiver))
        called = self._facts.get(ast.unparse(node.func))
        return isinstance(called, Layer) or isinstance(drawn, Drawing)

    def library(self, node: ast.Name) -> bool:
        """Make a library's name known under which the source has it; say whether it is one."""
        script = self._case.script
        known = script.names.resolve(node)
        if known is None and node.id not in script.namespace:
            if node.id in BUILTIN:
                return True
            known = next((home for home, name in SHORT.items() if name == node.id), None)
        if known is None:
            return False
        module, _, rest = known.partition(".")
        found: Any = sys.modules.get(module)
        for part in filter(None, rest.split(".")):
            found = getattr(found, part, None)
        if found is None or module not in {"numpy", "torch", "tensorflow", "jax", "keras", "copy"}:
            return False
        self.namespace[node.id] = found
        return True

    @property
    def nbytes(self) -> int:
        """How much memory the stand-ins take, about."""
        return sum(map(standins.needed_bytes, self._wanted.values()))

    def fill(self) -> None:
        """Make the stand-ins.

        Raises:
            CannotTryError: If they would take too much memory, or can't be made.
        """
        needed = self.nbytes
        if needed > min(MOST_BYTES, _free_bytes() // SHARE_OF_MEMORY):
            msg = f"its arrays of {needed // 1_000_000:,} MB are too large to make again"
            raise CannotTryError(msg)
        try:
            for name, fact in self._wanted.items():
                self.namespace[name] = standins.made(fact, ranged=self._ranged)
        except CannotMakeError as error:
            raise CannotTryError(str(error)) from error
        except (MemoryError, RuntimeError) as error:  # a device may be full
            msg = f"its arrays could not be made again: {error}"
            raise CannotTryError(msg) from error

    def watched(self, turns: int, **nodes: ast.expr) -> list[int]:
        """Run expressions in turn, keep their results by name, and say what each writes, in bytes.

        Args:
            turns: How many times; the mean is told.
            nodes: The expressions.

        Raises:
            CannotTryError: If one fails.
        """
        lines = [f"{name} = {ast.unparse(node)}" for name, node in nodes.items()] * turns
        try:
            outcome = run("\n".join(lines), NAME, self.namespace)
        except SyntaxError as error:  # an expression over several lines
            raise CannotTryError(str(error)) from error
        if outcome.error is not None:
            msg = f"it raised {type(outcome.error).__name__}: {outcome.error}"
            raise CannotTryError(msg) from outcome.error
        of_line = outcome.recording.of_line
        written = [
            sum(one.totals.bytes_written for one in of_line(number + 1))
            for number in range(len(lines))
        ]
        return [sum(written[number :: len(nodes)]) // turns for number in range(len(nodes))]

    def wait(self, result: Any) -> None:
        """Wait until what was begun is done: a result of JAX's, and every device of torch's."""
        if type(result).__module__.startswith("jax"):
            result.block_until_ready()
        held = (one for one in self._wanted.values() if isinstance(one, Held))
        if any(one.library == "torch" and one.device not in {"cpu", "meta"} for one in held):
            accelerator: Any = sys.modules["torch"].accelerator
            with suppress(RuntimeError):  # one that can't be waited for has nothing begun
                accelerator.synchronize()


class _Replacing(ast.NodeTransformer):
    """Puts stand-ins in place of what an expression names."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._bound: set[str] = set()

    def visit(self, node: ast.AST) -> Any:
        """Replace the largest part that there is a stand-in for."""
        if isinstance(node, ast.expr):
            found = self._bench.stand_in(ast.unparse(node))
            if found is not None:
                return found
            if isinstance(node, ast.Call) and not self._bench.may_call(node):
                msg = f"`{_name(node)}(…)` may do more than convert"
                raise CannotTryError(msg)
            if isinstance(node, ast.ListComp):
                targets = (one.target for one in node.generators)
                self._bound.update(one.id for one in targets if isinstance(one, ast.Name))
            if isinstance(node, ast.NamedExpr | ast.Await | ast.Lambda):
                msg = f"`{ast.unparse(node)}` can't be run again"
                raise CannotTryError(msg)
        bound = isinstance(node, ast.Name) and node.id in self._bound
        if isinstance(node, ast.Name) and not bound and not self._bench.library(node):
            msg = f"nothing is known of `{node.id}`"
            raise CannotTryError(msg)
        return super().visit(node)


def _name(node: ast.Call) -> str:
    return str(getattr(node.func, "attr", None) or getattr(node.func, "id", ""))


def _free_bytes() -> int:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return MOST_BYTES * SHARE_OF_MEMORY
