/* SPDX-License-Identifier: MIT
 *
 * worker: see worker.h. */
#include "sync/link/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct worker {
    uv_async_t ended;
    pthread_t thread;
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

static void *run(void *arg)
{
    struct worker *w = arg;

    w->work(w->arg);
    (void)uv_async_send(&w->ended);
    return NULL;
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

static void on_ended(uv_async_t *h)
{
    struct worker *w = h->data;
    void (*done)(void *) = w->done;
    void *arg = w->arg;

    (void)pthread_join(w->thread, NULL); /* it has nothing left to do */
    uv_close((uv_handle_t *)h, on_closed);
    done(arg);
}

static int start_thread(struct worker *w)
{
    sigset_t all, was;

    (void)sigfillset(&all); /* signals are the loop's */
    (void)pthread_sigmask(SIG_SETMASK, &all, &was);
    int rc = pthread_create(&w->thread, NULL, run, w);
    (void)pthread_sigmask(SIG_SETMASK, &was, NULL);
    return rc;
}

int worker_start(uv_loop_t *loop, void (*work)(void *arg),
                 void (*done)(void *arg), void *arg, struct err *err)
{
    struct worker *w = calloc(1, sizeof *w);

    if (w == NULL || uv_async_init(loop, &w->ended, on_ended) != 0) {
        free(w);
        return err_set(err, ERR_NOMEM, 0, "no memory for a thread");
    }
    w->ended.data = w;
    w->work = work;
    w->done = done;
    w->arg = arg;
    int sys = start_thread(w);
    if (sys != 0) {
        uv_close((uv_handle_t *)&w->ended, on_closed);
        return err_sys(err, sys, "cannot start a thread");
    }
    return 0;
}
