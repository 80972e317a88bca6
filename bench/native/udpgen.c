/* udpgen: sends frames of wire version 1 (docs/wire-format.md) over UDP at a given rate.
 *
 * Records are built before the clock starts. Every frame sits in a slot of its own, header right-aligned before the
 * records, because the header alone changes when a frame is sent again: seq and sent are varints of growing length.
 *
 *     slot = room for the longest header (31 bytes) | TYPE record | records
 *
 * All frames have the same records' length, so that up to 64 of them go out by one sendmsg with UDP_SEGMENT (GSO) and
 * one sendmmsg carries `--batch` of those. --no-gso sends a datagram a message.
 *
 * Prints one line of JSON when sending starts, one when the last record is out and one at the end.
 */
#include "common.h"

#include <arpa/inet.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef SOL_UDP
#define SOL_UDP 17
#endif

enum { HEADER_MAX = 3 + 8 + 10 + 10, SEGMENTS_MAX = 64, MESSAGES_MAX = 64, UDP_MAX = 65507, END_FRAMES = 4 };
enum { SEQUENCED = 1, CONTROL_TYPE = 0 << 5 | 1, CONTROL_END = 0 << 5 | 3, INC = 1 << 5, HIT = 5 << 5 };
/* A generator that was off its core catches up by no more than this: the burst would test the kernel's buffer. */
static const int64_t LATE_MAX_NS = 20000000;

typedef struct {
    const char *type, *host, *port;
    uint64_t names, members, pairs, records, source, seed;
    double zipf, rate, seconds;
    int each, hit, datagram, per_frame, core, gso, segments, batch;
    double pool_mb;
} Config;

typedef struct {
    uint8_t *slots;
    size_t stride, body;  /* bytes from slot to slot; bytes of TYPE and records */
    uint64_t frames, per_frame;
} Pool;

typedef struct {
    int fd;
    uint64_t seq, sent, bytes, eagain, late;
} Sender;

static int varint(uint8_t *to, uint64_t value) {
    int n = 0;
    for (; value >= 0x80; value >>= 7) to[n++] = (uint8_t)(value | 0x80);
    to[n++] = (uint8_t)value;
    return n;
}

/* Writes the header so that it ends where `records` begins; returns its first byte. */
static uint8_t *put_header(uint8_t *records, uint64_t source, uint64_t seq, uint64_t sent) {
    uint8_t header[HEADER_MAX] = {0xFC, 0x01, SEQUENCED};
    for (int i = 0; i < 8; i++) header[3 + i] = (uint8_t)(source >> (8 * i));
    int n = 11;
    n += varint(header + n, seq);
    n += varint(header + n, sent);
    return memcpy(records - n, header, (size_t)n);
}

/* ---- which name comes next ---- */

typedef struct { uint64_t names, at, state; uint32_t *order; double *cdf; } Names;

static Names names_open(const Config *c) {
    Names n = {.names = c->names, .state = c->seed};
    if (c->each) {  /* every name in turn, in an order that no prefetcher guesses */
        n.order = pages(c->names * sizeof *n.order);
        for (uint64_t i = 0; i < c->names; i++) {
            uint64_t j = below(&n.state, i + 1);
            n.order[i] = n.order[j];
            n.order[j] = (uint32_t)i;
        }
    } else if (c->zipf > 0) {
        n.cdf = pages(c->names * sizeof *n.cdf);
        double sum = 0;
        for (uint64_t i = 0; i < c->names; i++) n.cdf[i] = sum += pow((double)(i + 1), -c->zipf);
        for (uint64_t i = 0; i < c->names; i++) n.cdf[i] /= sum;
    }
    return n;
}

static uint64_t names_next(Names *n) {
    if (n->order) return n->order[n->at++ % n->names];
    if (!n->cdf) return below(&n->state, n->names);
    double u = (double)(draw(&n->state) >> 11) * 0x1p-53;
    uint64_t low = 0, high = n->names - 1;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (n->cdf[middle] <= u) low = middle + 1; else high = middle;
    }
    return low;
}

static Pool pool_build(const Config *c) {
    size_t type = strlen(c->type);
    int id = id_digits(c->names), member = c->hit ? 1 + id_digits(c->members) : 0;
    size_t record = (size_t)(1 + id + (c->hit ? 1 + member : 0));
    Pool p = {.per_frame = (uint64_t)c->per_frame};
    if (!p.per_frame) {  /* as many as fit with the header at its longest here: 40-bit seq and sent */
        size_t fixed = 11 + 6 + 6 + 2 + type;
        if ((size_t)c->datagram < fixed + record) { fprintf(stderr, "--datagram: too small for one record\n"); exit(2); }
        p.per_frame = ((size_t)c->datagram - fixed) / record;
    }
    p.body = 2 + type + p.per_frame * record;
    if (HEADER_MAX + p.body > UDP_MAX) { fprintf(stderr, "--per-frame: more than a datagram holds\n"); exit(2); }
    p.stride = (HEADER_MAX + p.body + 63) & ~(size_t)63;
    /* Enough records that most names occur, within --pool-mb; `each` is one pass over the names, whatever it takes. */
    uint64_t want = c->each ? (c->names + p.per_frame - 1) / p.per_frame : c->names * 4 / p.per_frame + 1024;
    if (c->pairs) want = (c->pairs + p.per_frame - 1) / p.per_frame;
    uint64_t most = (uint64_t)(c->pool_mb * 1e6) / p.stride + 1;
    p.frames = c->each || want < most ? want : most;
    p.slots = pages(p.frames * p.stride);
    Names names = names_open(c);
    uint64_t state = c->seed ^ 0xABCDEF;
    for (uint64_t f = 0; f < p.frames; f++) {
        uint8_t *at = p.slots + f * p.stride + HEADER_MAX;
        *at++ = CONTROL_TYPE;
        *at++ = (uint8_t)type;
        at = (uint8_t *)memcpy(at, c->type, type) + type;
        for (uint64_t r = 0; r < p.per_frame; r++) {
            *at++ = (uint8_t)((c->hit ? HIT : INC) | id);
            put_digits(at, names_next(&names), id);
            at += id;
            if (!c->hit) continue;
            *at++ = (uint8_t)member;
            *at++ = 'u';
            put_digits(at, below(&state, c->members), member - 1);
            at += member - 1;
        }
    }
    return p;
}

/* ---- sending ---- */

static int connect_udp(const Config *c) {
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *found;
    int failed = getaddrinfo(c->host, c->port, &hints, &found);
    if (failed) { fprintf(stderr, "%s:%s: %s\n", c->host, c->port, gai_strerror(failed)); exit(2); }
    int fd = socket(found->ai_family, SOCK_DGRAM, 0), size = 4 << 20;
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) die("connect");
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    freeaddrinfo(found);
    return fd;
}

/* Nobody listening yet (ECONNREFUSED of an earlier datagram) is reported by the ledger, not here. */
static int try_later(void) {
    return errno == EAGAIN || errno == ENOBUFS || errno == EINTR || errno == ECONNREFUSED;
}

static void send_all(Sender *s, struct mmsghdr *messages, unsigned count) {
    for (unsigned done = 0; done < count;) {
        int n = sendmmsg(s->fd, messages + done, count - done, MSG_DONTWAIT);
        if (n > 0) { done += (unsigned)n; continue; }
        if (!try_later()) die("sendmmsg");
        s->eagain++;
    }
}

/* Sends `frames` frames from the pool on, as few messages as can be. Segments of one message are of equal size. */
static void send_frames(Sender *s, const Pool *p, const Config *c, uint64_t *next, uint64_t frames) {
    static struct iovec pieces[MESSAGES_MAX * SEGMENTS_MAX];
    static struct mmsghdr messages[MESSAGES_MAX];
    static union { char room[CMSG_SPACE(sizeof(uint16_t))]; struct cmsghdr align; } controls[MESSAGES_MAX];
    unsigned used = 0, in_message = 0, piece = 0;
    size_t size = 0, total = 0;
    struct msghdr *m = NULL;
    for (uint64_t i = 0; i < frames; i++) {
        uint8_t *records = p->slots + (*next % p->frames) * p->stride + HEADER_MAX;
        uint8_t *frame = put_header(records, c->source, s->seq, s->sent);
        size_t length = (size_t)(records - frame) + p->body;
        if (!m || in_message == (unsigned)c->segments || length != size || total + length > UDP_MAX) {
            if (used == MESSAGES_MAX) {
                send_all(s, messages, used);
                used = piece = 0;
            }
            m = &messages[used].msg_hdr;
            memset(m, 0, sizeof *m);
            m->msg_iov = &pieces[piece];
            if (c->gso) {
                m->msg_control = controls[used].room;
                m->msg_controllen = sizeof controls[used].room;
                struct cmsghdr *control = CMSG_FIRSTHDR(m);
                control->cmsg_level = SOL_UDP;
                control->cmsg_type = UDP_SEGMENT;
                control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
                uint16_t segment = (uint16_t)length;
                memcpy(CMSG_DATA(control), &segment, sizeof segment);
            }
            used++;
            in_message = 0;
            total = 0;
            size = length;
        }
        pieces[piece].iov_base = frame;
        pieces[piece++].iov_len = length;
        m->msg_iovlen++;
        in_message++;
        total += length;
        s->bytes += length;
        s->seq++;
        s->sent += p->per_frame;
        /* A slot's header is overwritten when its turn comes again: nothing unsent may be left by then. */
        if (++*next % p->frames == 0) {
            send_all(s, messages, used);
            used = piece = 0;
            m = NULL;
        }
    }
    send_all(s, messages, used);
}

/* Closes the books: END, a few times with a seq each, so that losing one does not leave them open. */
static void send_end(Sender *s, const Config *c) {
    for (int i = 0; i < END_FRAMES; i++) {
        sleep_until_ns(now_ns() + 20000000);
        uint8_t room[HEADER_MAX + 1];
        room[HEADER_MAX] = CONTROL_END;
        uint8_t *frame = put_header(room + HEADER_MAX, c->source, s->seq, s->sent);
        while (send(s->fd, frame, (size_t)(room + sizeof room - frame), 0) < 0)
            if (!try_later()) die("send");
        s->seq++;
    }
}

/* One burst = `batch` messages; the next one is due when the rate says so. Sleeps where there is time to, else spins. */
static double run(Sender *s, const Pool *p, const Config *c) {
    uint64_t burst = (uint64_t)c->batch * (uint64_t)c->segments, next = 0;
    uint64_t left = c->records ? (c->records + p->per_frame - 1) / p->per_frame : UINT64_MAX;
    /* A burst is at most a fifth of a millisecond of the rate, or pacing would be by clumps. */
    if (c->rate > 0) {
        uint64_t small = (uint64_t)(c->rate * 0.0002 / (double)p->per_frame);
        if (small < burst) burst = small ? small : 1;
    }
    int64_t start = now_ns(), stop = c->records ? INT64_MAX : start + (int64_t)(c->seconds * 1e9), now = start;
    double due = (double)start, step = c->rate > 0 ? (double)p->per_frame * 1e9 / c->rate : 0;
    while (left && now < stop) {
        if (step > 0) {
            while ((double)now < due) {
                if (due - (double)now > 20000) sleep_until_ns((int64_t)due - 5000);
                now = now_ns();
            }
            if ((double)now - due > (double)LATE_MAX_NS) { due = (double)(now - LATE_MAX_NS); s->late++; }
        }
        uint64_t frames = burst < left ? burst : left;
        send_frames(s, p, c, &next, frames);
        left -= frames;
        due += step * (double)frames;
        now = now_ns();
    }
    return (double)(now - start) * 1e-9;
}

int main(int argc, char **argv) {
    Options o = {.argc = argc, .argv = argv};
    if (argc > 128) die("options");
    Config c = {.type = option(&o, "--type"), .host = option(&o, "--host"), .port = option(&o, "--port")};
    const char *source = option(&o, "--source");
    if (!c.type) c.type = "bench";
    if (!c.host) c.host = "127.0.0.1";
    if (!c.port || strlen(c.type) > 64 || !*c.type) { fprintf(stderr, "--port N is needed, --type has 1 to 64 bytes\n"); return 2; }
    c.names = (uint64_t)number(&o, "--names", 1000, 1, 1e9);
    c.members = (uint64_t)number(&o, "--members", 1e6, 1, 1e9);
    c.pairs = (uint64_t)number(&o, "--pairs", 0, 0, 1e9); /* records made ahead; 0: by the number of names */
    c.records = (uint64_t)number(&o, "--records", 0, 0, 1e15);
    c.seconds = number(&o, "--seconds", 1, 0.001, 86400);
    c.rate = number(&o, "--rate", 0, 0, 1e12); /* records/s; 0: as fast as can be */
    c.zipf = number(&o, "--zipf", 0, 0, 10);   /* exponent; 0: uniform */
    c.datagram = (int)number(&o, "--datagram", 1400, 1, UDP_MAX);
    c.per_frame = (int)number(&o, "--per-frame", 0, 0, 60000); /* records; 0: as many as the datagram holds */
    c.core = (int)number(&o, "--core", -1, -1, 1023);
    c.batch = (int)number(&o, "--batch", 4, 1, 1024);
    c.segments = (int)number(&o, "--segments", SEGMENTS_MAX, 1, SEGMENTS_MAX);
    c.pool_mb = number(&o, "--pool-mb", 128, 1, 65536);
    c.seed = (uint64_t)number(&o, "--seed", 1, 0, 1e15);
    c.hit = flag(&o, "--hit");
    c.each = flag(&o, "--each"); /* every name in turn instead of at random */
    c.gso = !flag(&o, "--no-gso");
    no_other_options(&o);
    if (!c.gso) c.segments = 1;
    c.source = source ? strtoull(source, NULL, 16) : ((uint64_t)now_ns() * 0x9E3779B97F4A7C15ull ^ (uint64_t)time(NULL));
    pin(c.core);
    prctl(PR_SET_TIMERSLACK, 1ul, 0, 0, 0);

    Pool p = pool_build(&c);
    Sender s = {.fd = connect_udp(&c)};
    printf("{\"event\": \"start\", \"source\": \"%016llx\", \"records_per_frame\": %llu, \"pool_frames\": %llu}\n",
           (unsigned long long)c.source, (unsigned long long)p.per_frame, (unsigned long long)p.frames);
    fflush(stdout);
    double cpu = cpu_seconds(), seconds = run(&s, &p, &c);
    cpu = cpu_seconds() - cpu;
    uint64_t frames = s.seq;
    printf("{\"event\": \"sent\"}\n");
    fflush(stdout);
    send_end(&s, &c);
    printf("{\"event\": \"done\", \"source\": \"%016llx\", \"frames\": %llu, \"records\": %llu, \"bytes\": %llu, "
           "\"seconds\": %.6f, \"records_per_s\": %.1f, \"datagrams_per_s\": %.1f, \"eagain\": %llu, \"late\": %llu, "
           "\"end_frames\": %d, \"gso\": %s, \"cpu_s\": %.4f}\n",
           (unsigned long long)c.source, (unsigned long long)frames, (unsigned long long)s.sent,
           (unsigned long long)s.bytes, seconds, (double)s.sent / seconds, (double)frames / seconds,
           (unsigned long long)s.eagain, (unsigned long long)s.late, END_FRAMES, c.gso ? "true" : "false", cpu);
    return 0;
}
