/* SPDX-License-Identifier: MIT
 *
 * chaos_journal: see chaos_journal.h. */
#include "tests/chaos/chaos_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const uint64_t MAGIC = UINT64_C(0x6a6f75726e616c31);

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "journal: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void map(struct journal *j, int fd, size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (p == MAP_FAILED) {
        die("mmap");
    }
    j->head = p;
    j->record = (struct record *)(j->head + 1);
}

static size_t bytes_for(uint32_t records)
{
    return sizeof(struct journal_head) + records * sizeof(struct record);
}

void journal_create(const char *path, uint32_t slots, uint32_t records)
{
    struct journal j;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

    if (fd < 0 || slots > JOURNAL_SLOTS ||
        ftruncate(fd, (off_t)bytes_for(records)) < 0) {
        die(path);
    }
    map(&j, fd, bytes_for(records));
    (void)close(fd);
    j.head->room = records;
    j.head->slots = slots;
    for (uint32_t s = 0; s < slots; s++) {
        struct record *r = &j.record[s + 1];
        j.head->slot[s].first = s + 1;
        j.head->slot[s].last = s + 1;
        r->state = JOURNAL_DONE;
    }
    j.head->used = slots + 1;
    j.head->magic = MAGIC;
}

void journal_open(struct journal *j, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0) {
        die(path);
    }
    map(j, fd, (size_t)st.st_size);
    (void)close(fd);
    if (j->head->magic != MAGIC) {
        errno = EINVAL;
        die(path);
    }
}

int64_t journal_now_ns(const struct journal *j)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec +
           atomic_load(&j->head->shift_ns);
}

bool journal_ambiguous(const struct journal *j, int64_t wall_ns)
{
    uint32_t n = atomic_load(&j->head->spans);

    for (uint32_t i = 0; i < n && i < JOURNAL_SPANS; i++) {
        if (wall_ns >= j->head->span[i].from_ns &&
            wall_ns <= j->head->span[i].to_ns) {
            return true;
        }
    }
    return false;
}

uint64_t journal_version(struct journal *j)
{
    return atomic_fetch_add(&j->head->versions, 1) + 1;
}

uint32_t journal_begin(struct journal *j, uint32_t slot, uint64_t version,
                       uint32_t size, bool silent)
{
    uint32_t n = atomic_fetch_add(&j->head->used, 1);
    struct slot *s = &j->head->slot[slot];
    struct record *r = &j->record[n];
    struct record *last = &j->record[atomic_load(&s->last)];

    if (n >= j->head->room) {
        errno = ENOSPC;
        die("full");
    }
    r->version = version;
    r->size = size;
    r->order = last->order + 1;
    r->silent = silent;
    r->begun_ns = journal_now_ns(j);
    atomic_store(&last->next, n);
    atomic_store(&s->last, n);
    return n;
}

void journal_settle(struct journal *j, uint32_t record, bool done)
{
    struct record *r = &j->record[record];

    atomic_store(&r->done_ns, journal_now_ns(j));
    atomic_store(&r->state, done ? JOURNAL_DONE : JOURNAL_VOID);
}

enum journal_state journal_state(const struct record *r)
{
    return (enum journal_state)atomic_load(&r->state);
}

const struct record *journal_first(const struct journal *j, uint32_t slot)
{
    return &j->record[j->head->slot[slot].first];
}

const struct record *journal_next(const struct journal *j,
                                  const struct record *r)
{
    uint32_t n = atomic_load(&r->next);

    return n == 0 ? NULL : &j->record[n];
}

const struct record *journal_latest(const struct journal *j, uint32_t slot)
{
    const struct record *latest = NULL;

    for (const struct record *r = journal_first(j, slot); r != NULL;
         r = journal_next(j, r)) {
        latest = journal_state(r) == JOURNAL_VOID ? latest : r;
    }
    return latest;
}
