/* SPDX-License-Identifier: MIT
 *
 * chaos_reader: a local application on one replica of a chaos run, which
 * knows from the journal what the primary had and when.
 *
 *     chaos_reader JOURNAL DIR REPLICA_NUMBER
 *
 * Reads every key over and over: open, share lock, read, as flockd's rules ask
 * and without Drover's code, until the journal says stop.  What it sees of a
 * key must be states of the journal in their order:
 *
 *   P1  a value that is torn, mixed, empty by accident or was never committed
 *       is no state at all
 *   P2  an older state than one seen before, or "absent" where no delete was
 *       begun after that
 *   P9  an older state than the newest that was complete before the time T of
 *       the freshness file (or of a command's answer), read before the key
 *
 * A key that is edited by hand on this replica is passed over until a state is
 * seen that the primary got to after the edit.  After a power loss only P9's
 * bound remains: what was seen and not acknowledged may be gone.
 *
 * Prints what it read; each broken rule on stderr at once; exit status 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/chaos/chaos_journal.h"
#include "tests/chaos/chaos_names.h"
#include "tests/support/e2e_value.h"

enum {
    SHOWN = 8,
    LOCK_TRIES = 20,
    FRESH_EVERY = 60,      /* keys read for one look at the freshness file */
    LARGE_BYTES = 1 << 20, /* unchanged files of this size are not read again */
    SLOW_MS = 480,         /* almost the settle time of the run */
};

enum sight { SAW_NOTHING, SAW_ABSENT, SAW_VALUE, SAW_WRONG };

struct seen {
    enum sight what;
    uint64_t version;
    uint32_t size;
    const char *wrong;
};

struct cursor {
    const struct record *at;   /* the oldest state that it can be */
    const struct record *must; /* reached, says somebody */
    const struct record *mend; /* not NULL: damaged until this is reached */
    uint32_t edits;
    bool told;         /* a broken rule was reported */
    struct stat large; /* of a large value that was read */
    uint64_t large_version;
};

static struct journal journal;
static struct cursor cursors[NAMES_SLOTS];
static unsigned me;
static uint32_t power_lost;
static int64_t fresh_ns;
static uint64_t reads, absents, busy, damaged, errors, broken, claims, excused;

/* --- complaints --------------------------------------------------------------
 */

static void print_name(unsigned slot)
{
    const char *p = names_table(slot / NAMES_KEYS)->dir;

    for (int i = 0; i < 2; i++) {
        for (; *p != '\0'; p++) {
            unsigned char c = (unsigned char)*p;
            (void)fprintf(stderr, c > ' ' && c < 0x7f ? "%c" : "\\x%02x", c);
        }
        (void)fprintf(stderr, i == 0 ? "/" : "");
        p = names_file(slot % NAMES_KEYS);
    }
}

static void print_record(const struct record *r)
{
    static const char *const STATES[] = {"begun", "done", "void"};

    (void)fprintf(stderr,
                  "    #%u %s %" PRIu64 " of %u bytes, %s, %" PRId64
                  ".%06" PRId64 " to %" PRId64 ".%06" PRId64 "%s\n",
                  r->order, r->version == 0 ? "absent" : "version", r->version,
                  r->size, STATES[journal_state(r)], r->begun_ns / 1000000000,
                  r->begun_ns % 1000000000 / 1000, r->done_ns / 1000000000,
                  r->done_ns % 1000000000 / 1000, r->silent ? ", silent" : "");
}

static void complain(unsigned slot, const char *rule, const struct seen *s)
{
    const struct cursor *c = &cursors[slot];
    int64_t now = journal_now_ns(&journal);

    if (broken++ >= SHOWN || c->told) {
        return;
    }
    cursors[slot].told = true;
    (void)fprintf(stderr, "BROKEN %s on r%u at %" PRId64 ".%06" PRId64 ": ",
                  rule, me + 1, now / 1000000000, now % 1000000000 / 1000);
    print_name(slot);
    if (s->what == SAW_ABSENT) {
        (void)fprintf(stderr, ": absent\n");
    } else {
        (void)fprintf(stderr, ": version %" PRIu64 " of %u bytes%s%s\n",
                      s->version, s->size, s->wrong != NULL ? ": " : "",
                      s->wrong != NULL ? s->wrong : "");
    }
    (void)fprintf(stderr,
                  "    claimed T %" PRId64 ".%06" PRId64
                  "; seen before #%u, claimed #%u\n",
                  fresh_ns / 1000000000, fresh_ns % 1000000000 / 1000,
                  c->at->order, c->must->order);
    uint32_t from =
        c->at->order < c->must->order ? c->at->order : c->must->order;
    int lines = 0;
    for (const struct record *r = journal_first(&journal, slot);
         r != NULL && lines < 24; r = journal_next(&journal, r)) {
        if (r->order + 2 >= from) {
            print_record(r);
            lines++;
        }
    }
    (void)fflush(stderr);
}

/* --- the journal --------------------------------------------------------- */

static bool is_slow(const struct record *r)
{
    int64_t end = journal_state(r) == JOURNAL_BEGUN ? journal_now_ns(&journal)
                                                    : r->done_ns;

    return end - r->begun_ns > SLOW_MS * INT64_C(1000000);
}

/* An empty file may be the placeholder of a writer that was held up for so
 * long that it counts as a value. */
static bool placeholder(const struct record *r, const struct seen *s)
{
    if (s->what != SAW_VALUE || s->size != 0 || r->version == 0 ||
        !is_slow(r)) {
        return false;
    }
    excused++;
    return true;
}

static bool matches(const struct record *r, const struct seen *s)
{
    if (journal_state(r) == JOURNAL_VOID) {
        return placeholder(r, s);
    }
    if (s->what == SAW_ABSENT) {
        return r->version == 0;
    }
    if (r->version != 0 && s->size == 0 && r->size == 0) {
        return true;
    }
    return (s->size != 0 && r->version == s->version && r->size == s->size) ||
           placeholder(r, s);
}

static const struct record *find(const struct record *from,
                                 const struct seen *s)
{
    while (from != NULL && !matches(from, s)) {
        from = journal_next(&journal, from);
    }
    return from;
}

/* When the clock is set back, what was claimed in its future says nothing about
 * what is done now.  True when that happened since the last call. */
static bool clock_went_back(void)
{
    static uint32_t spans;
    uint32_t now = atomic_load(&journal.head->spans);

    if (now == spans) {
        return false;
    }
    spans = now;
    fresh_ns = journal_ambiguous(&journal, fresh_ns) ? 0 : fresh_ns;
    return true;
}

/* The newest state that was complete before T. */
static void follow_claim(struct cursor *c)
{
    const struct record *must = c->must;

    (void)clock_went_back();
    for (const struct record *r = journal_next(&journal, c->must); r != NULL;
         r = journal_next(&journal, r)) {
        if (journal_state(r) == JOURNAL_DONE && !r->silent &&
            r->done_ns < fresh_ns) {
            must = r;
        }
    }
    c->must = clock_went_back() ? c->must : must;
}

static const struct record *later(const struct record *a,
                                  const struct record *b)
{
    return a->order > b->order ? a : b;
}

static void judge(unsigned slot, const struct seen *s)
{
    struct cursor *c = &cursors[slot];

    if (s->what == SAW_WRONG) {
        complain(slot, "P1", s);
        return;
    }
    const struct record *r = find(later(c->at, c->must), s);
    if (r != NULL) {
        c->at = r;
        return;
    }
    r = find(c->at, s);
    if (r != NULL) {
        complain(slot, power_lost > 0 ? "P9 (P4)" : "P9", s);
        c->at = r;
        c->must = r;
        return;
    }
    r = find(journal_first(&journal, slot), s);
    complain(slot,
             r == NULL               ? "P1"
             : s->what == SAW_ABSENT ? "P2 (vanished)"
                                     : "P2",
             s);
    if (r != NULL) {
        c->at = r;
        c->must = r;
    }
}

/* Whether this read counts: not while or since it was damaged by hand. */
static bool is_mended(unsigned slot, const struct seen *s, uint32_t before)
{
    struct cursor *c = &cursors[slot];
    uint32_t edits = atomic_load(&journal.head->slot[slot].edits[me]);

    if (edits != c->edits || edits != before) {
        c->edits = edits;
        c->mend = journal_latest(&journal, slot);
    }
    if ((edits & 1) != 0 || before != edits) {
        return false;
    }
    if (c->mend == NULL) {
        return true;
    }
    if (s->what == SAW_VALUE && s->size != 0) {
        const struct record *r = find(c->mend, s);
        if (r != NULL) {
            c->at = r;
            c->must = c->must->order > r->order ? r : c->must;
            c->mend = NULL;
            return false; /* counts from the next look on */
        }
    }
    return false;
}

/* --- reading ------------------------------------------------------------- */

static int lock_shared(int fd)
{
    struct timespec pause = {.tv_nsec = 1000 * 1000};

    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_SH | LOCK_NB) == 0) {
            return 0;
        }
        (void)nanosleep(&pause, NULL);
    }
    return -1;
}

static void read_value(struct cursor *c, int fd, struct seen *s)
{
    static char *buffer;
    static size_t room;
    struct stat st;
    size_t len = 0;

    if (fstat(fd, &st) < 0) {
        return;
    }
    if (st.st_size >= LARGE_BYTES && c->large_version != 0 &&
        st.st_ino == c->large.st_ino && st.st_size == c->large.st_size &&
        memcmp(&st.st_ctim, &c->large.st_ctim, sizeof st.st_ctim) == 0) {
        *s = (struct seen){SAW_VALUE, c->large_version, (uint32_t)st.st_size,
                           NULL};
        return;
    }
    if ((size_t)st.st_size + 1 > room) {
        room = (size_t)st.st_size + (1 << 20);
        buffer = realloc(buffer, room);
        if (buffer == NULL) {
            exit(2);
        }
    }
    for (ssize_t n = 1; n != 0 && len < room; len += (size_t)n) {
        n = read(fd, buffer + len, room - len);
        if (n < 0) {
            return; /* EIO of a lost disk: nothing seen */
        }
    }
    s->what = SAW_VALUE;
    s->size = (uint32_t)len;
    if (len > 0) {
        s->wrong = e2e_value_check(buffer, len, 0, &s->version);
        s->what = s->wrong != NULL ? SAW_WRONG : SAW_VALUE;
    }
    if (s->what == SAW_VALUE && len >= LARGE_BYTES) {
        c->large = st;
        c->large_version = s->version;
    }
}

static struct seen look(int db_fd, unsigned slot)
{
    static char path[1400];
    struct seen s = {SAW_NOTHING, 0, 0, NULL};

    (void)snprintf(path, sizeof path, "%s/%s",
                   names_table(slot / NAMES_KEYS)->dir,
                   names_file(slot % NAMES_KEYS));
    int fd = openat(db_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        s.what = errno == ENOENT ? SAW_ABSENT : SAW_NOTHING;
        absents += s.what == SAW_ABSENT;
        errors += s.what == SAW_NOTHING;
        return s;
    }
    if (lock_shared(fd) == 0) {
        read_value(&cursors[slot], fd, &s);
        reads += s.what != SAW_NOTHING;
        errors += s.what == SAW_NOTHING;
    } else {
        busy++;
    }
    (void)close(fd);
    return s;
}

static void read_slot(int db_fd, unsigned slot)
{
    struct cursor *c = &cursors[slot];

    follow_claim(c);
    uint32_t before = atomic_load(&journal.head->slot[slot].edits[me]);
    struct seen s = look(db_fd, slot);
    if (s.what == SAW_NOTHING || !is_mended(slot, &s, before)) {
        damaged += s.what != SAW_NOTHING;
        return;
    }
    judge(slot, &s);
}

/* T of the file and of commands; a time that the clock showed twice says
 * nothing. */
static void read_claims(int db_fd)
{
    struct stat st;
    int64_t said = atomic_load(&journal.head->replica[me].claim_ns);
    int64_t file = 0;

    if (fstatat(db_fd, ".drover/freshness", &st, 0) == 0) {
        file = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    }
    if (file > fresh_ns && !journal_ambiguous(&journal, file)) {
        fresh_ns = file;
        claims++;
    }
    if (said > fresh_ns && !journal_ambiguous(&journal, said)) {
        fresh_ns = said;
        claims++;
    }
}

/* What was seen may be gone; what was claimed may not. */
static void check_power(void)
{
    uint32_t lost = atomic_load(&journal.head->replica[me].power_lost);

    if (lost == power_lost) {
        return;
    }
    power_lost = lost;
    for (unsigned s = 0; s < NAMES_SLOTS; s++) {
        follow_claim(&cursors[s]);
        cursors[s].at = cursors[s].must;
        cursors[s].large_version = 0;
        if (cursors[s].edits != 0) {
            /* So may be the repair of a key that was edited. */
            cursors[s].mend = journal_latest(&journal, s);
        }
    }
}

static void hold(void)
{
    struct replica_word *w = &journal.head->replica[me];
    struct timespec pause = {.tv_nsec = 3 * 1000 * 1000};

    while (atomic_load(&w->hold) != 0 &&
           atomic_load(&journal.head->stop) == 0) {
        atomic_store(&w->held, 1);
        (void)nanosleep(&pause, NULL);
    }
    atomic_store(&w->held, 0);
}

static void round_of(const char *dir)
{
    int fd = -1;

    for (unsigned s = 0; s < NAMES_SLOTS; s++) {
        if (s % FRESH_EVERY == 0 || fd < 0) {
            if (fd >= 0) {
                (void)close(fd);
            }
            hold();
            check_power();
            fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            if (fd < 0) {
                return;
            }
            read_claims(fd);
        }
        read_slot(fd, s);
    }
    (void)close(fd);
}

int main(int argc, char **argv)
{
    struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    uint64_t rounds = 0;

    if (argc != 4) {
        return 64;
    }
    journal_open(&journal, argv[1]);
    me = (unsigned)strtoul(argv[3], NULL, 10);
    for (unsigned s = 0; s < NAMES_SLOTS; s++) {
        cursors[s].at = journal_first(&journal, s);
        cursors[s].must = cursors[s].at;
    }
    while (atomic_load(&journal.head->stop) == 0) {
        round_of(argv[2]);
        rounds++;
        (void)nanosleep(&pause, NULL);
    }
    (void)printf("rounds=%" PRIu64 " reads=%" PRIu64 " absent=%" PRIu64
                 " busy=%" PRIu64 " damaged=%" PRIu64 " errors=%" PRIu64
                 " claims=%" PRIu64 " excused=%" PRIu64 " broken=%" PRIu64 "\n",
                 rounds, reads, absents, busy, damaged, errors, claims, excused,
                 broken);
    return broken > 0;
}
