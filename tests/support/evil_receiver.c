/* SPDX-License-Identifier: MIT
 *
 * evil_receiver: a receiver that does what none should, in one way at a time.
 *
 *     evil_receiver HOW [COUNT-FILE]
 *
 * Where HOW says nothing else it follows the protocol like a receiver whose
 * disk is empty and whose digests are never right: it acknowledges what it gets
 * and keeps nothing.  Each start appends a byte to COUNT-FILE.  --list prints
 * the ways there are.
 *
 * One thread around poll(2): what is asked is answered when there is room, and
 * a flood fills whatever the other end takes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sync/index/index.h"
#include "sync/wire/wire.h"
#include "tests/support/plain_key.h"

struct evil {
    const struct way *way;
    struct wire_in in;
    struct buf out;
    size_t sent; /* of out */
    uint64_t rng;
    uint64_t last_seq;
    uint64_t asked; /* id of the last question */
    enum wire_type question;
    struct digest names[WIRE_BATCH_MAX];
    size_t names_count;
    bool greeted; /* HELLO came */
};

static uint64_t rng_next(struct evil *e)
{
    uint64_t z = (e->rng += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* One way of being evil.  `frame` returns true when it answered a frame itself;
 * `flood` is called whenever everything before is out. */
struct way {
    const char *name;
    bool (*frame)(struct evil *e, enum wire_type type, struct bytes body);
    void (*flood)(struct evil *e);
    bool mute;       /* no magic at the start */
    bool deaf;       /* reads nothing */
    bool keep_out;   /* says nothing by itself */
    int pace_ms;     /* one byte per so many ms */
    bool stderr_too; /* writes lines without end to stderr */
};

/* Say it at once: the end of this process follows, or of its stream. */
static void shout(int fd, const void *p, size_t n)
{
    if (write(fd, p, n) < 0) {
        exit(1);
    }
}

/* --- what an honest one would say ---------------------------------------- */

static const struct digest WRONG = {5, 5};

static void say_hello_ok(struct evil *e)
{
    struct wire_hello_ok ok = {
        .proto = WIRE_PROTO_MAX,
        .epoch = 1,
        .version = bytes_of("\033]0;owned\a\xc2\x9b", 12),
        .host = bytes_of("\033[2J", 4),
    };

    wire_put_hello_ok(&e->out, &ok);
}

static void say_ready(struct evil *e)
{
    struct wire_ready ready = {.root = WRONG};

    wire_put_ready(&e->out, &ready);
}

static void say_ack(struct evil *e, uint64_t seq)
{
    wire_put_ack(&e->out, &seq, 1);
}

static void say_nodes(struct evil *e, uint16_t node)
{
    struct digest nodes[INDEX_NODES];

    for (size_t i = 0; i < INDEX_NODES; i++) {
        nodes[i] = WRONG;
    }
    wire_put_nodes(&e->out, e->asked, node, nodes);
}

static void honest_question(struct evil *e, enum wire_type type, struct cur *c)
{
    struct wire_pong pong = {.id = e->asked, .root = WRONG};
    struct wire_scan_done done = {.id = e->asked, .result = {.root = WRONG}};
    struct wire_names_out names;

    if (type == WIRE_PING) {
        wire_put_pong(&e->out, &pong);
    } else if (type == WIRE_SCAN) {
        wire_put_scan_done(&e->out, &done);
    } else if (type == WIRE_TREE) {
        say_nodes(e, cur_u16(c));
    } else if (type == WIRE_LIST) {
        wire_put_listing(&e->out, e->asked, true, NULL, 0);
    } else if (type == WIRE_RESOLVE) {
        wire_names_begin(&e->out, &names, e->asked);
        wire_names_end(&e->out, &names, true);
    }
}

static bool is_change(enum wire_type type)
{
    return type == WIRE_SET || type == WIRE_SET_END || type == WIRE_DELETE ||
           type == WIRE_TABLE_SET || type == WIRE_TABLE_DROP;
}

static void note_names(struct evil *e, struct bytes body)
{
    struct wire_items m;
    struct err err;

    e->names_count = 0;
    if (wire_get_items(WIRE_RESOLVE, body, &m, &err) == 0) {
        while (e->names_count < WIRE_BATCH_MAX &&
               wire_item_resolve(&m, &e->names[e->names_count]) > 0) {
            e->names_count++;
        }
    }
}

static void on_frame(struct evil *e, enum wire_type type, struct bytes body)
{
    struct cur c = cur_of(body.p, body.len);
    uint64_t number = type == WIRE_HELLO || type == WIRE_BYE ? 0 : cur_u64(&c);

    if (is_change(type)) {
        e->last_seq = number;
    } else if (type >= WIRE_PING && type <= WIRE_RESOLVE) {
        e->asked = number;
        e->question = type;
    }
    if (type == WIRE_RESOLVE) {
        note_names(e, body);
    }
    if (type == WIRE_HELLO) {
        e->greeted = true;
    }
    if ((e->way->frame != NULL && e->way->frame(e, type, body)) ||
        e->way->keep_out) {
        return;
    }
    if (type == WIRE_HELLO) {
        say_hello_ok(e);
        say_ready(e);
    } else if (is_change(type)) {
        say_ack(e, number);
    } else if (type == WIRE_BYE) {
        exit(0);
    } else {
        honest_question(e, type, &c);
    }
}

/* --- acknowledgements ---------------------------------------------------- */

static bool ack_unsent(struct evil *e, enum wire_type type, struct bytes body)
{
    (void)body;
    if (type == WIRE_HELLO) {
        say_hello_ok(e);
        say_ready(e);
        say_ack(e, UINT64_C(1) << 40);
        return true;
    }
    return false;
}

static bool ack_early(struct evil *e, enum wire_type type, struct bytes body)
{
    (void)body;
    if (is_change(type)) {
        say_ack(e, e->last_seq);
        say_ack(e, e->last_seq + 1);
        return true;
    }
    return false;
}

static bool ack_twice(struct evil *e, enum wire_type type, struct bytes body)
{
    (void)body;
    if (is_change(type)) {
        say_ack(e, e->last_seq);
        say_ack(e, e->last_seq);
        return true;
    }
    return false;
}

/* The newest only, and then those before it one by one. */
static bool ack_backwards(struct evil *e, enum wire_type type,
                          struct bytes body)
{
    static uint64_t held[64];
    static size_t count;

    (void)body;
    if (!is_change(type)) {
        return false;
    }
    held[count++] = e->last_seq;
    if (count == 64) {
        while (count > 0) {
            say_ack(e, held[--count]);
        }
    }
    return true;
}

static bool nak_all(struct evil *e, enum wire_type type, struct bytes body)
{
    struct wire_nak nak = {.seq = e->last_seq,
                           .code = (uint16_t)-ERR_NOSPACE,
                           .sys = 28,
                           .text = bytes_of("\033[31mno\n<0>forged", 17)};

    (void)body;
    if (is_change(type)) {
        wire_put_nak(&e->out, &nak);
        return true;
    }
    return false;
}

static bool never_ack(struct evil *e, enum wire_type type, struct bytes body)
{
    (void)e;
    (void)body;
    return is_change(type);
}

/* --- frames that are none ------------------------------------------------ */

static bool huge_length(struct evil *e, enum wire_type type, struct bytes body)
{
    (void)body;
    if (type == WIRE_HELLO) {
        say_hello_ok(e);
        buf_u32(&e->out, UINT32_MAX);
        buf_u8(&e->out, WIRE_NOTICE);
    }
    return type == WIRE_HELLO;
}

static bool zero_length(struct evil *e, enum wire_type type, struct bytes body)
{
    (void)body;
    if (type == WIRE_HELLO) {
        buf_u32(&e->out, 0);
    }
    return type == WIRE_HELLO;
}

static bool wrong_way(struct evil *e, enum wire_type type, struct bytes body)
{
    (void)body;
    if (type == WIRE_HELLO) {
        say_hello_ok(e);
        wire_put_set_abort(&e->out, 1);
    }
    return type == WIRE_HELLO;
}

static bool error_frame(struct evil *e, enum wire_type type, struct bytes body)
{
    static char text[WIRE_TEXT_MAX];
    struct wire_error m = {.id = UINT16_MAX,
                           .text = bytes_of(text, sizeof text),
                           .hint = bytes_of("rm -rf /\033[8m", 12)};

    (void)body;
    memset(text, '\033', sizeof text);
    if (type == WIRE_HELLO) {
        wire_put_error(&e->out, &m);
    }
    return type == WIRE_HELLO;
}

static bool bye_at_once(struct evil *e, enum wire_type type, struct bytes body)
{
    (void)body;
    if (type == WIRE_HELLO) {
        say_hello_ok(e);
        say_ready(e);
        wire_put_bye(&e->out);
    }
    return type == WIRE_HELLO;
}

static bool cut_frame(struct evil *e, enum wire_type type, struct bytes body)
{
    (void)body;
    if (type == WIRE_HELLO) {
        say_hello_ok(e);
        buf_u32(&e->out, 100);
        shout(STDOUT_FILENO, e->out.data, e->out.len);
        exit(0);
    }
    return false;
}

/* --- exits --------------------------------------------------------------- */

static bool exit_hello(struct evil *e, enum wire_type type, struct bytes body)
{
    (void)e;
    (void)type;
    (void)body;
    exit(0);
}

static bool exit_change(struct evil *e, enum wire_type type, struct bytes body)
{
    (void)e;
    (void)body;
    if (is_change(type)) {
        exit(3);
    }
    return false;
}

static bool exit_question(struct evil *e, enum wire_type type,
                          struct bytes body)
{
    (void)e;
    (void)body;
    if (type == WIRE_TREE || type == WIRE_LIST) {
        abort();
    }
    return false;
}

/* --- ends of streams ----------------------------------------------------- */

static bool close_out(struct evil *e, enum wire_type type, struct bytes body)
{
    (void)e;
    (void)type;
    (void)body;
    (void)close(STDOUT_FILENO);
    pause(); /* until the agent ends us */
    return true;
}

static bool close_in(struct evil *e, enum wire_type type, struct bytes body)
{
    (void)body;
    if (type == WIRE_HELLO) {
        say_hello_ok(e);
        say_ready(e);
        shout(STDOUT_FILENO, e->out.data, e->out.len);
        (void)close(STDIN_FILENO);
        pause();
    }
    return true;
}

/* --- floods -------------------------------------------------------------- */

static void flood_hellos(struct evil *e)
{
    for (int i = 0; e->greeted && i < 500; i++) {
        say_hello_ok(e);
    }
}

static void flood_notices(struct evil *e)
{
    for (int i = 0; e->greeted && i < 500; i++) {
        wire_put_notice(&e->out, "\033[2Jlook at me\n<0>forged");
    }
}

static void flood_small_notices(struct evil *e)
{
    for (int i = 0; e->greeted && i < 9000; i++) {
        wire_put_notice(&e->out, "");
    }
}

static void flood_blocked(struct evil *e)
{
    for (uint64_t i = 0; e->greeted && i < 500; i++) {
        struct wire_blocked m = {.seq = i, .comm = bytes_of("\033c", 2)};
        wire_put_blocked(&e->out, &m);
    }
}

static void flood_noise(struct evil *e)
{
    static char noise[32768];

    memset(noise, 0x1b, sizeof noise);
    buf_put(&e->out, noise, sizeof noise);
}

/* The last change's answer waits for ever; it is reported as blocked. */
static bool hold_change(struct evil *e, enum wire_type type, struct bytes body)
{
    (void)e;
    (void)body;
    return is_change(type);
}

static void flood_blocked_true(struct evil *e)
{
    for (uint64_t i = 0; e->last_seq != 0 && i < 500; i++) {
        struct wire_blocked m = {.seq = e->last_seq,
                                 .pid = (uint32_t)i,
                                 .comm = bytes_of("\033c", 2)};
        wire_put_blocked(&e->out, &m);
    }
}

/* --- comparisons --------------------------------------------------------- */

static void put_random_listing(struct evil *e, bool last, uint16_t bucket)
{
    static struct digest items[WIRE_BATCH_MAX][2];

    for (size_t i = 0; i < WIRE_BATCH_MAX; i++) {
        uint64_t r = rng_next(e);
        items[i][0] =
            (struct digest){r, (uint64_t)bucket << 48 | (rng_next(e) >> 16)};
        items[i][1] = (struct digest){r, r};
    }
    wire_put_listing(&e->out, e->asked, last, (const struct digest(*)[2])items,
                     WIRE_BATCH_MAX);
}

static uint16_t first_bucket;

static bool note_list(struct evil *e, enum wire_type type, struct bytes body)
{
    static struct wire_list m;
    struct err err;

    if (type != WIRE_LIST) {
        return false;
    }
    if (wire_get_list(body, &m, &err) == 0 && m.count > 0) {
        first_bucket = m.buckets[0];
    }
    (void)e;
    return true;
}

/* Listings of what nobody has, without end. */
static void flood_listings(struct evil *e)
{
    if (e->question == WIRE_LIST) {
        put_random_listing(e, false, first_bucket);
    }
}

/* As many as one answer may hold, and the end: again and again. */
static bool list_extras(struct evil *e, enum wire_type type, struct bytes body)
{
    if (!note_list(e, type, body)) {
        return false;
    }
    for (int i = 0; i < 3; i++) {
        put_random_listing(e, false, first_bucket);
    }
    put_random_listing(e, true, first_bucket);
    return true;
}

static bool names_of_extras(struct evil *e, enum wire_type type,
                            struct bytes body)
{
    return type == WIRE_RESOLVE || list_extras(e, type, body);
}

/* Names that were asked for, with names that are not theirs. */
static void flood_names(struct evil *e)
{
    static struct wire_name name;
    struct wire_names_out out;

    if (e->question != WIRE_RESOLVE || e->names_count == 0) {
        return;
    }
    wire_names_begin(&e->out, &out, e->asked);
    name = (struct wire_name){.name = e->names[0],
                              .table = bytes_of("t", 1),
                              .key = bytes_of("\033[2J", 4)};
    while (out.count < 4000 && wire_names_add(&e->out, &out, &name)) {
    }
    wire_names_end(&e->out, &out, false);
}

/* A key that only this replica has, whose name is true and ugly. */
static bool ugly_extra(struct evil *e, enum wire_type type, struct bytes body)
{
    static struct wire_name name;
    static const char key[] = "\033[2J\n\x01\xff";
    struct digest items[1][2];
    struct wire_names_out out;

    if (!note_list(e, type, body) && type != WIRE_RESOLVE) {
        return false;
    }
    items[0][0] = index_name_key(&plain_key, "t", 1, key, sizeof key - 1);
    items[0][1] = WRONG;
    if (type == WIRE_LIST) {
        wire_put_listing(&e->out, e->asked, true,
                         (const struct digest(*)[2])items, 1);
        return true;
    }
    wire_names_begin(&e->out, &out, e->asked);
    name = (struct wire_name){.name = items[0][0],
                              .table = bytes_of("t", 1),
                              .key = bytes_of(key, sizeof key - 1)};
    (void)wire_names_add(&e->out, &out, &name);
    wire_names_end(&e->out, &out, true);
    return true;
}

static const struct way WAYS[] = {
    /* lies */
    {.name = "wrong_digests"},
    {.name = "ack_unsent", .frame = ack_unsent},
    {.name = "ack_early", .frame = ack_early},
    {.name = "ack_twice", .frame = ack_twice},
    {.name = "ack_backwards", .frame = ack_backwards},
    {.name = "nak_all", .frame = nak_all},
    {.name = "never_ack", .frame = never_ack},
    {.name = "huge_length", .frame = huge_length},
    {.name = "zero_length", .frame = zero_length},
    {.name = "wrong_way", .frame = wrong_way},
    {.name = "error_frame", .frame = error_frame},
    {.name = "ugly_extra", .frame = ugly_extra},
    /* ends */
    {.name = "bye_at_once", .frame = bye_at_once},
    {.name = "cut_frame", .frame = cut_frame},
    {.name = "exit_hello", .frame = exit_hello},
    {.name = "exit_change", .frame = exit_change},
    {.name = "exit_question", .frame = exit_question},
    {.name = "close_out", .frame = close_out},
    {.name = "close_in", .frame = close_in},
    /* stalls */
    {.name = "silence", .mute = true, .keep_out = true},
    {.name = "only_magic", .keep_out = true},
    {.name = "deaf", .deaf = true},
    {.name = "trickle", .pace_ms = 300},
    {.name = "trickle_noise",
     .flood = flood_noise,
     .mute = true,
     .pace_ms = 300},
    /* floods */
    {.name = "flood_hellos", .flood = flood_hellos},
    {.name = "flood_notices", .flood = flood_notices},
    {.name = "flood_small_notices", .flood = flood_small_notices},
    {.name = "flood_blocked", .flood = flood_blocked},
    {.name = "flood_blocked_true",
     .frame = hold_change,
     .flood = flood_blocked_true},
    {.name = "flood_noise",
     .flood = flood_noise,
     .mute = true,
     .keep_out = true},
    {.name = "flood_stderr", .stderr_too = true},
    {.name = "flood_listings", .frame = note_list, .flood = flood_listings},
    {.name = "list_extras", .frame = list_extras},
    {.name = "flood_names", .frame = names_of_extras, .flood = flood_names},
    {.name = NULL},
};

/* --- the loop ------------------------------------------------------------ */

static void input(struct evil *e)
{
    static uint8_t bytes[65536];
    enum wire_type type;
    struct bytes body;
    struct err err;

    ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
    if (n <= 0) {
        exit(n < 0 && errno != EAGAIN ? 1 : 0);
    }
    if (wire_in_add(&e->in, bytes, (size_t)n, &err) != 0) {
        exit(1);
    }
    while (wire_in_next(&e->in, &type, &body, &err) > 0) {
        on_frame(e, type, body);
    }
}

static void output(struct evil *e)
{
    size_t left = e->out.len - e->sent;
    ssize_t n = write(STDOUT_FILENO, e->out.data + e->sent,
                      e->way->pace_ms > 0 ? 1 : left);

    if (n < 0 && errno != EAGAIN) {
        exit(1);
    }
    e->sent += n > 0 ? (size_t)n : 0;
    if (e->sent == e->out.len) {
        buf_clear(&e->out);
        e->sent = 0;
    }
}

static void flood_stderr(void)
{
    static const char line[] = "\033[2J\033]0;owned\a<0>forged\r\n";

    for (int i = 0; i < 200; i++) {
        shout(STDERR_FILENO, line, sizeof line - 1);
    }
}

static void turn(struct evil *e)
{
    struct pollfd fds[] = {
        {.fd = e->way->deaf ? -1 : STDIN_FILENO, .events = POLLIN},
        {.fd = STDOUT_FILENO},
    };

    if (e->out.len == 0 && e->way->flood != NULL) {
        e->way->flood(e);
    }
    if (e->way->stderr_too && e->greeted) {
        flood_stderr();
    }
    fds[1].events = e->out.len > 0 && e->way->pace_ms == 0 ? POLLOUT : 0;
    if (poll(fds, 2, e->way->pace_ms > 0 ? e->way->pace_ms : 100) < 0) {
        exit(1);
    }
    if (fds[0].revents != 0) {
        input(e);
    }
    if (e->out.len > 0 && (fds[1].revents != 0 || e->way->pace_ms > 0)) {
        output(e);
    }
    if (fds[1].revents & (POLLERR | POLLHUP)) {
        exit(1);
    }
}

static void count_start(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

    if (fd < 0 || write(fd, "x", 1) != 1) {
        exit(1);
    }
    (void)close(fd);
}

int main(int argc, char **argv)
{
    static struct evil e;
    const struct way *way = WAYS;

    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (; way->name != NULL; way++) {
            (void)puts(way->name);
        }
        return 0;
    }
    while (argc > 1 && way->name != NULL && strcmp(way->name, argv[1]) != 0) {
        way++;
    }
    if (argc < 2 || way->name == NULL) {
        (void)fputs("usage: evil_receiver HOW [COUNT-FILE]\n", stderr);
        return 64;
    }
    if (argc > 2) {
        count_start(argv[2]);
    }
    e.way = way;
    e.rng = (uint64_t)time(NULL);
    wire_in_init(&e.in);
    (void)fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK);
    if (!way->mute) {
        wire_put_magic(&e.out);
    }
    if (way->deaf) {
        say_hello_ok(&e);
        say_ready(&e);
    }
    for (;;) {
        turn(&e);
    }
}
