"""See udp.pxd."""

from libc.errno cimport EAGAIN, EBADF, EINTR, EINVAL, ENOMEM, ENOTSOCK, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset
from posix.unistd cimport close, write

from fastcount.native.atomic cimport fc_count, fc_load, fc_store
from fastcount.native.frame cimport frame_t
from fastcount.native.intake cimport intake_apply, intake_frame, monotonic_ns
from fastcount.native.ledger cimport address_t
from fastcount.native.shard cimport scratch_free, scratch_reserve, store_enter, store_leave

cdef extern from * nogil:
    """
    #include <errno.h>
    #include <netinet/in.h>
    #include <poll.h>
    #include <string.h>
    #include <sys/eventfd.h>
    #include <sys/socket.h>

    #ifndef UDP_GRO
    #define UDP_GRO 104
    #endif
    #ifndef SOL_UDP
    #define SOL_UDP 17
    #endif

    #define FC_CONTROL 128

    typedef struct {
        struct mmsghdr headers[64];
        struct iovec parts[64];
        struct sockaddr_storage senders[64];
        _Alignas(8) char control[64][FC_CONTROL];
    } fc_vector;

    /* lengths are in-out, so they are set anew before every call */
    static void fc_vector_prepare(fc_vector *v, unsigned char *buffers, unsigned n, size_t size) {
        for (unsigned i = 0; i < n; i++) {
            struct msghdr *m = &v->headers[i].msg_hdr;
            v->parts[i].iov_base = buffers + i * size;
            v->parts[i].iov_len = size;
            m->msg_iov = &v->parts[i];
            m->msg_iovlen = 1;
            m->msg_name = &v->senders[i];
            m->msg_namelen = sizeof v->senders[i];
            m->msg_control = v->control[i];
            m->msg_controllen = FC_CONTROL;
            m->msg_flags = 0;
        }
    }
    static int fc_receive(int fd, fc_vector *v, unsigned n) {
        return recvmmsg(fd, v->headers, n, MSG_DONTWAIT, NULL);
    }
    static uint32_t fc_message_size(fc_vector *v, int i) { return v->headers[i].msg_len; }
    static int fc_message_truncated(fc_vector *v, int i) { return (v->headers[i].msg_hdr.msg_flags & MSG_TRUNC) != 0; }

    /* the size of the datagrams that were joined (0: one datagram), and the kernel's drop count if it came along */
    static uint32_t fc_message_segment(fc_vector *v, int i, uint32_t *drops) {
        uint32_t segment = 0;
        struct msghdr *m = &v->headers[i].msg_hdr;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
            int number;
            if (c->cmsg_len < CMSG_LEN(sizeof number)) continue;
            memcpy(&number, CMSG_DATA(c), sizeof number);
            if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) segment = number > 0 ? (uint32_t)number : 0;
            if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) *drops = (uint32_t)number;
        }
        return segment;
    }
    /* the sender in the form of fastcount.address; returns the length */
    static int fc_message_sender(fc_vector *v, int i, unsigned char out[23]) {
        struct sockaddr_storage *a = &v->senders[i];
        if (v->headers[i].msg_hdr.msg_namelen == 0) return 0;
        if (a->ss_family == AF_INET) {
            struct sockaddr_in *in = (struct sockaddr_in *)a;
            out[0] = '4';
            memcpy(out + 1, &in->sin_addr, 4);
            memcpy(out + 5, &in->sin_port, 2);
            return 7;
        }
        if (a->ss_family == AF_INET6) {
            struct sockaddr_in6 *in = (struct sockaddr_in6 *)a;
            if (IN6_IS_ADDR_V4MAPPED(&in->sin6_addr)) {
                out[0] = '4';
                memcpy(out + 1, in->sin6_addr.s6_addr + 12, 4);
                memcpy(out + 5, &in->sin6_port, 2);
                return 7;
            }
            out[0] = '6';
            memcpy(out + 1, &in->sin6_addr, 16);
            memcpy(out + 17, &in->sin6_port, 2);
            return 19;
        }
        return 0;
    }
    /* until the socket or the eventfd has something, or `ms` went by */
    static int fc_wait(int fd, int wake, int ms) {
        struct pollfd p[2] = {{fd, POLLIN, 0}, {wake, POLLIN, 0}};
        int n = poll(p, 2, ms);
        return n > 0 && (p[0].revents & POLLNVAL) ? -1 : 0;
    }
    """
    ctypedef struct fc_vector:
        pass
    int EFD_CLOEXEC, EFD_NONBLOCK
    int eventfd(unsigned int, int)
    void fc_vector_prepare(fc_vector *v, uint8_t *buffers, unsigned int n, size_t size)
    int fc_receive(int fd, fc_vector *v, unsigned int n)
    uint32_t fc_message_size(fc_vector *v, int i)
    int fc_message_truncated(fc_vector *v, int i)
    uint32_t fc_message_segment(fc_vector *v, int i, uint32_t *drops)
    int fc_message_sender(fc_vector *v, int i, uint8_t *out)
    int fc_wait(int fd, int wake, int ms)

cdef enum:
    LAST_READ_NS = 30_000_000_000  # of a flood, after udp_stop; who stops it gives up sooner, and says so


cdef int udp_init(udp_t *u, int fd) noexcept nogil:
    memset(u, 0, sizeof(udp_t))
    u.fd = fd
    u.vector = calloc(1, sizeof(fc_vector))
    u.buffers = <uint8_t *>malloc(VECTOR * BUFFER)
    u.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
    if u.vector == NULL or u.buffers == NULL or u.wake < 0 or scratch_reserve(&u.intake.scratch, SCRATCH) < 0:
        udp_free(u)
        return ENOMEM
    return 0


cdef void udp_free(udp_t *u) noexcept nogil:
    free(u.vector)
    free(u.buffers)
    scratch_free(&u.intake.scratch)
    if u.wake >= 0:
        close(u.wake)
    u.vector = NULL
    u.buffers = NULL
    u.wake = -1


cdef void udp_stop(udp_t *u) noexcept nogil:
    cdef uint64_t one = 1
    fc_store(&u.stopping, 1)
    write(u.wake, &one, sizeof(one))


cdef void message(udp_t *u, fc_vector *v, int i, int gen, uint64_t now) noexcept nogil:
    """One message: a datagram, or several of the same size (the last may be shorter) one behind the other."""
    cdef uint8_t *p = u.buffers + i * BUFFER
    cdef uint32_t left = fc_message_size(v, i), drops = <uint32_t>u.kernel_drops
    cdef uint32_t segment = fc_message_segment(v, i, &drops)
    cdef uint32_t size
    cdef address_t sender
    cdef frame_t f
    fc_count(&u.datagrams, 1)
    fc_count(&u.bytes, left)
    if fc_message_truncated(v, i):
        fc_count(&u.truncated, 1)
    # 32 bits that wrap: the difference is right
    fc_count(&u.kernel_drops, <uint32_t>(drops - <uint32_t>u.kernel_drops))
    sender.length = <uint8_t>fc_message_sender(v, i, sender.bytes)
    if segment == 0 or segment > left:
        segment = left
    if u.intake.gathered + left // 2 + 1 > SCRATCH:
        intake_apply(&u.intake, u.buffers, gen)
    while True:
        size = segment if segment < left else left
        fc_count(&u.frames, 1)
        intake_frame(&u.intake, u.buffers, p, size, &sender, now, &f)
        p += size
        left -= size
        if left == 0:
            break
    if u.intake.gathered >= APPLY_AT:
        intake_apply(&u.intake, u.buffers, gen)


cdef int udp_run(udp_t *u) noexcept nogil:
    cdef fc_vector *v = <fc_vector *>u.vector
    cdef uint64_t now = 0, deadline = 0
    cdef int n, i, gen
    while True:
        if deadline and now > deadline:  # before the read: what was received is counted
            return 0
        fc_vector_prepare(v, u.buffers, VECTOR, BUFFER)
        n = fc_receive(u.fd, v, VECTOR)
        now = monotonic_ns()
        if deadline == 0 and fc_load(&u.stopping):
            deadline = now + LAST_READ_NS
        if n > 0:
            fc_count(&u.batches, 1)
            gen = store_enter(u.intake.store)
            for i in range(n):
                message(u, v, i, gen, now)
            intake_apply(&u.intake, u.buffers, gen)
            store_leave(u.intake.store, gen)
        elif errno == EAGAIN:
            if deadline:
                return 0
            if fc_wait(u.fd, u.wake, -1) < 0:
                return EBADF
        elif errno == EBADF or errno == ENOTSOCK or errno == EINVAL:
            return errno
        elif errno != EINTR:  # ECONNREFUSED, ENOBUFS, …: of one packet, and passing
            fc_count(&u.errors, 1)
            fc_wait(u.fd, u.wake, 1)
