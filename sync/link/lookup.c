/* SPDX-License-Identifier: MIT
 *
 * lookup: getaddrinfo() on threads of its own; see lookup.h.
 *
 * A job is the thread's work, a lookup is somebody's interest in it.  A job
 * without interest stays in the list until its thread has ended, so that the
 * next interest in the same name finds it.  `mutex` guards the list and what
 * joins the two; the thread wakes a loop only under it, so a forgotten lookup's
 * handle is never touched. */
#include "sync/link/lookup.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

enum { STACK_BYTES = 512 * 1024 };

struct job {
    struct job *prev, *next;
    struct lookup *waiter; /* NULL: forgotten */
    char *host;
    char service[8];
    bool ended;
    int rc, sys; /* getaddrinfo's */
    struct addrinfo *addrs;
};

struct lookup {
    uv_async_t ended;
    struct job *job;
    lookup_done_fn done;
    void *arg;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct job *jobs;
static unsigned jobs_count;

/* Out of the list; the mutex is held. */
static void take_out(struct job *j)
{
    DL_DELETE(jobs, j);
    jobs_count--;
}

static void job_free(struct job *j)
{
    if (j->addrs != NULL) {
        freeaddrinfo(j->addrs);
    }
    free(j->host);
    free(j);
}

static void *run(void *arg)
{
    struct job *j = arg;
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_IDN};

    j->rc = getaddrinfo(j->host, j->service, &hints, &j->addrs);
    j->sys = errno;
    (void)pthread_mutex_lock(&mutex);
    bool wanted = j->waiter != NULL;
    if (wanted) {
        j->ended = true;
        (void)uv_async_send(&j->waiter->ended);
    } else {
        take_out(j);
    }
    (void)pthread_mutex_unlock(&mutex);
    if (!wanted) {
        j->addrs = j->rc == 0 ? j->addrs : NULL;
        job_free(j);
    }
    return NULL;
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

static void on_ended(uv_async_t *h)
{
    struct lookup *l = h->data;
    struct job *j = l->job;

    (void)pthread_mutex_lock(&mutex);
    take_out(j);
    (void)pthread_mutex_unlock(&mutex);
    struct addrinfo *addrs = j->rc == 0 ? j->addrs : NULL;
    const char *why =
        j->rc == EAI_SYSTEM ? strerror(j->sys) : gai_strerror(j->rc);
    j->addrs = NULL;
    job_free(j);
    lookup_done_fn done = l->done;
    void *arg = l->arg;
    uv_close((uv_handle_t *)h, on_closed);
    done(arg, addrs, why);
}

/* --- beginning --------------------------------------------------------------
 */

static bool start_thread(struct job *j)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, was;

    if (pthread_attr_init(&attr) != 0) {
        return false;
    }
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    (void)sigfillset(&all); /* signals are the loop's */
    (void)pthread_sigmask(SIG_SETMASK, &all, &was);
    int rc = pthread_create(&thread, &attr, run, j);
    (void)pthread_sigmask(SIG_SETMASK, &was, NULL);
    (void)pthread_attr_destroy(&attr);
    return rc == 0;
}

/* A job of this name that nobody waits for; the mutex is held. */
static struct job *find(const char *host, const char *service)
{
    struct job *j;

    DL_FOREACH(jobs, j) {
        if (j->waiter == NULL && strcmp(j->host, host) == 0 &&
            strcmp(j->service, service) == 0) {
            return j;
        }
    }
    return NULL;
}

/* In the list, with a thread; the mutex is held. */
static struct job *begin(const char *host, const char *service)
{
    struct job *j = jobs_count < LOOKUPS_MAX ? calloc(1, sizeof *j) : NULL;

    if (j == NULL) {
        return NULL;
    }
    (void)snprintf(j->service, sizeof j->service, "%s", service);
    j->host = strdup(host);
    if (j->host == NULL || !start_thread(j)) {
        job_free(j);
        return NULL;
    }
    DL_APPEND(jobs, j);
    jobs_count++;
    return j;
}

struct lookup *lookup_start(uv_loop_t *loop, const char *host, uint16_t port,
                            lookup_done_fn done, void *arg, struct err *err)
{
    char service[8];
    struct lookup *l = calloc(1, sizeof *l);

    if (l == NULL || uv_async_init(loop, &l->ended, on_ended) != 0) {
        free(l);
        err_set(err, ERR_NOMEM, 0, "no memory for a name lookup");
        return NULL;
    }
    l->ended.data = l;
    l->done = done;
    l->arg = arg;
    (void)snprintf(service, sizeof service, "%u", (unsigned)port);
    (void)pthread_mutex_lock(&mutex);
    l->job = find(host, service);
    if (l->job == NULL) {
        l->job = begin(host, service);
    }
    if (l->job != NULL) {
        l->job->waiter = l;
    }
    (void)pthread_mutex_unlock(&mutex);
    if (l->job == NULL) {
        uv_close((uv_handle_t *)&l->ended, on_closed);
        err_set(err, ERR_NOMEM, 0, "no thread to look up \"%s\" with", host);
        return NULL;
    }
    return l;
}

void lookup_forget(struct lookup **at)
{
    struct lookup *l = *at;

    if (l == NULL) {
        return;
    }
    *at = NULL;
    (void)pthread_mutex_lock(&mutex);
    struct job *j = l->job;
    bool ended = j->ended;
    if (ended) {
        take_out(j);
    } else {
        j->waiter = NULL;
    }
    (void)pthread_mutex_unlock(&mutex);
    if (ended) {
        j->addrs = j->rc == 0 ? j->addrs : NULL;
        job_free(j);
    }
    uv_close((uv_handle_t *)&l->ended, on_closed);
}
