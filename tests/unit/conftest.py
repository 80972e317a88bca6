"""What several unit tests begin with."""

from collections.abc import Iterator

import pytest
from udp_peer import Peer


@pytest.fixture
def peer() -> Iterator[Peer]:
    """The other end of a client under test."""
    peer = Peer()
    yield peer
    peer.close()
