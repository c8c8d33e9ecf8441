"""`tensortoll explain`: a rule's cause, cure and caveats, with an example that runs."""

from __future__ import annotations

import argparse
import textwrap

from tensortoll.advice.rules import RULES
from tensortoll.advice.rules.rule import Rule
from tensortoll.errors import TensortollError

WIDTH = 88


class ExplainCommand:
    """Tell what a rule finds, why it costs, and what to write instead.

    Without a rule, all of them are listed.

    Examples:
      tensortoll explain
      tensortoll explain TT101

    Exit status: 0 if all went well, 2 if there is no such rule.
    """

    name = "explain"

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's options."""
        parser.add_argument("rule", nargs="?", metavar="RULE", help="a code, as in TT101")

    def run(self, options: argparse.Namespace) -> int:
        """Print the explanation."""
        if options.rule is None:
            for rule in sorted(RULES, key=lambda one: one.code):
                print(f"{rule.code}  {rule.title}")
            return 0
        known = {rule.code: rule for rule in RULES}
        wanted = options.rule.upper()
        if wanted not in known:
            msg = f"there is no rule {options.rule!r}. Known are: {', '.join(sorted(known))}"
            raise TensortollError(msg)
        print(explained(known[wanted]))
        return 0


def explained(rule: Rule) -> str:
    """Return all that is to be said of a rule."""
    parts = [f"{rule.code}: {rule.title}", *map(_filled, (rule.cause, rule.cure))]
    if rule.caveats:
        parts.append("\n".join(textwrap.fill(f"- {one}", WIDTH) for one in rule.caveats))
    parts.append(textwrap.indent(rule.example.strip(), "    "))
    return "\n\n".join(parts)


def _filled(text: str) -> str:
    return textwrap.fill(text, WIDTH)
