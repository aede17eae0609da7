"""The registry of providers, by entry point (group ``commweb.providers``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points

from commweb.errors import MisuseError
from commweb.providers.base import Provider

__all__ = ["ENTRY_POINT_GROUP", "Registry", "installed"]

ENTRY_POINT_GROUP = "commweb.providers"


class Registry:
    """The providers of one app, in the order they are shown."""

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._providers: dict[str, Provider] = {}
        for provider in providers:
            if provider.id in self._providers:
                raise MisuseError(f"Two providers are named {provider.id!r}.")
            self._providers[provider.id] = provider

    def __iter__(self) -> Iterator[Provider]:
        return iter(self._providers.values())

    def __contains__(self, provider_id: object) -> bool:
        return provider_id in self._providers

    def get(self, provider_id: str) -> Provider | None:
        """The provider with this id, or None."""
        return self._providers.get(provider_id)


def installed() -> Registry:
    """A new instance of every provider that an installed package names as an entry point.

    Raises `MisuseError` when an entry point does not name a `Provider` with its own id.
    """
    providers: list[Provider] = []
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        made = point.load()
        if not (isinstance(made, type) and issubclass(made, Provider) and made.id == point.name):
            raise MisuseError(
                f"The entry point {point.name!r} in {ENTRY_POINT_GROUP} must name a subclass of "
                f"commweb.providers.base.Provider whose id is {point.name!r}."
            )
        providers.append(made())
    return Registry(sorted(providers, key=lambda provider: (not provider.has_rooms, provider.id)))
