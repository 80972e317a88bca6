"""fastcount: counts things at massive scale. `Client` and `AsyncClient` send; `fastcount serve` counts."""

from typing import TYPE_CHECKING

from fastcount.errors import FastcountError

if TYPE_CHECKING:
    from fastcount.aclient import AsyncClient
    from fastcount.client import Client

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "FastcountError", "__version__"]

_LAZY = {"AsyncClient": "fastcount.aclient", "Client": "fastcount.client"}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
