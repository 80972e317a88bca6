"""What is compared of a store and its twin, in one shape for both."""

from collections.abc import Callable
from typing import Any

from fastcount.errors import FrameError, InvalidName, LimitReached
from twin.store import TwinStore


def outcome(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a call returns, or what it raises and the parts of that which are promised."""
    try:
        result = call(*args, **kwargs)
    except FrameError as error:
        return FrameError, error.code, error.offset
    except LimitReached as error:
        return LimitReached, error.limit
    except (InvalidName, OverflowError) as error:
        return type(error)
    except ValueError:
        return ValueError
    return tuple(result) if isinstance(result, tuple) else result


def rows(store: Any) -> dict[tuple[str | None, str], dict[str, object]]:
    """The loss ledger by (source, address), without what time does to it. Checks the promised order."""
    listed = store.sources(1_000_000)
    assert [row["lost"] for row in listed] == sorted((row["lost"] for row in listed), reverse=True)
    by_key = {(row["source"], row["address"]): {k: v for k, v in row.items() if k != "idle_s"} for row in listed}
    assert len(by_key) == len(listed)
    assert all(row["idle_s"] >= 0 for row in listed)
    return by_key


def figures(store: Any) -> dict[str, Any]:
    """The counters of `stats` that a twin has as well."""
    return _like(_SHAPE, store.stats())


_SHAPE = TwinStore().stats() | {"types": {}}


def _like(shape: dict[str, Any], stats: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _like(part, stats[key]) if isinstance(part, dict) and part else stats[key] for key, part in shape.items()
    }
