/* SPDX-License-Identifier: MIT
 *
 * log: see log.h.
 *
 * The line is built in one buffer and written with one write(2), so lines of
 * threads do not mix.  Holding back needs a memory of recent (event, number,
 * replica) triples: a small fixed table, in which a collision only means that
 * one is forgotten early.
 */
#include "agent/base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/journal.h"
#include "agent/base/log_json.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/hash.h"
#include "store/base/quote.h"

enum { LINE_BYTES = 2048, RECENT = 256, BURST = 4 };

static struct {
    pthread_mutex_t lock;
    int level;
    bool json;
    int journal;       /* -1: not looked yet */
    char database[80]; /* "": not known yet */
    void (*keep)(void *arg, const struct log_record *r);
    void *keep_arg;
    struct recent {
        uint64_t hash;
        int64_t since_ns;
        unsigned passed, held;
    } recent[RECENT];
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_INFO, .journal = -1};

static const char *const words[] = {
    [LOG_ERR] = "error", [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
    [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

void log_set_level(int level)
{
    pthread_mutex_lock(&state.lock);
    state.level = level;
    pthread_mutex_unlock(&state.lock);
}

void log_set_json(bool json)
{
    pthread_mutex_lock(&state.lock);
    state.json = json;
    pthread_mutex_unlock(&state.lock);
}

void log_set_database(const char *name)
{
    (void)snprintf(state.database, sizeof state.database, "%s", name);
}

void log_set_keeper(void (*keep)(void *arg, const struct log_record *r),
                    void *arg)
{
    pthread_mutex_lock(&state.lock);
    state.keep = keep;
    state.keep_arg = arg;
    pthread_mutex_unlock(&state.lock);
}

const char *log_level_word(int level)
{
    return words[level < LOG_ERR     ? LOG_ERR
                 : level > LOG_DEBUG ? LOG_DEBUG
                                     : level];
}

int log_level_of(const char *word)
{
    for (int i = LOG_ERR; i <= LOG_DEBUG; i++) {
        if (strcmp(words[i], word) == 0) {
            return i;
        }
    }
    return -1;
}

/* True when this line may pass; *held_out: how many were left out before. */
static bool admit(const char *event, const char *replica, int dr,
                  unsigned *held_out)
{
    char name[160];
    int n = snprintf(name, sizeof name, "%s/%d/%s", event, dr,
                     replica != NULL ? replica : "");
    size_t len = n < 0 ? 0 : (size_t)n;
    uint64_t hash = hash_local(name, len < sizeof name ? len : sizeof name);
    struct recent *r = &state.recent[hash % RECENT];
    int64_t now_ns = clock_mono_ns();

    *held_out = 0;
    if (r->hash != hash || now_ns - r->since_ns > 10 * NS_PER_S) {
        if (r->hash == hash) {
            *held_out = r->held;
        }
        *r = (struct recent){.hash = hash, .since_ns = now_ns, .passed = 1};
        return true;
    }
    if (r->passed < BURST) {
        r->passed++;
        return true;
    }
    r->held++;
    return false;
}

static size_t put_prefix(char *line, size_t room, int level)
{
    if (state.journal) {
        return (size_t)snprintf(line, room, "<%d>", level);
    }
    int64_t now_ns = clock_real_ns();
    time_t seconds = (time_t)(now_ns / NS_PER_S);
    struct tm tm;
    char when[32] = "";
    if (localtime_r(&seconds, &tm) != NULL) {
        (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
    }
    return (size_t)snprintf(line, room, "%s.%03d %-7s  ", when,
                            (int)(now_ns % NS_PER_S / NS_PER_MS), words[level]);
}

struct line {
    char text[LINE_BYTES];
    size_t prefix; /* what only standard error gets */
    size_t body;   /* where what follows the names begins */
    size_t at;
    bool loud; /* it is for the log, and not only for who keeps it */
};

/* May it pass?  Then its beginning is in the line. */
static bool begin(struct line *l, int level, const char *event,
                  const char *replica, int dr, unsigned *held_out)
{
    pthread_mutex_lock(&state.lock);
    if (state.journal < 0) {
        state.journal = journal_has_stderr();
    }
    l->loud = level <= state.level;
    bool kept = state.keep != NULL && level <= LOG_INFO;
    bool pass = (l->loud || kept) &&
                (level == LOG_DEBUG || admit(event, replica, dr, held_out));
    l->at = l->prefix = pass ? put_prefix(l->text, sizeof l->text, level) : 0;
    pthread_mutex_unlock(&state.lock);
    return pass;
}

static void put_names(struct line *l, const char *event, const char *replica,
                      int dr)
{
    size_t room = sizeof l->text;

    l->at += (size_t)snprintf(l->text + l->at, room - l->at, "%.60s", event);
    if (replica != NULL) {
        l->at += (size_t)snprintf(l->text + l->at, room - l->at,
                                  " replica=%.80s", replica);
    }
    if (dr != 0) {
        l->at +=
            (size_t)snprintf(l->text + l->at, room - l->at, " DR-%03d", dr);
    }
    l->text[l->at++] = ' ';
}

__attribute__((format(printf, 2, 0))) static void
put_body(struct line *l, const char *fmt, va_list ap)
{
    size_t room = sizeof l->text - l->at - 64;
    int n = vsnprintf(l->text + l->at, room, fmt, ap);
    size_t body = n < 0 ? 0 : (size_t)n;

    /* Whatever a peer or a file name brought in must not act on a terminal or
     * begin a line of its own. */
    quote_tame(l->text + l->at);
    l->at += body < room ? body : room - 1;
}

static void keep(const struct log_record *r)
{
    pthread_mutex_lock(&state.lock);
    if (state.keep != NULL && r->level <= LOG_INFO) {
        state.keep(state.keep_arg, r);
    }
    pthread_mutex_unlock(&state.lock);
}

/* Without memory the plain line is better than none. */
static bool put_json(const struct log_record *r)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    struct json_out j = {.buf = &b};

    json_begin_object(&j, NULL);
    if (state.database[0] != '\0') {
        json_text(&j, "db", state.database);
    }
    log_json(&j, clock_real_ns(), r);
    json_end_object(&j);
    buf_u8(&b, '\n');
    if (!b.bad) {
        ssize_t ignored = write(STDERR_FILENO, b.data, b.len);
        (void)ignored;
    }
    return !b.bad;
}

/* Nothing can be done about a stderr that takes no more. */
static void put_out(struct line *l)
{
    l->text[l->at++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, l->text, l->at);
    (void)ignored;
}

void log_event(int level, const char *event, const char *replica, int dr,
               const char *fmt, ...)
{
    struct line l;
    unsigned held = 0;
    va_list ap;

    level = level < LOG_ERR ? LOG_ERR : level > LOG_DEBUG ? LOG_DEBUG : level;
    if (!begin(&l, level, event, replica, dr, &held)) {
        return;
    }
    put_names(&l, event, replica, dr);
    l.body = l.at;
    va_start(ap, fmt);
    put_body(&l, fmt, ap);
    va_end(ap);
    if (held > 0) {
        l.at += (size_t)snprintf(l.text + l.at, sizeof l.text - l.at,
                                 " (%u like this were left out)", held);
    }
    const struct log_record r = {.level = level,
                                 .event = event,
                                 .replica = replica,
                                 .dr = dr,
                                 .text = l.text + l.body,
                                 .len = l.at - l.body};
    keep(&r);
    if (!l.loud || (state.json && put_json(&r))) {
        return;
    }
    const struct journal_entry e = {
        .level = level,
        .event = event,
        .database = state.database[0] != '\0' ? state.database : NULL,
        .replica = replica,
        .dr = dr,
        .message = l.text + l.prefix,
        .len = l.at - l.prefix};
    if (!state.journal || !journal_send(&e)) {
        put_out(&l);
    }
}
