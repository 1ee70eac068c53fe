/* Load for a Unix socket, from a program that is not the bottleneck: pre-encoded requests, one thread, epoll.

   load echo PATH REPLY_BYTES
       answers each frame with a frame of REPLY_BYTES, as fast as C can: the limit of what is measured here
   load ask PATH REQUESTS CONNECTIONS DEPTH COUNT
       sends COUNT of the frames in the file REQUESTS, DEPTH under way on each connection, each under its own id;
       prints one line of JSON: rate, and percentiles of the time from sending to the answer, in microseconds
   load http PATH REQUESTS COUNT [CONNECTIONS]
       sends HTTP requests, one after another on each connection that stays open; one connection where no number is said

   REQUESTS holds records: u32 length (big-endian), then so many bytes: a payload, or a whole HTTP request. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define HEADER 16
#define RING 128
#define BUFFER (1 << 20)

static void die(const char *what) { perror(what); exit(1); }
static uint32_t get32(const unsigned char *p) { return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]; }
static void put32(unsigned char *p, uint32_t v) { p[0] = v >> 24; p[1] = v >> 16; p[2] = v >> 8; p[3] = v; }
static void put64(unsigned char *p, uint64_t v) { put32(p, v >> 32); put32(p + 4, (uint32_t)v); }
static uint64_t get64(const unsigned char *p) { return (uint64_t)get32(p) << 32 | get32(p + 4); }
static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}
static struct sockaddr_un address(const char *path) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path) { fprintf(stderr, "the path is too long\n"); exit(1); }
    strcpy(a.sun_path, path);
    return a;
}
static int connect_to(const char *path) {
    struct sockaddr_un a = address(path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0) die(path);
    return fd;
}
static void send_all(int fd, const unsigned char *data, size_t size) {
    while (size) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) continue;
        if (n <= 0) die("send");
        data += n;
        size -= n;
    }
}

struct requests { unsigned char *bytes; unsigned char **at; uint32_t *size; size_t count; };
static struct requests read_requests(const char *file) {
    struct requests r = {0};
    struct stat s;
    int fd = open(file, O_RDONLY);
    if (fd < 0 || fstat(fd, &s) < 0) die(file);
    r.bytes = malloc(s.st_size);
    if (read(fd, r.bytes, s.st_size) != s.st_size) die(file);
    close(fd);
    r.at = malloc(sizeof *r.at * (s.st_size / 4 + 1));
    r.size = malloc(sizeof *r.size * (s.st_size / 4 + 1));
    for (off_t at = 0; at + 4 <= s.st_size; r.count++) {
        r.size[r.count] = get32(r.bytes + at);
        r.at[r.count] = r.bytes + at + 4;
        at += 4 + r.size[r.count];
    }
    return r;
}

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}
static void report(uint32_t *took, size_t count, uint64_t ns) {
    qsort(took, count, sizeof *took, by_size);
    printf("{\"count\": %zu, \"rate\": %.0f, \"p50_us\": %.2f, \"p99_us\": %.2f, \"max_us\": %.2f}\n", count,
           count * 1e9 / ns, took[count / 2] / 1e3, took[(size_t)(count * 0.99)] / 1e3, took[count - 1] / 1e3);
}

struct connection {
    int fd;
    uint64_t next, answered;
    size_t have;
    uint64_t sent[RING];
    unsigned char *in;
};

static size_t made;
static size_t put_frame(unsigned char *out, struct requests *r, struct connection *c, uint64_t at) {
    size_t which = made++ % r->count;
    put32(out, r->size[which]);
    out[4] = 1; out[5] = 3; out[6] = out[7] = 0;
    put64(out + 8, c->next);
    memcpy(out + HEADER, r->at[which], r->size[which]);
    c->sent[c->next++ % RING] = at;
    return HEADER + r->size[which];
}

static void hello(struct connection *c) {
    static const char digits[] = "0123456789abcdef";
    unsigned char frame[HEADER + 64] = {0}, random[16], *p = frame + HEADER;
    int fd = open("/dev/urandom", O_RDONLY);
    if (fd < 0 || read(fd, random, 16) != 16) die("urandom");
    close(fd);
    *p++ = 0x81;                       /* {"client": 32 characters} */
    *p++ = 0xa6; memcpy(p, "client", 6); p += 6;
    *p++ = 0xd9; *p++ = 32;
    for (int i = 0; i < 16; i++) { *p++ = digits[random[i] >> 4]; *p++ = digits[random[i] & 15]; }
    put32(frame, p - frame - HEADER);
    frame[4] = 1; frame[5] = 1;
    send_all(c->fd, frame, p - frame);
    size_t have = 0;
    while (have < HEADER || have < HEADER + get32(c->in)) {
        ssize_t n = recv(c->fd, c->in + have, BUFFER - have, 0);
        if (n <= 0) die("hello");
        have += n;
    }
}

static int ask(const char *path, const char *file, int connections, int depth, size_t count) {
    struct requests r = read_requests(file);
    struct connection *all = calloc(connections, sizeof *all);
    uint32_t *took = malloc(sizeof *took * count);
    size_t sent = 0, answered = 0;
    static unsigned char out[BUFFER];
    int poll = epoll_create1(0);
    for (int i = 0; i < connections; i++) {
        struct connection *c = &all[i];
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        c->fd = connect_to(path);
        c->in = malloc(BUFFER);
        c->next = 1;
        hello(c);
        epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &e);
    }
    uint64_t began = now_ns();
    for (int i = 0; i < connections; i++) {
        size_t size = 0;
        for (int d = 0; d < depth && sent < count; d++, sent++) size += put_frame(out + size, &r, &all[i], now_ns());
        send_all(all[i].fd, out, size);
    }
    while (answered < count) {
        struct epoll_event events[64];
        int ready = epoll_wait(poll, events, 64, 10000);
        if (ready <= 0) { fprintf(stderr, "no answer for 10 s, %zu of %zu\n", answered, count); return 1; }
        for (int e = 0; e < ready; e++) {
            struct connection *c = events[e].data.ptr;
            ssize_t n = recv(c->fd, c->in + c->have, BUFFER - c->have, 0);
            if (n <= 0) die("recv");
            c->have += n;
            size_t at = 0, size = 0;
            uint64_t now = now_ns();
            while (c->have - at >= HEADER) {
                uint32_t length = get32(c->in + at);
                if (c->have - at < HEADER + length) break;
                if (c->in[at + 5] != 5) { fprintf(stderr, "a frame of kind %d\n", c->in[at + 5]); return 1; }
                took[answered++] = now - c->sent[get64(c->in + at + 8) % RING];
                at += HEADER + length;
                if (sent < count) { size += put_frame(out + size, &r, c, now); sent++; }
            }
            memmove(c->in, c->in + at, c->have - at);
            c->have -= at;
            if (size) send_all(c->fd, out, size);
        }
    }
    report(took, count, now_ns() - began);
    return 0;
}

static size_t whole_reply(struct connection *c) {
    c->in[c->have] = 0;
    char *end = strstr((char *)c->in, "\r\n\r\n"), *length = strcasestr((char *)c->in, "content-length:");
    if (!end || !length || length > end) return 0;
    size_t whole = end + 4 - (char *)c->in + strtoul(length + 15, NULL, 10);
    return c->have < whole ? 0 : whole;
}

static int http(const char *path, const char *file, size_t count, int connections) {
    struct requests r = read_requests(file);
    struct connection *all = calloc(connections, sizeof *all);
    uint32_t *took = malloc(sizeof *took * count);
    size_t sent = 0, answered = 0;
    int poll = epoll_create1(0);
    for (int i = 0; i < connections; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &all[i]};
        all[i].fd = connect_to(path);
        all[i].in = malloc(BUFFER);
        epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &e);
    }
    uint64_t began = now_ns();
    for (int i = 0; i < connections && sent < count; i++, sent++) {
        all[i].sent[0] = now_ns();
        send_all(all[i].fd, r.at[sent % r.count], r.size[sent % r.count]);
    }
    while (answered < count) {
        struct epoll_event events[64] = {{.data.ptr = all}};
        int ready = connections == 1 ? 1 : epoll_wait(poll, events, 64, 10000);
        if (ready <= 0) { fprintf(stderr, "no answer for 10 s, %zu of %zu\n", answered, count); return 1; }
        for (int e = 0; e < ready; e++) {
            struct connection *c = events[e].data.ptr;
            ssize_t n = recv(c->fd, c->in + c->have, BUFFER - 1 - c->have, 0);
            if (n <= 0) die("recv");
            c->have += n;
            if (!whole_reply(c)) continue;
            if (memcmp(c->in + 9, "200", 3)) { fprintf(stderr, "%.*s\n", (int)c->have, c->in); return 1; }
            c->have = 0;
            took[answered++] = now_ns() - c->sent[0];
            if (sent == count) continue;
            c->sent[0] = now_ns();
            send_all(c->fd, r.at[sent % r.count], r.size[sent % r.count]);
            sent++;
        }
    }
    report(took, count, now_ns() - began);
    return 0;
}

static void echo(const char *path, size_t reply) {
    struct sockaddr_un a = address(path);
    static unsigned char out[BUFFER];
    int listening = socket(AF_UNIX, SOCK_STREAM, 0), poll = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    unlink(path);
    if (bind(listening, (struct sockaddr *)&a, sizeof a) < 0 || listen(listening, 128) < 0) die(path);
    epoll_ctl(poll, EPOLL_CTL_ADD, listening, &e);
    for (;;) {
        struct epoll_event events[64];
        int ready = epoll_wait(poll, events, 64, -1);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                c = calloc(1, sizeof *c);
                c->fd = accept(listening, NULL, NULL);
                c->in = malloc(BUFFER);
                e.data.ptr = c;
                epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &e);
                continue;
            }
            ssize_t n = recv(c->fd, c->in + c->have, BUFFER - c->have, 0);
            if (n <= 0) { close(c->fd); continue; }
            c->have += n;
            size_t at = 0, size = 0;
            while (c->have - at >= HEADER && c->have - at >= HEADER + get32(c->in + at)) {
                memcpy(out + size, c->in + at, HEADER);
                put32(out + size, reply);
                if (out[size + 5] == 3) out[size + 5] = 5;
                size += HEADER + reply;
                at += HEADER + get32(c->in + at);
            }
            memmove(c->in, c->in + at, c->have - at);
            c->have -= at;
            send_all(c->fd, out, size);
        }
    }
}

int main(int argc, char **argv) {
    if (argc == 4 && !strcmp(argv[1], "echo")) echo(argv[2], atoi(argv[3]));
    if (argc == 7 && !strcmp(argv[1], "ask")) return ask(argv[2], argv[3], atoi(argv[4]), atoi(argv[5]), atol(argv[6]));
    if ((argc == 5 || argc == 6) && !strcmp(argv[1], "http"))
        return http(argv[2], argv[3], atol(argv[4]), argc == 6 ? atoi(argv[5]) : 1);
    fprintf(stderr, "load echo PATH REPLY_BYTES | ask PATH REQUESTS CONNECTIONS DEPTH COUNT\n"
                    "     http PATH REQUESTS COUNT [CONNECTIONS]\n");
    return 2;
}
