/* The clock, loopback sockets and HTTP header lookup. Linux only. */
#ifndef NET_H
#define NET_H
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const uint64_t SECOND = 1000000000;

static inline uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static inline void die(const char *what) {
    perror(what);
    exit(2);
}

static inline void *checked(void *memory) {
    if (!memory) die("memory");
    return memory;
}

static inline struct sockaddr_in loopback(int port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static inline void set_nodelay(int fd) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

static inline void watch(int epoll, int operation, int fd, uint32_t events, void *owner) {
    struct epoll_event event = {.events = events, .data.ptr = owner};
    if (epoll_ctl(epoll, operation, fd, &event)) die("epoll_ctl");
}

/* Waits for events until an instant, to the nanosecond: with a timer of milliseconds, streams would go in step. */
static inline int wait_until(int epoll, struct epoll_event *events, int most, uint64_t instant) {
    uint64_t now = now_ns(), left = instant > now ? instant - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left / SECOND), .tv_nsec = (long)(left % SECOND)};
    return epoll_pwait2(epoll, events, most, &timeout, NULL);
}

/* Neither dies of a broken connection, nor wakes up late, nor outlives the benchmark. */
static inline void prepare_process(void) {
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
}

/* Where the value of a header starts, or NULL; `head` ends with the end of its last line. */
static inline const char *find_header(const char *head, size_t length, const char *name) {
    const char *end = head + length;
    size_t width = strlen(name);
    for (const char *line = memchr(head, '\n', length); line; line = memchr(line, '\n', (size_t)(end - line))) {
        line++;
        if ((size_t)(end - line) > width && line[width] == ':' && !strncasecmp(line, name, width)) {
            line += width + 1;
            return line + strspn(line, " \t");
        }
    }
    return NULL;
}
#endif
