/* SPDX-License-Identifier: MIT
 *
 * Several processes on one table, ours and flockd's sequences together: no
 * torn value, no empty one that we caused, no lost update, one winner. */
#include "tests/support/store_fixture.h"

#include <sys/mman.h>
#include <sys/wait.h>

#include "store/base/clock.h"
#include "store/base/rand.h"
#include "store/layout/name.h"
#include "store/layout/value.h"
#include "store/lib/drover.h"
#include "tests/support/flockd_calls.h"

#define T(s) drover_text(s)
static const struct drover_bytes ROOT = {NULL, 0};

enum { PROCS_MAX = 12 };

/* Shared by the processes of a test. */
struct shared {
    int stop;
    int go;
    long done[PROCS_MAX];
    long wrong[PROCS_MAX];
    long empty[PROCS_MAX];
    char what[PROCS_MAX][720];
};

struct play {
    struct fixture f;
    struct shared *s;
    pid_t pids[PROCS_MAX];
    int count;
};

static int setup(void **state)
{
    struct play *p = calloc(1, sizeof *p);

    assert_non_null(p);
    fixture_begin(&p->f);
    p->s = mmap(NULL, sizeof *p->s, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(p->s != MAP_FAILED);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct play *p = *state;

    (void)munmap(p->s, sizeof *p->s);
    fixture_end(&p->f);
    free(p);
    return 0;
}

#define PLAY_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static bool stopped(const struct play *p)
{
    return __atomic_load_n(&p->s->stop, __ATOMIC_ACQUIRE) != 0;
}

static void wrong(struct play *p, int me, const char *what, const char *detail)
{
    if (p->s->wrong[me]++ == 0) {
        (void)snprintf(p->s->what[me], sizeof p->s->what[me], "%.60s: %.640s",
                       what, detail);
    }
}

typedef void (*role_fn)(struct play *p, int me, struct drover *db);

/* Start a process that plays a role until it returns. */
static void start(struct play *p, role_fn role)
{
    int me = p->count++;

    assert_true(me < PROCS_MAX);
    p->pids[me] = fork();
    assert_true(p->pids[me] >= 0);
    if (p->pids[me] == 0) {
        struct drover *db;
        srand((unsigned)getpid());
        if (drover_open(p->f.path, 0, &db, NULL) < 0) {
            _exit(1);
        }
        while (!__atomic_load_n(&p->s->go, __ATOMIC_ACQUIRE)) {
            clock_sleep_ns(100 * NS_PER_US);
        }
        role(p, me, db);
        drover_close(db);
        _exit(0);
    }
}

/* Let them play until process 0 to `writers` - 1 have done `rounds` each. */
static void play(struct play *p, int writers, long rounds)
{
    int64_t give_up = clock_mono_ns() + 90 * NS_PER_S;
    int alive = 1;

    __atomic_store_n(&p->s->go, 1, __ATOMIC_RELEASE);
    while (alive && clock_mono_ns() < give_up) {
        alive = 0;
        for (int i = 0; i < writers; i++) {
            alive |= __atomic_load_n(&p->s->done[i], __ATOMIC_ACQUIRE) < rounds;
        }
        clock_sleep_ns(NS_PER_MS);
    }
    __atomic_store_n(&p->s->stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < p->count; i++) {
        int status = -1;
        assert_int_equal(waitpid(p->pids[i], &status, 0), p->pids[i]);
        assert_int_equal(status, 0);
        if (p->s->wrong[i] > 0) {
            print_error("process %d, %ld times: %s\n", i, p->s->wrong[i],
                        p->s->what[i]);
        }
        assert_int_equal(p->s->wrong[i], 0);
        assert_true(p->s->done[i] > 0);
    }
    assert_false(alive);
}

/* --- values that show tears ---------------------------------------------- */

/* A value of one letter, as long as the letter says: mixed, cut or doubled
 * ones are recognised. */
static size_t make_value(char *out, struct prng *prng)
{
    int letter = (int)prng_below(prng, 26);
    size_t len = 1 + (size_t)letter * 331;

    memset(out, 'a' + letter, len);
    return len;
}

enum { VALUE_ROOM = 10000 };

static bool is_whole(const char *v, size_t len)
{
    if (len == 0 || v[0] < 'a' || v[0] > 'z' ||
        len != 1 + (size_t)(v[0] - 'a') * 331) {
        return false;
    }
    for (size_t i = 1; i < len; i++) {
        if (v[i] != v[0]) {
            return false;
        }
    }
    return true;
}

static const char *const KEYS[] = {"one", "two", "three"};

static const char *file_of(const char *key)
{
    static char file[64];

    (void)snprintf(file, sizeof file, "%s.kv", key);
    return file;
}

static void role_our_writer(struct play *p, int me, struct drover *db)
{
    struct prng prng = prng_of(rand_seed());
    char v[VALUE_ROOM];

    while (!stopped(p)) {
        const char *key = KEYS[prng_below(&prng, 3)];
        struct drover_error e;
        size_t len = make_value(v, &prng);
        int rc;
        switch (prng_below(&prng, 4)) {
        case 0:
            rc = drover_delete(db, ROOT, T(key), 200, &e);
            break;
        case 1:
            rc = drover_create(db, ROOT, T(key), drover_bytes(v, len), &e);
            break;
        case 2:
            rc = drover_update(db, ROOT, T(key), drover_bytes(v, len), 200, &e);
            break;
        default:
            rc = drover_set(db, ROOT, T(key), drover_bytes(v, len), 200, &e);
        }
        if (rc < 0 && rc != DROVER_E_EXISTS && rc != DROVER_E_NOTFOUND &&
            rc != DROVER_E_TIMEOUT) {
            wrong(p, me, "write", e.message);
        }
        p->s->done[me]++;
    }
}

static void role_flockd_writer(struct play *p, int me, struct drover *db)
{
    struct prng prng = prng_of(rand_seed());
    char v[VALUE_ROOM];

    (void)db;
    while (!stopped(p)) {
        const char *file = file_of(KEYS[prng_below(&prng, 3)]);
        size_t len = make_value(v, &prng);
        switch (prng_below(&prng, 3)) {
        case 0:
            (void)flockd_delete(p->f.fd, file);
            break;
        case 1:
            (void)flockd_create(p->f.fd, file, v, len);
            break;
        default:
            (void)flockd_set(p->f.fd, file, v, len);
        }
        p->s->done[me]++;
    }
}

static void role_reader(struct play *p, int me, struct drover *db)
{
    struct prng prng = prng_of(rand_seed());

    while (!stopped(p)) {
        const char *key = KEYS[prng_below(&prng, 3)];
        struct drover_error e;
        void *v;
        size_t len;
        int rc = drover_get(db, ROOT, T(key), 500, &v, &len, &e);
        if (rc == 0) {
            if (len == 0) {
                p->s->empty[me]++;
            } else if (!is_whole(v, len)) {
                wrong(p, me, "torn value", key);
            }
            drover_free(v);
        } else if (rc != DROVER_E_NOTFOUND && rc != DROVER_E_TIMEOUT) {
            wrong(p, me, "get", e.message);
        }
        p->s->done[me]++;
    }
}

static void role_looker(struct play *p, int me, struct drover *db)
{
    struct prng prng = prng_of(rand_seed());
    struct buf value = BUF_NULL;

    (void)db;
    while (!stopped(p)) {
        const char *key = KEYS[prng_below(&prng, 3)];
        struct reading reading;
        struct err e;
        int rc = value_read(p->f.fd, key, strlen(key), 1 << 20, &value,
                            &reading, &e);
        if (rc < 0) {
            wrong(p, me, "look", e.msg);
        } else if (rc == READ_VALUE && value.len == 0) {
            p->s->empty[me]++;
        } else if (rc == READ_VALUE &&
                   !is_whole((char *)value.data, value.len)) {
            wrong(p, me, "torn value", key);
        }
        p->s->done[me]++;
    }
    buf_deinit(&value);
}

static int on_listed(void *arg, struct drover_bytes key,
                     struct drover_bytes value)
{
    (void)arg;
    (void)key;
    return value.len > 0 && !is_whole(value.data, value.len) ? 9 : 0;
}

static void role_lister(struct play *p, int me, struct drover *db)
{
    while (!stopped(p)) {
        struct drover_error e;
        int rc = drover_each(db, ROOT, ROOT, 0, 500, on_listed, NULL, &e);
        if (rc == 9) {
            wrong(p, me, "torn value", "in a list");
        } else if (rc < 0 && rc != DROVER_E_TIMEOUT) {
            wrong(p, me, "each", e.message);
        }
        p->s->done[me]++;
    }
}

static void our_writers_never_show_a_torn_or_empty_value(void **state)
{
    struct play *p = *state;

    start(p, role_our_writer);
    start(p, role_our_writer);
    start(p, role_reader);
    start(p, role_looker);
    start(p, role_lister);
    play(p, 2, 300);
    for (int i = 0; i < p->count; i++) {
        assert_int_equal(p->s->empty[i], 0);
    }
}

static void beside_flockd_no_value_is_torn(void **state)
{
    struct play *p = *state;

    start(p, role_our_writer);
    start(p, role_flockd_writer);
    start(p, role_flockd_writer);
    start(p, role_reader);
    start(p, role_looker);
    start(p, role_lister);
    play(p, 3, 300);
    /* Empty files do appear here: flockd's placeholders. */
    print_message("%ld of %ld reads saw a placeholder of flockd\n",
                  p->s->empty[3] + p->s->empty[4],
                  p->s->done[3] + p->s->done[4]);
}

/* --- placeholders -------------------------------------------------------- */

/* A flockd program alone with its key: it never stores an empty value, and
 * nobody else creates the key, so each create must succeed. */
static void role_flockd_creator(struct play *p, int me, struct drover *db)
{
    struct prng prng = prng_of(rand_seed());
    char v[VALUE_ROOM];

    (void)db;
    while (!stopped(p)) {
        size_t len = make_value(v, &prng);
        int rc = prng_below(&prng, 4) == 0
                     ? flockd_set(p->f.fd, "one.kv", v, len)
                     : flockd_create(p->f.fd, "one.kv", v, len);
        if (rc != 0) {
            wrong(p, me, "create", "failed because of who only reads");
        }
        while (flockd_delete(p->f.fd, "one.kv") != 0) {
        }
        p->s->done[me]++;
    }
}

static int on_each_placeholder(void *arg, struct drover_bytes key,
                               struct drover_bytes value)
{
    (void)arg, (void)key;
    return value.len == 0 ? 9 : 0;
}

static void role_get_any(struct play *p, int me, struct drover *db)
{
    struct drover_bytes one = T("one");
    char v[VALUE_ROOM];

    for (long i = 0; !stopped(p); i++) {
        struct drover_reader *r;
        uint64_t size = 1;
        size_t len = 1;
        int64_t timeout_ms = i % 8 < 4 ? 0 : 20;
        int rc = 0;
        switch (i % 4) {
        case 0:
            rc = drover_get_into(db, ROOT, one, timeout_ms, v, sizeof v, &len,
                                 NULL);
            break;
        case 1:
            rc = drover_read_open(db, ROOT, one, timeout_ms, &r, &size, NULL);
            if (rc == 0) {
                drover_read_close(r);
            }
            break;
        case 2:
            len = drover_each(db, ROOT, ROOT, 0, timeout_ms,
                              on_each_placeholder, NULL, NULL) != 9;
            break;
        default:
            (void)!drover_has(db, ROOT, one, NULL);
        }
        p->s->empty[me] += rc == 0 && (len == 0 || size == 0);
        p->s->done[me]++;
    }
}

static void role_look_large(struct play *p, int me, struct drover *db)
{
    struct reading reading;
    struct large *l;
    struct err e;

    (void)db;
    while (!stopped(p)) {
        int rc = large_open(p->f.fd, "one", 3, 5, &l, &reading, &e);
        if (rc == READ_VALUE) {
            p->s->empty[me] += reading.stat.size == 0;
            large_close(l);
        }
        p->s->done[me]++;
    }
}

static void no_placeholder_is_read_or_locked(void **state)
{
    struct play *p = *state;

    start(p, role_flockd_creator);
    start(p, role_get_any);
    start(p, role_get_any);
    start(p, role_look_large);
    start(p, role_looker);
    play(p, 1, 4000);
    for (int i = 1; i < 4; i++) {
        assert_int_equal(p->s->empty[i], 0);
    }
    print_message("%ld creates, %ld reads\n", p->s->done[0],
                  p->s->done[1] + p->s->done[2] + p->s->done[3]);
}

/* --- one winner ---------------------------------------------------------- */

/* `create` is the lock around a counter kept with plain get and set: two
 * winners at a time would lose an increment. */
static void role_counter(struct play *p, int me, struct drover *db)
{
    struct drover_error e;
    char text[32];
    size_t len;

    while (!stopped(p)) {
        int rc = drover_create(db, ROOT, T("mutex"), T("mine"), &e);
        if (rc == DROVER_E_EXISTS) {
            continue;
        }
        if (rc < 0) {
            wrong(p, me, "create", e.message);
            return;
        }
        rc = drover_get_into(db, ROOT, T("counter"), 5000, text,
                             sizeof text - 1, &len, &e);
        if (rc < 0) {
            wrong(p, me, "get", e.message);
        }
        text[len] = '\0';
        long n = strtol(text, NULL, 10);
        (void)snprintf(text, sizeof text, "%ld", n + 1);
        if (drover_set(db, ROOT, T("counter"), T(text), 5000, &e) < 0) {
            wrong(p, me, "set", e.message);
        }
        p->s->done[me]++;
        if (drover_delete(db, ROOT, T("mutex"), 5000, &e) != 1) {
            wrong(p, me, "delete", "the mutex was not there");
        }
    }
}

/* Watches the mutex: an empty one would be a placeholder. */
static void role_watcher(struct play *p, int me, struct drover *db)
{
    while (!stopped(p)) {
        void *v;
        size_t len;
        if (drover_get(db, ROOT, T("mutex"), 100, &v, &len, NULL) == 0) {
            if (len != 4 || memcmp(v, "mine", 4) != 0) {
                wrong(p, me, "mutex", "seen without its value");
            }
            drover_free(v);
        }
        struct stat st;
        if (fstatat(p->f.fd, "mutex.kv", &st, 0) == 0 && st.st_size != 4) {
            wrong(p, me, "mutex", "seen with another size");
        }
        p->s->done[me]++;
    }
}

static void create_has_one_winner_and_no_placeholder(void **state)
{
    struct play *p = *state;
    char text[32];
    long total = 0;

    put_text(p->f.fd, "counter.kv", "0");
    start(p, role_counter);
    start(p, role_counter);
    start(p, role_counter);
    start(p, role_watcher);
    play(p, 3, 50);
    for (int i = 0; i < 3; i++) {
        total += p->s->done[i];
    }
    (void)snprintf(text, sizeof text, "%ld", total);
    assert_file(p->f.fd, "counter.kv", text);
}

static void role_create_once(struct play *p, int me, struct drover *db)
{
    char key[16];

    for (int i = 0; i < 200; i++) {
        struct drover_error e;
        (void)snprintf(key, sizeof key, "k%d", i);
        int rc = drover_create(db, ROOT, T(key), T("x"), &e);
        if (rc == 0) {
            p->s->empty[me]++; /* counts wins here */
        } else if (rc != DROVER_E_EXISTS) {
            wrong(p, me, "create", e.message);
        }
        p->s->done[me]++;
    }
}

static void each_key_is_created_exactly_once(void **state)
{
    struct play *p = *state;
    long wins = 0;

    for (int i = 0; i < 4; i++) {
        start(p, role_create_once);
    }
    play(p, 4, 200);
    for (int i = 0; i < 4; i++) {
        wins += p->s->empty[i];
    }
    assert_int_equal(wins, 200);
}

/* --- no lost update ------------------------------------------------------ */

/* The only writer of a key: what a set returned for must be there, whatever
 * readers of both kinds do. */
static void role_own_key(struct play *p, int me, struct drover *db)
{
    char key[16];
    char text[32];
    void *v;
    size_t len;

    (void)snprintf(key, sizeof key, "own%d", me);
    while (!stopped(p)) {
        struct drover_error e;
        (void)snprintf(text, sizeof text, "%ld", p->s->done[me]);
        int rc = drover_set(db, ROOT, T(key), T(text), 5000, &e);
        if (rc < 0) {
            wrong(p, me, "set", e.message);
            return;
        }
        rc = drover_get(db, ROOT, T(key), 5000, &v, &len, &e);
        if (rc < 0) {
            wrong(p, me, "get", e.message);
            return;
        }
        if (strcmp(v, text) != 0) {
            wrong(p, me, "lost update", v);
        }
        drover_free(v);
        p->s->done[me]++;
    }
}

/* Sees a key's numbers only grow; alternates our get and flockd's. */
static void role_own_reader(struct play *p, int me, struct drover *db)
{
    long last[2] = {-1, -1};

    while (!stopped(p)) {
        int which = (int)(p->s->done[me] & 1);
        char key[16];
        char text[40] = "";
        size_t len = 0;
        (void)snprintf(key, sizeof key, "own%d", which);
        int rc = drover_get_into(db, ROOT, T(key), 500, text, 32, &len, NULL);
        if (rc == 0) {
            text[len] = '\0';
            long n = strtol(text, NULL, 10);
            if (len == 0 || n < last[which]) {
                wrong(p, me, "went back", text);
            }
            last[which] = n;
            (void)flockd_get(p->f.fd, file_of(key), text, 32);
        }
        p->s->done[me]++;
        clock_sleep_ns(20 * NS_PER_US);
    }
}

static void a_set_that_returned_is_never_lost(void **state)
{
    struct play *p = *state;

    start(p, role_own_key);
    start(p, role_own_key);
    start(p, role_own_reader);
    play(p, 2, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_TEST(our_writers_never_show_a_torn_or_empty_value),
        PLAY_TEST(beside_flockd_no_value_is_torn),
        PLAY_TEST(no_placeholder_is_read_or_locked),
        PLAY_TEST(create_has_one_winner_and_no_placeholder),
        PLAY_TEST(each_key_is_created_exactly_once),
        PLAY_TEST(a_set_that_returned_is_never_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
