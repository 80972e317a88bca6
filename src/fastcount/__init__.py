"""fastcount: counts things at massive scale. `Client` and `AsyncClient` send; `fastcount serve` counts."""

from typing import TYPE_CHECKING

from fastcount.errors import FastcountError

if TYPE_CHECKING:
    from fastcount.aclient import AsyncClient
    from fastcount.client import Client

    __version__: str

__all__ = ["AsyncClient", "Client", "FastcountError", "__version__"]

# name → module, name there; the version is read from the package's metadata, which takes a while
_LAZY = {
    "AsyncClient": ("fastcount.aclient", "AsyncClient"),
    "Client": ("fastcount.client", "Client"),
    "__version__": ("fastcount.version", "VERSION"),
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, there = _LAZY[name]
    value = getattr(import_module(module), there)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
