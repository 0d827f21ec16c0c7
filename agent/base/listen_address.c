/* SPDX-License-Identifier: MIT
 *
 * listen_address: see listen_address.h.
 */
#include "agent/base/listen_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "store/base/quote.h"

enum { PORT_MAX = 65535, LOOPBACK_NET = 127 };

static int unix_path(const char *text, struct listen_address *out,
                     struct err *err)
{
    struct sockaddr_un *addr = (struct sockaddr_un *)&out->addr;
    size_t len = strlen(text);

    if (len >= sizeof addr->sun_path) {
        return err_set(err, ERR_INVALID, 0,
                       "%s: longer than the %zu bytes that a socket's path may "
                       "have",
                       QUOTED(text, len), sizeof addr->sun_path - 1);
    }
    addr->sun_family = AF_UNIX;
    memcpy(addr->sun_path, text, len + 1);
    out->len = sizeof *addr;
    return 0;
}

/* The port behind the last colon; 0: there is none. */
static uint16_t port_of(const char *colon)
{
    size_t digits = colon != NULL ? strspn(colon + 1, "0123456789") : 0;
    unsigned port = 0;

    if (digits == 0 || digits > 5 || colon[1 + digits] != '\0') {
        return 0;
    }
    for (size_t i = 1; i <= digits; i++) {
        port = port * 10 + (unsigned)(colon[i] - '0');
    }
    return port <= PORT_MAX ? (uint16_t)port : 0;
}

static bool loopback4(const char *host, uint16_t port,
                      struct listen_address *out)
{
    struct sockaddr_in *addr = (struct sockaddr_in *)&out->addr;

    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
                  &addr->sin_addr) != 1 ||
        ntohl(addr->sin_addr.s_addr) >> 24 != LOOPBACK_NET) {
        return false;
    }
    addr->sin_family = AF_INET;
    addr->sin_port = htons(port);
    out->len = sizeof *addr;
    return true;
}

static bool loopback6(const char *host, uint16_t port,
                      struct listen_address *out)
{
    struct sockaddr_in6 *addr = (struct sockaddr_in6 *)&out->addr;

    if (strcmp(host, "[::1]") != 0) {
        return false;
    }
    addr->sin6_family = AF_INET6;
    addr->sin6_addr = in6addr_loopback;
    addr->sin6_port = htons(port);
    out->len = sizeof *addr;
    return true;
}

int listen_address_parse(const char *text, struct listen_address *out,
                         struct err *err)
{
    char host[64] = "";
    const char *colon = strrchr(text, ':');
    uint16_t port = port_of(colon);

    memset(out, 0, sizeof *out);
    if (text[0] == '/') {
        return unix_path(text, out, err);
    }
    if (port != 0 && (size_t)(colon - text) < sizeof host) {
        (void)snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
        if (loopback4(host, port, out) || loopback6(host, port, out)) {
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, 0,
                   "%s: write an address that only this host reaches and a "
                   "port (127.0.0.1:9811, [::1]:9811), or a socket's path; for "
                   "other hosts put a proxy with a password in front of it",
                   QUOTED(text, strlen(text)));
}
