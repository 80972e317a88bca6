"""The native UDP worker."""

from typing import final

from fastcount._core import Store

@final
class UdpReceiver:
    """Reads datagrams from a bound, non-blocking UDP socket into the store without the GIL (Linux).

    The caller owns the socket and keeps it open until `run` has returned.
    """

    def __init__(self, store: Store, fileno: int) -> None: ...
    def run(self) -> None:
        """Receive until `stop`; to be called in a thread of its own. Raises OSError if the socket fails."""
    def stop(self) -> None:
        """Ask `run` to return after what the kernel holds was read. From any thread, any number of times."""
    def stats(self) -> dict[str, int]:
        """datagrams, frames, bytes, batches, kernel_drops, truncated, errors."""
