/* SPDX-License-Identifier: MIT
 *
 * lookup, worker: what blocks on its own thread stops nobody else.
 *
 * The test stands in for the resolver: a name that begins with "dead" has no
 * answer until the test says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <uv.h>

#include "sync/link/lookup.h"
#include "sync/link/worker.h"

enum { MANY = 64 }; /* more than any thread pool of libuv's here */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool released;
static unsigned asked, answered;

int __real_getaddrinfo(const char *host, const char *service,
                       const struct addrinfo *hints, struct addrinfo **out);
int __wrap_getaddrinfo(const char *host, const char *service,
                       const struct addrinfo *hints, struct addrinfo **out);

static void wait_for_release(void)
{
    pthread_mutex_lock(&mutex);
    asked++;
    pthread_cond_broadcast(&changed);
    while (!released) {
        pthread_cond_wait(&changed, &mutex);
    }
    answered++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

int __wrap_getaddrinfo(const char *host, const char *service,
                       const struct addrinfo *hints, struct addrinfo **out)
{
    if (strncmp(host, "dead", 4) == 0) {
        wait_for_release();
        return EAI_AGAIN;
    }
    return __real_getaddrinfo(host, service, hints, out);
}

static void wait_for(const unsigned *count, unsigned n)
{
    pthread_mutex_lock(&mutex);
    while (*count < n) {
        pthread_cond_wait(&changed, &mutex);
    }
    pthread_mutex_unlock(&mutex);
}

static void release(void)
{
    pthread_mutex_lock(&mutex);
    released = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static int setup(void **state)
{
    (void)state;
    pthread_mutex_lock(&mutex);
    released = false;
    asked = answered = 0;
    pthread_mutex_unlock(&mutex);
    return 0;
}

struct answer {
    unsigned times;
    bool found;
    char why[128];
};

static void on_lookup(void *arg, struct addrinfo *addrs, const char *why)
{
    struct answer *a = arg;

    a->times++;
    a->found = addrs != NULL;
    (void)strncat(a->why, addrs != NULL ? "" : why, sizeof a->why - 1);
    if (addrs != NULL) {
        freeaddrinfo(addrs);
    }
}

static struct lookup *look_up(uv_loop_t *loop, const char *host, uint16_t port,
                              struct answer *a)
{
    struct err err;
    struct lookup *l = lookup_start(loop, host, port, on_lookup, a, &err);

    assert_non_null(l);
    return l;
}

static void work(uv_work_t *w)
{
    (void)w;
}

/* On the loop's thread, as what it tells is read there. */
static void on_worked(uv_work_t *w, int status)
{
    (void)status;
    *(bool *)w->data = true;
}

/* The one user of the pool is served and a living name is found. */
static void pool_and_names_work(uv_loop_t *loop)
{
    bool worked = false;
    uv_work_t request = {.data = &worked};
    struct answer good = {0};

    (void)look_up(loop, "127.0.0.1", 22, &good);
    assert_int_equal(uv_queue_work(loop, &request, work, on_worked), 0);
    while (!worked || good.times == 0) {
        (void)uv_run(loop, UV_RUN_ONCE);
    }
    assert_true(good.found);
}

static void dead_names_stop_neither_the_pool_nor_other_names(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct lookup *dead[MANY];
    struct answer answers[MANY] = {{0}};

    assert_int_equal(uv_loop_init(&loop), 0);
    for (unsigned i = 0; i < MANY; i++) {
        dead[i] =
            look_up(&loop, "dead.example", (uint16_t)(1000 + i), &answers[i]);
    }
    wait_for(&asked, MANY);
    pool_and_names_work(&loop);
    /* Some are given up, the others have their answer in the end. */
    for (unsigned i = 0; i < MANY / 2; i++) {
        lookup_forget(&dead[i]);
        assert_null(dead[i]);
    }
    release();
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    wait_for(&answered, MANY); /* the forgotten ones' threads, too */
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(answers[i].times, i < MANY / 2 ? 0 : 1);
        assert_false(answers[i].found);
        assert_int_equal(answers[i].why[0] != '\0', i >= MANY / 2);
    }
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void one_replicas_lookups_are_one_thread(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct answer a = {0};
    struct lookup *l = NULL;

    assert_int_equal(uv_loop_init(&loop), 0);
    for (int attempt = 0; attempt < 100; attempt++) {
        lookup_forget(&l);
        l = look_up(&loop, "dead.example", 22, &a);
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    wait_for(&asked, 1);
    release();
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(a.times, 1); /* the last attempt has the first's answer */
    assert_int_equal(asked, 1);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void a_forgotten_lookup_keeps_no_loop_alive(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct answer a = {0};

    assert_int_equal(uv_loop_init(&loop), 0);
    struct lookup *l = look_up(&loop, "dead.example", 22, &a);
    wait_for(&asked, 1);
    lookup_forget(&l);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    release();
    wait_for(&answered, 1);
    assert_int_equal(a.times, 0);
}

static void block(void *arg)
{
    (void)arg;
    wait_for_release();
}

static void count(void *arg)
{
    ++*(unsigned *)arg;
}

static void blocked_workers_leave_the_pool_alone(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct err err;
    unsigned done = 0;

    assert_int_equal(uv_loop_init(&loop), 0);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(worker_start(&loop, block, count, &done, &err), 0);
    }
    wait_for(&asked, MANY);
    pool_and_names_work(&loop);
    assert_int_equal(done, 0);
    release();
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(done, MANY);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(dead_names_stop_neither_the_pool_nor_other_names,
                               setup),
        cmocka_unit_test_setup(one_replicas_lookups_are_one_thread, setup),
        cmocka_unit_test_setup(a_forgotten_lookup_keeps_no_loop_alive, setup),
        cmocka_unit_test_setup(blocked_workers_leave_the_pool_alone, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
