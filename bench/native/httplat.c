/* httplat: how long one GET takes over a keep-alive connection, asked at a steady rate.
 *
 * Open loop: request i is due at start + i / rate whatever became of the one before, and its time counts from when it
 * was due, so that a stall of the server is seen by every request it delays (no "coordinated omission"). One
 * connection, one request at a time. Every answer must be 200 with a Content-Length.
 */
#include "common.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_connection(const char *host, const char *port) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int failed = getaddrinfo(host, port, &hints, &found), one = 1;
    if (failed) { fprintf(stderr, "%s:%s: %s\n", host, port, gai_strerror(failed)); exit(2); }
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct timeval patience = {5, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    freeaddrinfo(found);
    return fd;
}

/* Reads one whole answer; 0 when it is a 200. */
static int read_answer(int fd) {
    static char buffer[65536];
    size_t have = 0, whole = 0;
    while (!whole || have < whole) {
        ssize_t n = recv(fd, buffer + have, sizeof buffer - 1 - have, 0);
        if (n <= 0) { fprintf(stderr, "httplat: the server closed, or did not answer within 5 s\n"); exit(1); }
        have += (size_t)n;
        buffer[have] = 0;
        char *end = whole ? NULL : strstr(buffer, "\r\n\r\n");
        if (!end) continue;
        *end = 0;
        char *length = strcasestr(buffer, "\r\ncontent-length:");
        if (!length) { fprintf(stderr, "httplat: an answer without Content-Length\n"); exit(1); }
        whole = (size_t)(end + 4 - buffer) + strtoull(length + 17, NULL, 10);
        if (whole >= sizeof buffer) { fprintf(stderr, "httplat: an answer too large\n"); exit(1); }
    }
    return strncmp(buffer, "HTTP/1.1 200", 12) != 0;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(const double *sorted, uint64_t n, double p) {
    uint64_t rank = (uint64_t)(p / 100 * (double)n);
    return sorted[rank < n ? rank : n - 1];
}

int main(int argc, char **argv) {
    Options o = {.argc = argc, .argv = argv};
    if (argc > 128) die("options");
    const char *host = option(&o, "--host"), *port = option(&o, "--port"), *path = option(&o, "--path");
    double rate = number(&o, "--rate", 1000, 1, 1e6), seconds = number(&o, "--seconds", 1, 0.01, 3600);
    pin((int)number(&o, "--core", -1, -1, 1023));
    no_other_options(&o);
    if (!host) host = "127.0.0.1";
    if (!port || !path || strlen(path) > 2000) { fprintf(stderr, "--port N and --path P are needed\n"); return 2; }
    prctl(PR_SET_TIMERSLACK, 1ul, 0, 0, 0);

    char request[2300];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s:%s\r\n\r\n", path, host, port);
    uint64_t n = (uint64_t)(rate * seconds), failed = 0;
    if (!n) n = 1;
    double *times = calloc(n, sizeof *times);
    if (!times) die("calloc");
    int fd = open_connection(host, port);
    int64_t start = now_ns();
    for (uint64_t i = 0; i < n; i++) {
        int64_t due = start + (int64_t)((double)i * 1e9 / rate);
        if (now_ns() < due) sleep_until_ns(due);
        if (send(fd, request, (size_t)length, MSG_NOSIGNAL) != length) die("send");
        failed += (uint64_t)read_answer(fd);
        times[i] = (double)(now_ns() - due) * 1e-6;
    }
    double took = (double)(now_ns() - start) * 1e-9;
    close(fd);
    qsort(times, n, sizeof *times, by_size);
    printf("{\"requests\": %llu, \"failed\": %llu, \"seconds\": %.3f, \"rate\": %.1f, \"p50_ms\": %.4f, \"p90_ms\": %.4f, "
           "\"p99_ms\": %.4f, \"p999_ms\": %.4f, \"max_ms\": %.4f}\n",
           (unsigned long long)n, (unsigned long long)failed, took, rate, percentile(times, n, 50),
           percentile(times, n, 90), percentile(times, n, 99), percentile(times, n, 99.9), times[n - 1]);
    free(times);
    return 0;
}
