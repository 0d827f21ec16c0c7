/* SPDX-License-Identifier: MIT
 *
 * lookup: uv_getaddrinfo() with a way out; see lookup.h. */
#include "sync/lookup.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

struct lookup {
    uv_getaddrinfo_t req;
    lookup_done_fn done; /* NULL: forgotten */
    void *arg;
};

static void on_lookup(uv_getaddrinfo_t *req, int status, struct addrinfo *addrs)
{
    struct lookup *l = req->data;
    lookup_done_fn done = l->done;
    void *arg = l->arg;

    free(l);
    if (done != NULL) {
        done(arg, status, addrs);
    } else {
        uv_freeaddrinfo(addrs);
    }
}

struct lookup *lookup_start(uv_loop_t *loop, const char *host, uint16_t port,
                            lookup_done_fn done, void *arg, struct err *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM};
    char service[8];

    struct lookup *l = calloc(1, sizeof *l);
    if (l == NULL) {
        err_set(err, ERR_NOMEM, 0, "no memory for a name lookup");
        return NULL;
    }
    l->done = done;
    l->arg = arg;
    l->req.data = l;
    (void)snprintf(service, sizeof service, "%u", (unsigned)port);
    int rc = uv_getaddrinfo(loop, &l->req, on_lookup, host, service, &hints);
    if (rc < 0) {
        free(l);
        err_set(err, ERR_INVALID, 0, "cannot look up \"%s\": %s", host,
                uv_strerror(rc));
        return NULL;
    }
    return l;
}

void lookup_forget(struct lookup **l)
{
    if (*l != NULL) {
        (*l)->done = NULL;
        (void)uv_cancel((uv_req_t *)&(*l)->req); /* if it has not begun */
        *l = NULL;
    }
}
