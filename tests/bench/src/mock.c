/* The mock upstream: answers each request at once in one piece (1 KB of JSON), or streams events of 300 bytes at the
 * pace that the request's ticket asks for.
 *
 *     mock PORT        listens on 127.0.0.1, port 0 takes a free one, and prints the port
 *
 * One thread, no pipelining. A request without a ticket (a probe) is answered in one piece.
 */
#include "net.h"
#include "ticket.h"

#define PADDING_16 "the quick brown "
#define PADDING_128 PADDING_16 PADDING_16 PADDING_16 PADDING_16 PADDING_16 PADDING_16 PADDING_16 PADDING_16
#define ENVELOPE(kind) \
    "{\"id\":\"chatcmpl-bench\",\"object\":\"" kind "\",\"created\":1700000000,\"model\":\"gpt-4o-mini-2024-07-18\"," \
    "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_bench\","
#define DELTA(delta, finish_reason) \
    "data: " ENVELOPE("chat.completion.chunk") \
    "\"choices\":[{\"index\":0,\"delta\":" delta ",\"logprobs\":null,\"finish_reason\":" finish_reason "}]}\n\n"

static const char ANSWER[] =
    ENVELOPE("chat.completion") "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"" MARK " "
    PADDING_128 PADDING_128 PADDING_128 PADDING_128 "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
    "\"usage\":{\"prompt_tokens\":420,\"completion_tokens\":160,\"total_tokens\":580}}";
static const char FIRST[] = DELTA("{\"role\":\"assistant\",\"content\":\"\"}", "null");
static const char EVENT[] = DELTA("{\"content\":\"" MARK " quick\"}", "null");
static const char LAST[] = DELTA("{}", "\"stop\"") "data: [DONE]\n\n";

/* Bytes to send, with a mark in them that is stamped anew each time. */
struct message {
    char bytes[2048];
    size_t length;
    char *mark;
};

struct buffer {
    char *bytes;
    size_t length, capacity;
};

struct connection {
    int fd;
    struct buffer in, out; /* `out`: what the socket would not take yet */
    char number[NUMBER_WIDTH];
    uint64_t events_left, gap, due;
    struct connection *before, *after; /* among the running streams */
    bool streaming;
};

static int epoll;
static struct message answer, first, event, last;
/* The running streams by due time. A new one is sought its place from the end: with one gap for all, that is it. */
static struct connection *soonest, *latest;

static void compose(struct message *message, const char *head, const char *body, bool chunked) {
    const char *format = chunked ? "%s%zx\r\n%s\r\n" : "%s%zu\r\n\r\n%s";
    message->length = (size_t)snprintf(message->bytes, sizeof message->bytes, format, head, strlen(body), body);
    message->mark = strchr(message->bytes, '@');
}

static void compose_all(void) {
    compose(&answer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_bench\r\nContent-Length: ",
            ANSWER, false);
    compose(&first, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
            "x-request-id: req_bench\r\nTransfer-Encoding: chunked\r\n\r\n", FIRST, true);
    compose(&event, "", EVENT, true);
    compose(&last, "", LAST, true);
    memcpy(last.bytes + last.length, "0\r\n\r\n", 5);
    last.length += 5;
}

static void unschedule(struct connection *c) {
    *(c->before ? &c->before->after : &soonest) = c->after;
    *(c->after ? &c->after->before : &latest) = c->before;
    c->streaming = false;
}

static void schedule(struct connection *c) {
    struct connection *before = latest;
    while (before && before->due > c->due) before = before->before;
    c->before = before;
    c->after = before ? before->after : soonest;
    *(before ? &before->after : &soonest) = c;
    *(c->after ? &c->after->before : &latest) = c;
    c->streaming = true;
}

static void close_connection(struct connection *c) {
    if (c->streaming) unschedule(c);
    close(c->fd);
    free(c->in.bytes);
    free(c->out.bytes);
    free(c);
}

static void reserve(struct buffer *buffer, size_t more) {
    if (buffer->length + more <= buffer->capacity) return;
    buffer->capacity = (buffer->length + more) * 2;
    buffer->bytes = checked(realloc(buffer->bytes, buffer->capacity));
}

/* Sends, or keeps what cannot be sent yet. A broken connection shows at its next read. */
static void put(struct connection *c, const char *bytes, size_t length) {
    ssize_t sent = c->out.length ? 0 : send(c->fd, bytes, length, 0);
    if (sent < 0) sent = 0;
    length -= (size_t)sent;
    if (!length) return;
    if (!c->out.length) watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c);
    reserve(&c->out, length);
    memcpy(c->out.bytes + c->out.length, bytes + sent, length);
    c->out.length += length;
}

static void flush(struct connection *c) {
    ssize_t sent = send(c->fd, c->out.bytes, c->out.length, 0);
    if (sent <= 0) return;
    c->out.length -= (size_t)sent;
    memmove(c->out.bytes, c->out.bytes + sent, c->out.length);
    if (!c->out.length) watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
}

static void put_marked(struct connection *c, struct message *message) {
    write_digits(message->mark + MARK_TIME_AT, now_ns(), TIME_WIDTH);
    memcpy(message->mark + MARK_NUMBER_AT, c->number, NUMBER_WIDTH);
    put(c, message->bytes, message->length);
}

/* The next event of a stream, or its end. */
static void step(struct connection *c) {
    if (c->streaming) unschedule(c);
    if (!c->events_left) {
        put(c, last.bytes, last.length);
        return;
    }
    put_marked(c, &event);
    c->events_left--;
    c->due += c->gap;
    schedule(c);
}

static void respond(struct connection *c, const char *body, size_t length) {
    const char *ticket = find_ticket(body, length);
    memset(c->number, '0', NUMBER_WIDTH);
    if (ticket) memcpy(c->number, ticket + NUMBER_AT, NUMBER_WIDTH);
    c->events_left = ticket ? read_digits(ticket + EVENTS_AT, EVENTS_WIDTH) : 0;
    if (!c->events_left) {
        put_marked(c, &answer);
        return;
    }
    c->gap = read_digits(ticket + GAP_AT, GAP_WIDTH) * 1000;
    c->due = now_ns();
    put(c, first.bytes, first.length);
    step(c);
}

/* The length of the request's body, or -1 while it is not all there. A chunked one is not taken apart: it ends with the
 * last chunk, and the ticket is short enough to stand within one. */
static ssize_t body_length(const struct buffer *in, const char *head_end) {
    size_t head = (size_t)(head_end - in->bytes), there = in->length - head;
    const char *value = find_header(in->bytes, head, "content-length");
    if (value) return strtoull(value, NULL, 10) <= there ? (ssize_t)there : -1;
    if (!find_header(in->bytes, head, "transfer-encoding")) return 0;
    return there >= 5 && !memcmp(in->bytes + in->length - 5, "0\r\n\r\n", 5) ? (ssize_t)there : -1;
}

static void receive(struct connection *c) {
    reserve(&c->in, 4096);
    ssize_t length = recv(c->fd, c->in.bytes + c->in.length, c->in.capacity - c->in.length, 0);
    if (length < 0 && errno == EAGAIN) return;
    if (length <= 0) {
        close_connection(c);
        return;
    }
    c->in.length += (size_t)length;
    char *head_end = memmem(c->in.bytes, c->in.length, "\r\n\r\n", 4);
    if (!head_end || (length = body_length(&c->in, head_end + 4)) < 0) return;
    c->in.length = 0;
    respond(c, head_end + 4, (size_t)length);
}

static void accept_all(int listener) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        set_nodelay(fd);
        struct connection *c = checked(calloc(1, sizeof *c));
        c->fd = fd;
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, c);
    }
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    struct sockaddr_in address = loopback(port);
    socklen_t size = sizeof address;
    if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, 16384)) die("listen");
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int count, char **arguments) {
    if (count != 2) {
        fputs("usage: mock PORT\n", stderr);
        return 2;
    }
    prepare_process();
    compose_all();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on(atoi(arguments[1]));
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    struct epoll_event events[512];
    for (;;) {
        int ready = wait_until(epoll, events, 512, soonest ? soonest->due : now_ns() + SECOND);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) accept_all(listener);
            else if (events[i].events == EPOLLOUT) flush(c);
            else receive(c);
        }
        for (uint64_t now = now_ns(); soonest && soonest->due <= now;) step(soonest);
    }
}
