"""The notebook's front end: `%%tensorcost`, `%tensorcost`, `%convcheck`."""

from __future__ import annotations

from IPython.core.interactiveshell import InteractiveShell

from tensortoll.magics.session import Session
from tensortoll.magics.tensorcost import TensorcostMagics

_SESSION = "_tensortoll_session"


def register(shell: InteractiveShell) -> None:
    """Make the magics known to ``shell``; doing so again starts anew."""
    before = session_of(shell)
    unregister(shell)
    session = Session(shell)
    session.sink = None if before is None else before.sink
    session.install()
    setattr(shell, _SESSION, session)
    shell.register_magics(TensorcostMagics(shell, session))


def unregister(shell: InteractiveShell) -> None:
    """Take everything of ours out of ``shell``."""
    session = vars(shell).pop(_SESSION, None)
    if isinstance(session, Session):
        session.uninstall()
        for kind, names in TensorcostMagics.names.items():
            for name in names:
                shell.magics_manager.magics[kind].pop(name, None)


def session_of(shell: InteractiveShell) -> Session | None:
    """Return the session of ``shell``, or None where the extension is not loaded."""
    session = vars(shell).get(_SESSION)
    return session if isinstance(session, Session) else None
