"""How a provider names accounts: from people's names to remote ids, and what an id says by
itself. Asks nobody."""

from __future__ import annotations

__all__ = ["Names"]


class Names:
    """The names of one server's accounts."""

    own_id: str = ""
    """The acting account's remote user id."""
    server_name: str = ""
    """The connected server's own name."""

    def identify(self, username: str, taken: frozenset[str]) -> str:
        """The remote user id for a person without a linked account, not one of ``taken``. Raises
        `ValueError` when there is none."""
        raise NotImplementedError

    def whereabouts(self, remote_user_id: str) -> str:
        """Whose account it would be: ``here`` (this server's), ``elsewhere`` (another server's,
        so that it can only be invited), or ``nowhere``: the text is no id at all."""
        return "here"
