/* SPDX-License-Identifier: MIT
 *
 * events_file: the files of events.h, and the thread that writes them.
 *
 * Nothing is synced: what a power loss takes from the end is passed over in the
 * numbers.  That there was one is seen by the boot that the first line of each
 * start names: another boot, and no word of a stop.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/events/events_impl.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/hex.h"
#include "store/base/sys.h"
#include "sync/index/boot.h"

static const char NAME[] = "events", OLD_NAME[] = "events.1";
static const char STARTED[] = "agent_started", STOPPED[] = "agent_stopped";

enum {
    FILE_MODE = 0600,
    LINE_MAX_BYTES = 64 * 1024,
    BOOT_TEXT_BYTES = 2 * BOOT_ID_BYTES + 1,
};

/* --- reading ------------------------------------------------------------- */

struct loading {
    struct events *e;
    char boot[BOOT_TEXT_BYTES]; /* of the last start */
    bool stopped;               /* the last line says so */
};

static int64_t time_of(const json_t *event)
{
    const char *text = json_string_value(json_object_get(event, "time"));
    struct tm tm = {0};
    const char *rest =
        text != NULL ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

    if (rest == NULL) {
        return 0;
    }
    long ms = rest[0] == '.' ? strtol(rest + 1, NULL, 10) : 0;
    return (int64_t)timegm(&tm) * NS_PER_S +
           (ms > 0 && ms < 1000 ? ms : 0) * NS_PER_MS;
}

/* A line that is none, or whose number is not above the last, is left out. */
static void take_line(struct loading *l, const char *line, size_t len)
{
    CLEANUP(json_decrefp) json_t *event = json_loadb(line, len, 0, NULL);
    json_int_t number = json_integer_value(json_object_get(event, "n"));
    const char *word = json_string_value(json_object_get(event, "event"));
    const char *text = json_string_value(json_object_get(event, "text"));

    if (word == NULL || text == NULL || number <= 0 ||
        (uint64_t)number < l->e->next ||
        !events_keep(l->e, (uint64_t)number, time_of(event), line, len)) {
        return;
    }
    l->e->next = (uint64_t)number + 1;
    l->stopped = strcmp(word, STOPPED) == 0;
    if (strcmp(word, STARTED) == 0) {
        (void)snprintf(l->boot, sizeof l->boot, "%s", text);
    }
}

static void take_file(struct loading *l, const char *name)
{
    enum { ROOM = EVENTS_FILE_BYTES + LINE_MAX_BYTES };
    CLEANUP(fd_closep) int fd = sys_open_file(l->e->dir_fd, name);
    CLEANUP(freep) char *all = malloc(ROOM);
    ssize_t n = fd >= 0 && all != NULL ? sys_read_full(fd, all, ROOM) : 0;
    const char *p = all;

    while (n > 0) {
        const char *end = memchr(p, '\n', (size_t)n);
        size_t len = end != NULL ? (size_t)(end - p) + 1 : (size_t)n;
        if (end != NULL) {
            take_line(l, p, len);
        }
        p += len;
        n -= (ssize_t)len;
    }
}

static void boot_text(int fd, char out[BOOT_TEXT_BYTES])
{
    struct boot boot;

    boot_now(fd, &boot);
    (void)hex_encode(out, boot.id, sizeof boot.id);
}

void events_load(struct events *e)
{
    struct loading l = {.e = e};
    char boot[BOOT_TEXT_BYTES];

    take_file(&l, OLD_NAME);
    take_file(&l, NAME);
    boot_text(e->dir_fd, boot);
    if (e->list != NULL && !l.stopped && strcmp(l.boot, boot) != 0) {
        e->next += EVENTS_SKIPPED;
    }
}

/* --- writing ------------------------------------------------------------- */

static void open_file(struct events *e)
{
    struct stat st;

    e->fd = sys_openat(e->dir_fd, NAME,
                       O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
                           O_NONBLOCK,
                       FILE_MODE);
    bool ok = e->fd >= 0 && fstat(e->fd, &st) == 0 && S_ISREG(st.st_mode);
    if (!ok) {
        fd_closep(&e->fd);
    }
    e->file_bytes = ok ? (size_t)st.st_size : 0;
    e->torn = e->file_bytes > 0; /* who wrote it may have been killed */
}

static void make_room(struct events *e, size_t len)
{
    if (e->fd < 0) {
        open_file(e);
    }
    if (e->fd >= 0 && e->file_bytes > 0 &&
        e->file_bytes + len > EVENTS_FILE_BYTES) {
        fd_closep(&e->fd);
        if (renameat(e->dir_fd, NAME, e->dir_fd, OLD_NAME) == 0) {
            open_file(e);
        }
    }
}

/* What cannot be written is missing, which its number shows. */
static void write_lines(struct events *e, const struct buf *b)
{
    make_room(e, b->len);
    if (e->fd < 0 || (e->torn && sys_write_all(e->fd, "\n", 1) != 0)) {
        return;
    }
    e->torn = sys_write_all(e->fd, b->data, b->len) != 0;
    e->file_bytes += b->len + 1;
}

/* The lines that are not written yet, as many as fit; the mutex is held. */
static void gather(struct events *e, struct buf *out)
{
    buf_clear(out);
    for (const struct kept *k = e->list; k != NULL; k = k->next) {
        if (k->number <= e->written) {
            continue;
        }
        if (out->len > 0 && out->len + k->len > LINE_MAX_BYTES) {
            break;
        }
        buf_put(out, k->line, k->len);
        e->written = k->number;
    }
}

static void *write_thread(void *arg)
{
    struct events *e = arg;
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    bool closing = false;

    while (!closing) {
        pthread_mutex_lock(&e->mutex);
        while (e->written + 1 == e->next && !e->closing) {
            pthread_cond_wait(&e->changed, &e->mutex);
        }
        gather(e, &b);
        if (b.len == 0) {
            e->written = e->next - 1; /* they found no memory */
            closing = e->closing;
        }
        pthread_mutex_unlock(&e->mutex);
        if (b.len > 0 && !b.bad) {
            write_lines(e, &b);
        }
        b.bad = false;
    }
    return NULL;
}

static void say(struct events *e, const char *word, const char *text)
{
    const struct log_record r = {
        .level = LOG_NOTICE, .event = word, .text = text, .len = strlen(text)};

    events_add(e, &r);
}

int events_start(struct events *e)
{
    char boot[BOOT_TEXT_BYTES];
    sigset_t all, was;

    (void)sigfillset(&all); /* signals are the loop's */
    (void)pthread_sigmask(SIG_SETMASK, &all, &was);
    int sys = pthread_create(&e->thread, NULL, write_thread, e);
    (void)pthread_sigmask(SIG_SETMASK, &was, NULL);
    e->started = sys == 0;
    if (e->started) {
        boot_text(e->dir_fd, boot);
        say(e, STARTED, boot);
    }
    return sys;
}

void events_stop(struct events *e)
{
    if (!e->started) {
        return;
    }
    say(e, STOPPED, "");
    pthread_mutex_lock(&e->mutex);
    e->closing = true;
    pthread_cond_signal(&e->changed);
    pthread_mutex_unlock(&e->mutex);
    (void)pthread_join(e->thread, NULL);
    e->started = false;
}
