/* What driver and mock tell each other through a proxy, in fixed widths so that both can be written and read in place.
 *
 * A request carries a ticket in its body:                    bench-NNNNNNNNNN-EEEEEExGGGGGGGGG
 *     N: number of the request   E: events of the stream, 0 for an answer in one piece   G: microseconds between them
 * The content of each answer and of each event holds a mark:      @TTTTTTTTTTTTTTTTTTT-NNNNNNNNNN
 *     T: when it was sent, CLOCK_MONOTONIC in nanoseconds        N: number of the request it belongs to
 */
#ifndef TICKET_H
#define TICKET_H
#include <stdint.h>
#include <string.h>

#define TICKET "bench-"
enum { NUMBER_WIDTH = 10, EVENTS_WIDTH = 6, GAP_WIDTH = 9, TIME_WIDTH = 19 };
enum {
    NUMBER_AT = sizeof TICKET - 1,
    EVENTS_AT = NUMBER_AT + NUMBER_WIDTH + 1,
    GAP_AT = EVENTS_AT + EVENTS_WIDTH + 1,
    TICKET_LENGTH = GAP_AT + GAP_WIDTH,
    MARK_TIME_AT = 1,
    MARK_NUMBER_AT = MARK_TIME_AT + TIME_WIDTH + 1,
    MARK_LENGTH = MARK_NUMBER_AT + NUMBER_WIDTH,
};
#define MARK "@0000000000000000000-0000000000"

static inline void write_digits(char *at, uint64_t value, int width) {
    for (int i = width - 1; i >= 0; i--, value /= 10) at[i] = (char)('0' + value % 10);
}

static inline uint64_t read_digits(const char *at, int width) {
    uint64_t value = 0;
    for (int i = 0; i < width; i++) value = value * 10 + (uint64_t)(at[i] - '0');
    return value;
}

/* The first whole ticket in a body, or NULL. */
static inline char *find_ticket(const char *body, size_t length) {
    char *found = memmem(body, length, TICKET, NUMBER_AT);
    return found && found + TICKET_LENGTH <= body + length ? found : NULL;
}
#endif
