/* SPDX-License-Identifier: MIT
 *
 * listen_address: where a server that asks nobody for a password may listen: on
 * an address that only this host reaches, or on a unix socket.
 *
 *   127.0.0.1:9811   [::1]:9811   localhost:9811
 * /run/drover/orders/metrics.sock
 */
#pragma once

#include <sys/socket.h>

#include "store/base/err.h"

struct listen_address {
    struct sockaddr_storage addr;
    socklen_t len;
};

/* ERR_INVALID says what may be written. */
int listen_address_parse(const char *text, struct listen_address *out,
                         struct err *err) MUSTCHECK;
