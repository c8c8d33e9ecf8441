"""What to write instead: rules propose, trials decide, and only what won is told."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from tensortoll.advice.aliasing import Aliasing
from tensortoll.advice.bench import CannotTryError
from tensortoll.advice.budget import Clock
from tensortoll.advice.case import Case, Proposal, Script
from tensortoll.advice.rules import RULES
from tensortoll.advice.sharing import may_share
from tensortoll.advice.text import Text
from tensortoll.advice.trial import Result, tried, warned
from tensortoll.capture.patching import silenced
from tensortoll.capture.runtime.evidence import Evidence
from tensortoll.capture.text.names import Names
from tensortoll.capture.watch import current
from tensortoll.merging import fault_text
from tensortoll.model import Conversion, Finding, Place, Source
from tensortoll.recording import Recording

BUDGET_S: Final = 1.0
"""Time for all trials of one recording."""
WORTH_NS: Final = 100_000
"""So much time must be saved in all, or `WORTH_BYTES`: a tenth of a millisecond is what nobody
notices in a cell."""
WORTH_BYTES: Final = 65_536


def advised(
    recording: Recording,
    evidence: Evidence,
    namespace: Mapping[str, Any],
    *,
    budget_s: float = BUDGET_S,
) -> Recording:
    """Return a recording with findings: what to write instead, each tried out.

    To be called once the user's code has ended. Never raises: what goes wrong is a fault.

    Args:
        recording: Of the run.
        evidence: What the conversions were handed.
        namespace: The globals that the code ran in.
        budget_s: Time for trials; see `budget`.
    """
    if current() is not None:  # a watch of somebody else's: a trial would be counted as theirs
        return recording
    search = _Search(evidence, budget_s)
    try:
        with silenced():  # the user was warned when the code itself was compiled and run
            findings = tuple(search.findings(recording, namespace))
    except Exception as error:
        search.fault("advice", error)
        findings = ()
    faults = tuple(fault_text(why, 1) for why in search.faults)
    return replace(
        recording,
        findings=(*recording.findings, *sorted(findings, key=_order)),
        blind_spots=(*recording.blind_spots, *search.untried),
        faults=(*recording.faults, *faults),
    )


def _order(finding: Finding) -> tuple[int, int, int, str]:
    return -finding.saved_ns, -finding.saved_bytes, finding.line, finding.rule


class _Search:
    """One search for advice."""

    def __init__(self, evidence: Evidence, budget_s: float) -> None:
        self._evidence = evidence
        self._clock = Clock()
        self._budget_s = budget_s
        self._took: dict[tuple[Source, int], int] = {}
        self.untried: list[str] = []
        self.faults: list[str] = []

    def fault(self, where: str, error: BaseException) -> None:
        """Take note of a failure of our own."""
        self.faults.append(f"{where}: {type(error).__name__}: {error}"[:300])

    def findings(self, recording: Recording, namespace: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield what won."""
        self._took = {(one.source, one.line): one.elapsed_ns for one in recording.lines}
        proposals: list[_Alternatives] = []
        for source, rows in _by_source(recording).items():
            for case in self._cases(source, rows, namespace):
                proposals += self._proposals(case)
        won: list[Proposal] = []
        for number, alternatives in enumerate(_ordered(proposals)):
            left = len(proposals) - number
            now = self._clock.now()
            if now > self._budget_s:
                self.untried.append(
                    f"{counted(left, 'suggestion')} not tried: "
                    f"the {self._budget_s:g} s for trying ran out."
                )
                return
            # An expression inside of one that is to be written anew will be gone.
            if any(_is_inside(alternatives.case, alternatives.node, one.node) for one in won):
                continue
            share = now + (self._budget_s - now) * max(0.7, 1 / left)
            found = self._best(alternatives, share)
            if found is not None:
                finding, proposal = found
                won.append(proposal)
                yield finding

    def _cases(
        self, source: Source, rows: dict[Place, list[Conversion]], namespace: Mapping[str, Any]
    ) -> Iterator[Case]:
        try:
            text = Text(source)
        except (SyntaxError, ValueError, RecursionError):
            return
        names = Names(text.tree, namespace)
        script = Script(text, names, Aliasing(text, namespace), namespace)
        by_node: dict[Any, Case] = {}
        for place, found in rows.items():
            node = text.expression(place)
            if node is not None:
                facts = self._evidence.of(place)
                by_node[node] = Case(script, place, node, tuple(found), facts, by_node)
        yield from by_node.values()

    def _proposals(self, case: Case) -> Iterator[_Alternatives]:
        for rule in RULES:
            if case.script.text.is_ignored(case.place.line, rule.code):
                continue
            try:
                found = [one for one in rule.find(case) if may_share(case, one)]
            except Exception as error:
                self.fault(rule.code, error)
                continue
            if found:
                yield _Alternatives(case, tuple(found))

    def _best(
        self, alternatives: _Alternatives, deadline: float
    ) -> tuple[Finding, Proposal] | None:
        case = alternatives.case
        best: tuple[Proposal, Result] | None = None
        for one in alternatives.proposals:
            if one.warns:
                return _finding(case, one, warned(case, one), 0), one
            try:
                result = tried(case, one, self._clock, deadline)
            except CannotTryError as reason:
                line = case.place.line
                self.untried.append(f"line {line}: a suggestion was not tried: {reason}.")
                continue
            except Exception as error:
                self.fault(f"trying {one.rule}", error)
                continue
            if result.wins and (best is None or _saving(result) > _saving(best[1])):
                best = one, result
        if best is None:
            return None
        saved_ns = self._saved_ns(case, *best)
        if not _is_worth_telling(*best, saved_ns):
            return None
        return _finding(case, *best, saved_ns), best[0]

    def _saved_ns(self, case: Case, proposal: Proposal, result: Result) -> int:
        """Return the time that is saved in all: never more than the lines took that it is of.

        A trial touches memory for the first time, or runs while the machine is busy; the user's
        own line may have been luckier.
        """
        saved = result.saved_ns * proposal.count
        lines = range(case.place.line, case.place.end_line + 1)
        took = sum(self._took.get((case.place.source, line), 0) for line in lines)
        # What another line is to be changed for is saved there too.
        return min(saved, took) if took and not proposal.told else saved


class _Alternatives(NamedTuple):
    """What one rule proposes for one expression: the best of them is told."""

    case: Case
    proposals: tuple[Proposal, ...]

    @property
    def node(self) -> ast.expr:
        """What is to be written anew."""
        return self.proposals[0].node

    @property
    def weight(self) -> int:
        """How much there is to save, roughly."""
        rows = self.case.rows
        return sum(one.totals.bytes_written + one.totals.elapsed_ns for one in rows)


def _ordered(proposals: list[_Alternatives]) -> list[_Alternatives]:
    """Return the heaviest first, as time may run out; but what holds another before that one."""

    def heaviest(one: _Alternatives) -> int:
        return max(
            two.weight
            for two in proposals
            if two.node is one.node
            or _is_inside(one.case, one.node, two.node)
            or _is_inside(two.case, two.node, one.node)
        )

    def depth(one: _Alternatives) -> int:
        return sum(1 for _ in one.case.script.text.around(one.node))

    return sorted(proposals, key=lambda one: (-heaviest(one), depth(one)))


def _is_inside(case: Case, node: ast.AST, other: ast.AST) -> bool:
    return any(one is other for one in case.script.text.around(node))


def counted(number: int, noun: str) -> str:
    """Return `1 suggestion was`, `3 suggestions were`."""
    return f"{number} {noun} was" if number == 1 else f"{number} {noun}s were"


def _saving(result: Result) -> tuple[int, int]:
    return result.saved_ns, result.saved_bytes


def _is_worth_telling(proposal: Proposal, result: Result, saved_ns: int) -> bool:
    saved_bytes = result.saved_bytes * proposal.count
    return saved_ns >= WORTH_NS or saved_bytes >= WORTH_BYTES


def _finding(case: Case, proposal: Proposal, result: Result, saved_ns: int) -> Finding:
    saved_bytes = result.saved_bytes * proposal.count
    caveats = proposal.caveats
    if result.rounding:
        caveats = (*caveats, f"results differ by up to {result.rounding:.0e} of their size")
    text = case.script.text
    suggestion = proposal.told or proposal.new
    if not proposal.told and proposal.hoisted_from is None:
        suggestion = text.replaced(proposal.node, proposal.new)
    return Finding(
        rule=proposal.rule,
        source=case.place.source,
        line=case.place.line,
        title=proposal.title,
        suggestion=suggestion,
        verified=result.proven,
        saved_bytes=saved_bytes,
        saved_ns=saved_ns,
        caveats=caveats,
    )


def _by_source(recording: Recording) -> dict[Source, dict[Place, list[Conversion]]]:
    found: dict[Source, dict[Place, list[Conversion]]] = {}
    for one in recording.conversions:
        place = one.route.place
        if place.source.text and one.route.outcome != "failed":
            found.setdefault(place.source, {}).setdefault(place, []).append(one)
    return found
