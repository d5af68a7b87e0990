/* A client of the Redis protocol that costs as little as it can, and a server that does nothing: what `rates.py` needs
 * besides redis-benchmark to tell a server's own cost from its client's.
 *
 *   load --unix PATH | --port PORT  --test get|set|fill  --clients N --pipeline P --count REQUESTS
 *   load --serve get|set --unix PATH | --port PORT
 *
 * The client sends SET or GET of keys like those of redis-benchmark (`key:000000012345`, 100,000 of them, values of 100
 * bytes) and counts the bytes of the replies, which it knows beforehand: it prints requests a second and the 50th and
 * 99th percentile of the time from sending a pipeline to its last reply, in microseconds. `fill` sets every key once.
 * The server answers each request with the same bytes: nothing that answers over this socket can be faster.
 *
 * Not here: any use of a reply but its length; a length that is not the expected one ends the program. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { KEYS = 100000, VALUE_BYTES = 100, CLIENTS_MAX = 1024, PIPELINE_MAX = 256, READ_BYTES = 1 << 16, BUCKETS = 1 << 20 };

static const char *unix_path;
static int port;

static void fail(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A socket of the kind that was asked for, and its address. */
static int open_socket(struct sockaddr_storage *addr, socklen_t *len) {
    memset(addr, 0, sizeof *addr);
    if (unix_path) {
        struct sockaddr_un *local = (struct sockaddr_un *)addr;
        local->sun_family = AF_UNIX;
        snprintf(local->sun_path, sizeof local->sun_path, "%s", unix_path);
        *len = sizeof *local;
    } else {
        struct sockaddr_in *inet = (struct sockaddr_in *)addr;
        inet->sin_family = AF_INET;
        inet->sin_port = htons((uint16_t)port);
        inet->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        *len = sizeof *inet;
    }
    int fd = socket(addr->ss_family, SOCK_STREAM, 0);
    if (fd < 0) fail("socket");
    return fd;
}

static void no_delay(int fd) {
    int on = 1;
    if (!unix_path && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on)) fail("TCP_NODELAY");
}

static void write_all(int fd, const char *bytes, size_t len) {
    while (len) {
        ssize_t sent = write(fd, bytes, len);
        if (sent < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (sent <= 0) fail("write");
        bytes += sent;
        len -= (size_t)sent;
    }
}

/* ---- the client ---- */

struct client {
    int fd;
    uint64_t sent_at_ns;
    size_t owed; /* bytes of replies still to come */
    char *request;
};

static uint32_t buckets[BUCKETS]; /* of 100 ns */
static uint64_t random_state = 0x9E3779B97F4A7C15u;

static uint64_t next_random(void) { /* xorshift64*, Vigna 2016 */
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545F4914F6CDD1Du;
}

static void write_key(char *at, uint64_t number) {
    for (int i = 11; i >= 0; i--, number /= 10) at[i] = (char)('0' + number % 10);
}

static int run_client(const char *test, int client_count, int pipeline, long count) {
    int is_get = strcmp(test, "get") == 0, is_fill = strcmp(test, "fill") == 0;
    char one[512], value[VALUE_BYTES + 1];
    memset(value, 'x', VALUE_BYTES);
    value[VALUE_BYTES] = 0;
    int len = is_get ? snprintf(one, sizeof one, "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000000\r\n")
                     : snprintf(one, sizeof one, "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000000\r\n$%d\r\n%s\r\n", VALUE_BYTES, value);
    size_t request_len = (size_t)len, key_at = (size_t)(strstr(one, "key:") + 4 - one);
    size_t reply_len = is_get ? 6 + VALUE_BYTES + 2 : 5; /* "$100\r\n" … "\r\n", "+OK\r\n" */
    if (is_fill) count = KEYS;
    static struct client clients[CLIENTS_MAX];
    int poll = epoll_create1(0);
    for (int i = 0; i < client_count; i++) {
        struct sockaddr_storage addr;
        socklen_t addr_len;
        clients[i].fd = open_socket(&addr, &addr_len);
        if (connect(clients[i].fd, (struct sockaddr *)&addr, addr_len)) fail("connect");
        no_delay(clients[i].fd);
        clients[i].request = malloc(request_len * (size_t)pipeline);
        if (!clients[i].request) fail("malloc");
        for (int n = 0; n < pipeline; n++) memcpy(clients[i].request + request_len * (size_t)n, one, request_len);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, clients[i].fd, &event)) fail("epoll_ctl");
    }
    static char replies[READ_BYTES];
    long asked = 0, answered = 0;
    uint64_t begin_ns = now_ns();
    struct epoll_event events[CLIENTS_MAX];
    int ready = client_count;
    for (int i = 0; i < client_count; i++) events[i].data.u32 = (uint32_t)i;
    for (int is_first = 1; answered < count; is_first = 0) {
        for (int e = 0; e < ready; e++) {
            struct client *client = &clients[events[e].data.u32];
            if (!is_first) {
                ssize_t got = read(client->fd, replies, sizeof replies);
                if (got <= 0 || (size_t)got > client->owed) fail(got <= 0 ? "read" : "a reply of another length");
                if (replies[0] == '-') fail("an error as a reply");
                client->owed -= (size_t)got;
                if (client->owed) continue;
                uint64_t bucket = (now_ns() - client->sent_at_ns) / 100;
                buckets[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
                answered += pipeline;
            }
            if (asked >= count) continue;
            for (int n = 0; n < pipeline; n++)
                write_key(client->request + request_len * (size_t)n + key_at, is_fill ? (uint64_t)(asked + n) % KEYS : next_random() % KEYS);
            client->owed = reply_len * (size_t)pipeline;
            client->sent_at_ns = now_ns();
            write_all(client->fd, client->request, request_len * (size_t)pipeline);
            asked += pipeline;
        }
        if (answered >= count) break;
        /* A lone client waits in read, as clients with one connection do. */
        if (client_count > 1) {
            ready = epoll_wait(poll, events, CLIENTS_MAX, -1);
            if (ready < 0 && errno != EINTR) fail("epoll_wait");
        }
    }
    double seconds = (double)(now_ns() - begin_ns) / 1e9;
    uint64_t total = 0, seen = 0;
    for (int i = 0; i < BUCKETS; i++) total += buckets[i];
    double p50 = 0, p99 = 0;
    for (int i = 0; i < BUCKETS; i++) {
        seen += buckets[i];
        if (!p50 && seen * 2 >= total) p50 = i / 10.0 + 0.1;
        if (!p99 && seen * 100 >= total * 99) p99 = i / 10.0 + 0.1;
    }
    printf("%.0f %.1f %.1f\n", (double)answered / seconds, p50, p99);
    return 0;
}

/* ---- the server that does nothing ---- */

/* The length of the request that begins here, 0 if it is not whole. */
static size_t request_len_of(const char *bytes, size_t len) {
    char *end;
    if (!memchr(bytes, '\n', len)) return 0;
    long count = strtol(bytes + 1, &end, 10);
    size_t at = (size_t)(end - bytes) + 2;
    for (; count > 0; count--) {
        if (at >= len || !memchr(bytes + at, '\n', len - at)) return 0;
        long arg_len = strtol(bytes + at + 1, &end, 10);
        at = (size_t)(end - bytes) + 2 + (size_t)arg_len + 2;
    }
    return at <= len ? at : 0;
}

static _Noreturn void run_server(const char *test) {
    char reply[512];
    int is_get = strcmp(test, "get") == 0;
    size_t reply_len = is_get ? (size_t)snprintf(reply, sizeof reply, "$%d\r\n%0*d\r\n", VALUE_BYTES, VALUE_BYTES, 0)
                              : (size_t)snprintf(reply, sizeof reply, "+OK\r\n");
    static char all[PIPELINE_MAX * 512];
    for (int i = 0; i < PIPELINE_MAX; i++) memcpy(all + (size_t)i * reply_len, reply, reply_len);
    struct sockaddr_storage addr;
    socklen_t addr_len;
    int listener = open_socket(&addr, &addr_len), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (unix_path) unlink(unix_path);
    if (bind(listener, (struct sockaddr *)&addr, addr_len) || listen(listener, 1024)) fail("listen");
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[CLIENTS_MAX];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    static char bytes[READ_BYTES + 1];
    static size_t halves[CLIENTS_MAX + 64], lens[CLIENTS_MAX + 64]; /* by descriptor: bytes of half a request; a request's length */
    for (;;) {
        int ready = epoll_wait(poll, events, CLIENTS_MAX, -1);
        for (int e = 0; e < ready; e++) {
            int fd = events[e].data.fd;
            if (fd == listener) {
                int client = accept(listener, NULL, NULL);
                if (client < 0 || client >= CLIENTS_MAX + 64) fail("accept");
                no_delay(client);
                halves[client] = lens[client] = 0;
                event.data.fd = client;
                epoll_ctl(poll, EPOLL_CTL_ADD, client, &event);
                continue;
            }
            ssize_t got = read(fd, bytes, READ_BYTES);
            if (got <= 0) {
                close(fd);
                continue;
            }
            bytes[got] = 0;
            if (strstr(bytes, "CONFIG")) { /* redis-benchmark asks for settings, and goes on without them */
                write_all(fd, "-ERR none\r\n", 11);
                continue;
            }
            /* All requests of a connection are of one length. */
            if (!lens[fd] && !(lens[fd] = request_len_of(bytes, (size_t)got))) fail("the first request came in pieces");
            size_t whole = (halves[fd] + (size_t)got) / lens[fd];
            halves[fd] = (halves[fd] + (size_t)got) % lens[fd];
            for (; whole; whole -= whole < PIPELINE_MAX ? whole : PIPELINE_MAX)
                write_all(fd, all, reply_len * (whole < PIPELINE_MAX ? whole : PIPELINE_MAX));
        }
    }
}

int main(int argc, char **argv) {
    const char *test = NULL, *served = NULL;
    int clients = 1, pipeline = 1;
    long count = 100000;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--unix")) unix_path = argv[i + 1];
        else if (!strcmp(argv[i], "--port")) port = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--test")) test = argv[i + 1];
        else if (!strcmp(argv[i], "--serve")) served = argv[i + 1];
        else if (!strcmp(argv[i], "--clients")) clients = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--pipeline")) pipeline = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--count")) count = atol(argv[i + 1]);
    }
    signal(SIGPIPE, SIG_IGN);
    if ((!unix_path && !port) || (!test && !served) || clients < 1 || clients > CLIENTS_MAX || pipeline < 1 || pipeline > PIPELINE_MAX) {
        fprintf(stderr, "usage: load --unix PATH|--port PORT --test get|set|fill [--clients N --pipeline P --count REQUESTS] | --serve get|set\n");
        return 2;
    }
    if (served) run_server(served);
    return run_client(test, clients, pipeline, count);
}
