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
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/hash.h"
#include "store/base/quote.h"

enum { LINE_BYTES = 2048, RECENT = 256, BURST = 4 };

static struct {
    pthread_mutex_t lock;
    int level;
    int journal; /* -1: not looked yet */
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

int log_level_of(const char *word)
{
    for (int i = LOG_ERR; i <= LOG_DEBUG; i++) {
        if (strcmp(words[i], word) == 0) {
            return i;
        }
    }
    return -1;
}

/* systemd tells in JOURNAL_STREAM which socket is the journal's. */
static bool stderr_is_journal(void)
{
    const char *text = getenv("JOURNAL_STREAM");
    struct stat st;
    unsigned long long dev, ino;
    char *end;

    if (text == NULL || fstat(STDERR_FILENO, &st) != 0) {
        return false;
    }
    dev = strtoull(text, &end, 10);

    if (*end != ':') {
        return false;
    }
    ino = strtoull(end + 1, &end, 10);
    return *end == '\0' && dev == (unsigned long long)st.st_dev &&
           ino == (unsigned long long)st.st_ino;
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

void log_event(int level, const char *event, const char *replica, int dr,
               const char *fmt, ...)
{
    if (level < LOG_ERR) {
        level = LOG_ERR;
    }
    if (level > LOG_DEBUG) {
        level = LOG_DEBUG;
    }
    char line[LINE_BYTES];
    size_t at;
    unsigned held = 0;
    pthread_mutex_lock(&state.lock);
    if (state.journal < 0) {
        state.journal = stderr_is_journal();
    }
    bool pass = level <= state.level &&
                (level == LOG_DEBUG || admit(event, replica, dr, &held));
    at = pass ? put_prefix(line, sizeof line, level) : 0;
    pthread_mutex_unlock(&state.lock);
    if (!pass) {
        return;
    }
    at += (size_t)snprintf(line + at, sizeof line - at, "%.60s", event);
    if (replica != NULL) {
        at += (size_t)snprintf(line + at, sizeof line - at, " replica=%.80s",
                               replica);
    }
    if (dr != 0) {
        at += (size_t)snprintf(line + at, sizeof line - at, " DR-%03d", dr);
    }
    line[at++] = ' ';
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line + at, sizeof line - at - 64, fmt, ap);
    va_end(ap);
    size_t body = n < 0 ? 0 : (size_t)n;
    if (body > sizeof line - at - 65) {
        body = sizeof line - at - 65;
    }
    /* Whatever a peer or a file name brought in must not act on a terminal or
     * begin a line of its own. */
    quote_tame(line + at);
    at += body;
    if (held > 0) {
        at += (size_t)snprintf(line + at, sizeof line - at,
                               " (%u like this were left out)", held);
    }
    line[at++] = '\n';
    /* Nothing can be done about a stderr that takes no more. */
    ssize_t ignored = write(STDERR_FILENO, line, at);
    (void)ignored;
}
