# A worker that reads datagrams into the store: recvmmsg, no GIL, no allocation after its start.
#
# Owns: the vector of receive buffers. Borrows: the socket, which is bound and non-blocking and stays open until the
# worker has returned. Each buffer takes one datagram of up to 64 KiB, or, where the kernel has joined datagrams of one
# sender (UDP_GRO), up to 64 of them, with their size in a control message. The kernel's own count of what it dropped at
# this socket (SO_RXQ_OVFL) comes with each message; it counts what it received as one, so 1 may stand for 64 frames:
# the ledger is exact, this is a sign.

from libc.stdint cimport uint8_t, uint64_t

from fastcount.native.intake cimport intake_t

cdef enum:
    VECTOR = 16             # messages a recvmmsg; not tuned
    BUFFER = 65_536
    SCRATCH = 65_536        # records gathered before they are applied
    APPLY_AT = 8192         # … or as soon as there are this many: they stay in the L2 cache

cdef struct udp_t:
    intake_t intake
    int fd
    int wake                # eventfd
    void *vector            # mmsghdr and all it points to
    uint8_t *buffers
    uint64_t stopping       # (atomic)
    # statistics (atomic)
    uint64_t datagrams
    uint64_t frames         # datagrams after splitting
    uint64_t bytes
    uint64_t batches
    uint64_t kernel_drops
    uint64_t truncated
    uint64_t errors         # passing ones, from the socket

cdef int udp_init(udp_t *u, int fd) noexcept nogil   # 0, or errno
cdef void udp_free(udp_t *u) noexcept nogil
cdef int udp_run(udp_t *u) noexcept nogil            # until udp_stop: 0, or errno of what ended it
cdef void udp_stop(udp_t *u) noexcept nogil
