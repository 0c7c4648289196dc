/* The load driver.
 *
 *     driver PORT REQUEST_FILE CONNECTIONS RATE REQUESTS WARM_SECONDS END_SECONDS
 *
 * RATE 0 is a closed loop: each connection sends its next request when it has the answer to the last one. Any other
 * rate is an open loop: so many requests a second start at random instants (Poisson), on whatever connection is idle, and
 * latency counts from that instant, so a server that stalls cannot hide it. REQUESTS bounds how many are started; 0 is
 * as many as come. A stream is a request like any other. The file holds a whole HTTP request with a ticket in it.
 *
 * What is measured lies between the two instants WARM and END, counted from the start. At each a line is printed
 * ("begin", "end"), so that the caller can read the target's CPU time there; no request is started after END, and when all
 * have ended, or GRACE later, the results follow as one line of JSON. Times in it are microseconds.
 */
#include "net.h"
#include "ticket.h"
#include <math.h>

enum { HEAD_SIZE = 8192, RECEIVE_SIZE = 1 << 18 };
static const uint64_t GRACE = 10 * (uint64_t)1000000000;

/* Which part of the answer comes next. CHUNK_END and LAST_END are the line ends after a chunk and after the last one. */
enum part { HEAD, BODY, SIZE_LINE, CHUNK, CHUNK_END, LAST_END, DONE };

struct connection {
    int fd; /* -1: not open */
    bool busy, watched_for_writing;
    uint64_t started;
    size_t sent;
    char number[NUMBER_WIDTH];
    enum part part;
    uint64_t left; /* bytes of this part */
    bool is_ok, is_kept, is_bounded, is_mixed_up;
    uint64_t events;
    char text[HEAD_SIZE]; /* the head, then each size line, as far as received */
    size_t text_length;
    char cut[MARK_LENGTH]; /* a mark of which the rest is to come */
    size_t cut_length;
    struct connection *next_idle;
};

struct samples {
    uint64_t *values;
    size_t length, capacity;
};

static int epoll, port;
static char *request, *ticket;
static size_t request_length;
static uint64_t expected_events;
static uint64_t begin, end;
static struct connection *idle;
static uint64_t started_total, busy_total;
static uint64_t answered, events_seen, failed, mixed_up, lost_events;
static struct samples latencies, delays;

static bool in_window(uint64_t instant) { return instant >= begin && instant < end; }

static void add(struct samples *samples, uint64_t value) {
    if (samples->length == samples->capacity) {
        samples->capacity = samples->capacity ? samples->capacity * 2 : 65536;
        samples->values = checked(realloc(samples->values, samples->capacity * sizeof *samples->values));
    }
    samples->values[samples->length++] = value;
}

/* ------------------------------------------------------------------ sending */

static void disconnect(struct connection *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

static void release(struct connection *c) {
    c->busy = false;
    busy_total--;
    c->next_idle = idle;
    idle = c;
}

static void fail(struct connection *c) {
    failed++;
    disconnect(c);
    release(c);
}

static void open_connection(struct connection *c) {
    struct sockaddr_in address = loopback(port);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket");
    set_nodelay(c->fd);
    /* A refusal shows in the first send. */
    connect(c->fd, (struct sockaddr *)&address, sizeof address);
    watch(epoll, EPOLL_CTL_ADD, c->fd, EPOLLIN | EPOLLOUT, c);
    c->watched_for_writing = true;
}

static void watch_writing(struct connection *c, bool wanted) {
    if (c->watched_for_writing == wanted) return;
    watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN | (wanted ? EPOLLOUT : 0), c);
    c->watched_for_writing = wanted;
}

/* Sends what is left of the request. */
static void push(struct connection *c) {
    memcpy(ticket + NUMBER_AT, c->number, NUMBER_WIDTH);
    while (c->sent < request_length) {
        ssize_t sent = send(c->fd, request + c->sent, request_length - c->sent, 0);
        if (sent < 0) {
            if (errno == EAGAIN) watch_writing(c, true);
            else fail(c);
            return;
        }
        c->sent += (size_t)sent;
    }
    watch_writing(c, false);
}

static void start(struct connection *c, uint64_t instant) {
    write_digits(c->number, ++started_total, NUMBER_WIDTH);
    c->started = instant;
    c->sent = c->text_length = c->cut_length = 0;
    c->events = 0;
    c->is_mixed_up = false;
    c->part = HEAD;
    c->busy = true;
    busy_total++;
    if (c->fd < 0) open_connection(c); /* the request goes when it is writable */
    else push(c);
}

/* ------------------------------------------------------------------ receiving */

static void note_mark(struct connection *c, const char *mark, uint64_t now) {
    uint64_t sent = read_digits(mark + MARK_TIME_AT, TIME_WIDTH);
    if (memcmp(mark + MARK_NUMBER_AT, c->number, NUMBER_WIDTH)) c->is_mixed_up = true;
    c->events++;
    if (!in_window(now)) return;
    events_seen++;
    add(&delays, now > sent ? now - sent : 0);
}

/* Finds the marks in a piece of the body, also where one is cut in two. */
static void scan(struct connection *c, const char *bytes, size_t length, uint64_t now) {
    const char *stop = bytes + length;
    if (c->cut_length) {
        size_t missing = MARK_LENGTH - c->cut_length, taken = length < missing ? length : missing;
        memcpy(c->cut + c->cut_length, bytes, taken);
        c->cut_length += taken;
        bytes += taken;
        if (taken < missing) return;
        c->cut_length = 0;
        note_mark(c, c->cut, now);
    }
    while ((bytes = memchr(bytes, MARK[0], (size_t)(stop - bytes)))) {
        if (stop - bytes < MARK_LENGTH) {
            c->cut_length = (size_t)(stop - bytes);
            memcpy(c->cut, bytes, c->cut_length);
            return;
        }
        note_mark(c, bytes, now);
        bytes += MARK_LENGTH;
    }
}

static void read_head(struct connection *c) {
    const char *length = find_header(c->text, c->text_length, "content-length");
    const char *encoding = find_header(c->text, c->text_length, "transfer-encoding");
    const char *kept = find_header(c->text, c->text_length, "connection");
    c->is_ok = c->text_length > 12 && !memcmp(c->text + 9, "200", 3);
    c->is_bounded = length || encoding; /* else the answer ends with the connection */
    c->is_kept = c->is_bounded && !(kept && !strncasecmp(kept, "close", 5));
    c->left = length ? strtoull(length, NULL, 10) : UINT64_MAX;
    c->part = encoding ? SIZE_LINE : c->left ? BODY : DONE;
}

static void read_size_line(struct connection *c) {
    c->left = strtoull(c->text, NULL, 16);
    c->part = c->left ? CHUNK : LAST_END;
    if (!c->left) c->left = 2;
}

/* Takes text up to and with its end mark; returns how much of the bytes that was. */
static size_t take_text(struct connection *c, const char *bytes, size_t length, const char *mark) {
    size_t before = c->text_length, room = HEAD_SIZE - 1 - before, taken = length < room ? length : room;
    memcpy(c->text + before, bytes, taken);
    c->text_length += taken;
    c->text[c->text_length] = 0;
    char *found = memmem(c->text, c->text_length, mark, strlen(mark));
    if (!found) return taken;
    c->text_length = (size_t)(found - c->text) + strlen(mark);
    c->text[c->text_length] = 0;
    if (c->part == HEAD) read_head(c);
    else read_size_line(c);
    taken = c->text_length - before;
    c->text_length = 0;
    return taken;
}

/* Takes as many bytes as belong to the present part; returns how many, 0 if they make no sense. */
static size_t take(struct connection *c, const char *bytes, size_t length, uint64_t now) {
    static const enum part NEXT[] = {[BODY] = DONE, [CHUNK] = CHUNK_END, [CHUNK_END] = SIZE_LINE, [LAST_END] = DONE};
    if (c->part == DONE) return 0;
    if (c->part == HEAD) return take_text(c, bytes, length, "\r\n\r\n");
    if (c->part == SIZE_LINE) return take_text(c, bytes, length, "\r\n");
    size_t taken = length < c->left ? length : (size_t)c->left;
    if (c->part == BODY || c->part == CHUNK) scan(c, bytes, taken, now);
    c->left -= taken;
    if (!c->left) {
        c->part = NEXT[c->part];
        c->left = c->part == CHUNK_END ? 2 : 0;
    }
    return taken;
}

static void finish(struct connection *c, uint64_t now) {
    if (!c->is_ok) failed++;
    else if (c->is_mixed_up || c->events > expected_events) mixed_up++;
    else {
        lost_events += expected_events - c->events;
        if (in_window(now)) answered++;
        if (in_window(c->started)) add(&latencies, now - c->started);
    }
    if (!c->is_kept || c->sent < request_length) disconnect(c); /* answered early: the rest would be taken for a request */
    release(c);
}

static void end_of_connection(struct connection *c) {
    if (!c->busy) {
        disconnect(c);
    } else if (c->part == BODY && !c->is_bounded) {
        finish(c, now_ns());
    } else {
        fail(c);
    }
}

static void receive(struct connection *c) {
    static char bytes[RECEIVE_SIZE];
    ssize_t length = recv(c->fd, bytes, sizeof bytes, 0);
    if (length < 0 && errno == EAGAIN) return;
    if (length <= 0 || !c->busy) {
        end_of_connection(c);
        return;
    }
    uint64_t now = now_ns();
    size_t at = 0, taken;
    while (at < (size_t)length && (taken = take(c, bytes + at, (size_t)length - at, now))) at += taken;
    if (at < (size_t)length) fail(c); /* more than the answer, or a head without an end */
    else if (c->part == DONE) finish(c, now);
}

/* ------------------------------------------------------------------ the run */

static double random_unit(void) {
    static uint64_t state = 88172645463325252u; /* the same instants in every run */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) / 9007199254740992.0;
}

/* Starts what is due: in the closed loop every idle connection, in the open one as many as the schedule says. A request
 * that finds no idle connection keeps its instant and waits. Returns when to look again. */
static uint64_t start_due(double rate, uint64_t requests, uint64_t *next) {
    uint64_t now = now_ns();
    while (idle && *next <= now && now < end && (!requests || started_total < requests)) {
        struct connection *c = idle;
        idle = c->next_idle;
        start(c, rate > 0 ? *next : now_ns());
        if (rate > 0) *next += (uint64_t)(-log(1 - random_unit()) / rate * (double)SECOND);
    }
    return idle && *next > now ? *next : now + SECOND / 100;
}

static void announce(const char *line, uint64_t instant, uint64_t now, bool *is_said) {
    if (*is_said || now < instant) return;
    *is_said = true;
    puts(line);
    fflush(stdout);
}

static void run(double rate, uint64_t requests, uint64_t next) {
    static struct epoll_event events[1024];
    bool has_begun = false, has_ended = false;
    for (;;) {
        uint64_t wake = start_due(rate, requests, &next), now = now_ns();
        announce("begin", begin, now, &has_begun);
        announce("end", end, now, &has_ended);
        if (now >= end && (!busy_total || now >= end + GRACE)) return;
        int ready = wait_until(epoll, events, 1024, wake);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->fd >= 0 && events[i].events & EPOLLOUT && c->busy) push(c);
            if (c->fd >= 0 && events[i].events & ~(uint32_t)EPOLLOUT) receive(c);
        }
    }
}

static void make_connections(size_t count) {
    struct connection *all = checked(calloc(count, sizeof *all));
    for (size_t i = count; i-- > 0;) {
        all[i].fd = -1;
        all[i].next_idle = idle;
        idle = &all[i];
    }
}

static void load_request(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) die(path);
    request_length = (size_t)ftell(file);
    request = checked(malloc(request_length));
    rewind(file);
    if (fread(request, 1, request_length, file) != request_length) die(path);
    fclose(file);
    ticket = find_ticket(request, request_length);
    if (!ticket) {
        fputs("driver: no ticket in the request\n", stderr);
        exit(2);
    }
    expected_events = read_digits(ticket + EVENTS_AT, EVENTS_WIDTH);
    if (!expected_events) expected_events = 1; /* the answer in one piece has a mark, too */
}

/* ------------------------------------------------------------------ the results */

static int compare(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void print_percentiles(const char *name, struct samples *samples) {
    if (!samples->length) return;
    qsort(samples->values, samples->length, sizeof *samples->values, compare);
    printf("\"%s_p50\":%.1f,\"%s_p99\":%.1f,", name, (double)samples->values[samples->length / 2] / 1e3, name,
           (double)samples->values[samples->length * 99 / 100] / 1e3);
}

static void print_results(void) {
    putchar('{');
    print_percentiles("latency", &latencies);
    print_percentiles("delay", &delays);
    printf("\"seconds\":%.3f,\"answered\":%lu,\"events\":%lu,", (double)(end - begin) / 1e9, answered, events_seen);
    printf("\"failed\":%lu,\"mixed_up\":%lu,\"lost_events\":%lu,", failed, mixed_up, lost_events);
    printf("\"unfinished\":%lu}\n", busy_total);
}

int main(int count, char **arguments) {
    if (count != 8) {
        fputs("usage: driver PORT REQUEST_FILE CONNECTIONS RATE REQUESTS WARM_SECONDS END_SECONDS\n", stderr);
        return 2;
    }
    prepare_process();
    port = atoi(arguments[1]);
    load_request(arguments[2]);
    make_connections(strtoull(arguments[3], NULL, 10));
    epoll = epoll_create1(EPOLL_CLOEXEC);
    uint64_t origin = now_ns();
    begin = origin + (uint64_t)(atof(arguments[6]) * 1e9);
    end = origin + (uint64_t)(atof(arguments[7]) * 1e9);
    run(atof(arguments[4]), strtoull(arguments[5], NULL, 10), origin);
    print_results();
    return 0;
}
