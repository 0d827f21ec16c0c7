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
static const char BAD_NAME[] = "events.bad";
static const char STARTED[] = "agent_started", STOPPED[] = "agent_stopped";

enum {
    FILE_MODE = 0600,
    LINE_MAX_BYTES = 64 * 1024,
    RETRY_S = 1,
    SHORTEST_LINE = 64, /* no event takes less */
    BOOT_TEXT_BYTES = 2 * BOOT_ID_BYTES + 1,
};

static int not_regular(struct err *err, const char *name)
{
    return err_set(err, ERR_INVALID, 0,
                   "%s is no regular file (a link, a directory, a FIFO)", name);
}

/* --- reading ------------------------------------------------------------- */

struct loading {
    struct events *e;
    bool to_write;
    uint64_t skipped; /* numbers that what cannot be read may have given */
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

/* A word that the log has, and no more: it goes to terminals. */
static bool is_word(const char *word)
{
    return word != NULL && word[0] != '\0' &&
           word[strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static bool is_event(const json_t *line)
{
    const char *level = json_string_value(json_object_get(line, "level"));
    const json_t *replica = json_object_get(line, "replica");

    return json_integer_value(json_object_get(line, "n")) > 0 &&
           level != NULL && log_level_of(level) >= 0 &&
           is_word(json_string_value(json_object_get(line, "event"))) &&
           (replica == NULL || json_is_string(replica)) &&
           json_is_string(json_object_get(line, "text"));
}

/* One whose number is not above the last is left out.  false: it is no event.
 */
static bool take_line(struct loading *l, const char *line, size_t len)
{
    CLEANUP(json_decrefp) json_t *event = json_loadb(line, len, 0, NULL);

    if (!is_event(event)) {
        return false;
    }
    json_int_t number = json_integer_value(json_object_get(event, "n"));
    const char *word = json_string_value(json_object_get(event, "event"));
    if ((uint64_t)number < l->e->next ||
        !events_keep(l->e, (uint64_t)number, time_of(event), line, len)) {
        return true;
    }
    l->e->next = (uint64_t)number + 1;
    l->stopped = strcmp(word, STOPPED) == 0;
    if (strcmp(word, STARTED) == 0) {
        (void)snprintf(l->boot, sizeof l->boot, "%s",
                       json_string_value(json_object_get(event, "text")));
    }
    return true;
}

/* Whether there is an event among them. */
static bool take_lines(struct loading *l, const char *p, size_t n)
{
    bool any = false;

    while (n > 0) {
        const char *end = memchr(p, '\n', n);
        size_t len = end != NULL ? (size_t)(end - p) + 1 : n;
        any = (end != NULL && take_line(l, p, len)) || any;
        p += len;
        n -= len;
    }
    return any;
}

static void set_aside(struct loading *l, const char *name)
{
    if (l->to_write &&
        renameat(l->e->dir_fd, name, l->e->dir_fd, BAD_NAME) == 0) {
        l->e->damaged = true;
    }
}

/* ERR_NOTFOUND: there is none. */
static int read_file(struct loading *l, const char *name, struct err *err)
{
    enum { ROOM = EVENTS_FILE_BYTES + LINE_MAX_BYTES };
    CLEANUP(fd_closep) int fd = sys_open_file(l->e->dir_fd, name);
    CLEANUP(freep) char *all = malloc(ROOM);
    struct stat st;

    if (fd < 0 && errno != ELOOP) {
        return err_sys(err, errno, "%s", name);
    }
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return not_regular(err, name);
    }
    ssize_t n = all != NULL ? sys_read_full(fd, all, ROOM) : -1;
    if (n < 0) {
        return err_sys(err, all != NULL ? errno : ENOMEM, "%s", name);
    }
    if (take_lines(l, all, (size_t)n)) {
        return 0;
    }
    l->skipped += (uint64_t)n / SHORTEST_LINE;
    if (n > 0) {
        set_aside(l, name);
    }
    return n > 0 ? err_set(err, ERR_INVALID, 0, "%s: no line of it is an event",
                           name)
                 : err_set(err, ERR_NOTFOUND, 0, "%s is empty", name);
}

static void take_file(struct loading *l, const char *name)
{
    struct err err = {0};
    int rc = read_file(l, name, &err);

    if (rc < 0 && rc != ERR_NOTFOUND) {
        l->skipped += EVENTS_SKIPPED;
        l->e->read_err = err;
    }
}

static void boot_text(int fd, char out[BOOT_TEXT_BYTES])
{
    struct boot boot;

    boot_now(fd, &boot);
    (void)hex_encode(out, boot.id, sizeof boot.id);
}

void events_load(struct events *e, bool to_write)
{
    struct loading l = {.e = e, .to_write = to_write};
    char boot[BOOT_TEXT_BYTES];

    take_file(&l, OLD_NAME);
    take_file(&l, NAME);
    boot_text(e->dir_fd, boot);
    if (e->list != NULL && !l.stopped && strcmp(l.boot, boot) != 0) {
        e->next += EVENTS_SKIPPED;
    }
    e->next += l.skipped;
}

/* --- writing ------------------------------------------------------------- */

static int open_file(struct events *e, struct err *err)
{
    struct stat st;

    if (fstatat(e->dir_fd, NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        !S_ISREG(st.st_mode)) {
        return not_regular(err, NAME);
    }
    e->fd = sys_openat(e->dir_fd, NAME,
                       O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
                           O_NONBLOCK,
                       FILE_MODE);
    if (e->fd < 0) {
        return err_sys(err, errno, "%s", NAME);
    }
    if (fstat(e->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        fd_closep(&e->fd);
        return not_regular(err, NAME);
    }
    e->file_bytes = (size_t)st.st_size;
    e->torn = e->file_bytes > 0; /* who wrote it may have been killed */
    return 0;
}

/* Somebody may have put another thing in its place. */
static bool is_in_place(const struct events *e)
{
    struct stat is, there;

    return fstat(e->fd, &is) == 0 &&
           fstatat(e->dir_fd, NAME, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           sys_same_file(&is, &there);
}

static int make_room(struct events *e, size_t len, struct err *err)
{
    if (e->fd >= 0 && !is_in_place(e)) {
        fd_closep(&e->fd);
    }
    int rc = e->fd < 0 ? open_file(e, err) : 0;
    if (rc < 0 || e->file_bytes == 0 ||
        e->file_bytes + len <= EVENTS_FILE_BYTES) {
        return rc;
    }
    fd_closep(&e->fd);
    return renameat(e->dir_fd, NAME, e->dir_fd, OLD_NAME) == 0
               ? open_file(e, err)
               : err_sys(err, errno, "%s to %s", NAME, OLD_NAME);
}

/* All of it, or nothing: the rest of a full disk is not for half a line. */
static int write_lines(struct events *e, const struct buf *b, struct err *err)
{
    int rc = make_room(e, b->len, err);

    if (rc < 0) {
        return rc;
    }
    off_t end = lseek(e->fd, 0, SEEK_END);
    int sys = e->torn ? sys_write_all(e->fd, "\n", 1) : 0;
    sys = sys == 0 ? sys_write_all(e->fd, b->data, b->len) : sys;
    if (sys != 0) {
        sys = errno;
        (void)(end >= 0 && sys_ftruncate(e->fd, end) == 0);
        fd_closep(&e->fd);
        return err_sys(err, sys, "%s", NAME);
    }
    e->torn = false;
    e->file_bytes += b->len + 1;
    return 0;
}

/* The lines that are not written yet, as many as fit, and the last number that
 * is done with when they are; the mutex is held. */
static uint64_t gather(const struct events *e, struct buf *out)
{
    uint64_t last = e->written;

    buf_clear(out);
    for (const struct kept *k = e->list; k != NULL; k = k->next) {
        if (k->number <= e->written) {
            continue;
        }
        if (out->len > 0 && out->len + k->len > LINE_MAX_BYTES) {
            return last;
        }
        buf_put(out, k->line, k->len);
        last = k->number;
    }
    return e->next - 1; /* those behind found no memory */
}

/* Until there is something to write, or to try again; the mutex is held. */
static void wait_for_more(struct events *e)
{
    struct timespec until;

    if (e->write_err.code != 0 && !e->closing) {
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += RETRY_S;
        (void)pthread_cond_timedwait(&e->changed, &e->mutex, &until);
    }
    while (e->written + 1 == e->next && !e->closing) {
        pthread_cond_wait(&e->changed, &e->mutex);
    }
}

/* false: that was the last, or as good. */
static bool write_more(struct events *e, struct buf *b)
{
    struct err err = {0};

    pthread_mutex_lock(&e->mutex);
    wait_for_more(e);
    bool closing = e->closing;
    uint64_t last = gather(e, b);
    pthread_mutex_unlock(&e->mutex);
    int rc = b->len > 0 && !b->bad ? write_lines(e, b, &err) : 0;
    b->bad = false;
    pthread_mutex_lock(&e->mutex);
    e->written = rc == 0 ? last : e->written;
    e->write_err = err;
    bool left = rc == 0 && e->written + 1 != e->next;
    pthread_mutex_unlock(&e->mutex);
    return !closing || left;
}

static void *write_thread(void *arg)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;

    while (write_more(arg, &b)) {
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
