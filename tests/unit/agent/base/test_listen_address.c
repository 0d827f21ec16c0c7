/* SPDX-License-Identifier: MIT
 *
 * listen_address: only what nobody on another host can reach. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "agent/base/listen_address.h"

static void what_this_host_alone_reaches_is_taken(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int family;
        uint16_t port;
    } good[] = {
        {"127.0.0.1:9811", AF_INET, 9811},
        {"127.8.9.10:1", AF_INET, 1},
        {"localhost:65535", AF_INET, 65535},
        {"[::1]:9811", AF_INET6, 9811},
        {"/run/drover/orders/metrics.sock", AF_UNIX, 0},
    };

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct listen_address a;
        struct err err = {0};
        assert_int_equal(listen_address_parse(good[i].text, &a, &err), 0);
        assert_int_equal(a.addr.ss_family, good[i].family);
        if (good[i].family == AF_INET) {
            const struct sockaddr_in *in = (const void *)&a.addr;
            assert_int_equal(ntohs(in->sin_port), good[i].port);
        } else if (good[i].family == AF_INET6) {
            const struct sockaddr_in6 *in = (const void *)&a.addr;
            assert_int_equal(ntohs(in->sin6_port), good[i].port);
            assert_memory_equal(&in->sin6_addr, &in6addr_loopback, 16);
        } else {
            assert_string_equal(((const struct sockaddr_un *)&a.addr)->sun_path,
                                good[i].text);
        }
    }
}

static void all_else_is_refused_with_what_may_be_written(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        ":",
        ":9811",
        "9811",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:99999999999",
        "127.0.0.1:98x",
        "127.0.0.1: 98",
        "0.0.0.0:9811",
        "192.0.2.7:9811",
        "128.0.0.1:9811",
        "::1:9811",
        "[::]:9811",
        "[::ffff:127.0.0.1]:9811",
        "eu-1.example.net:9811",
        "localhost.example.net:9811",
        "run/metrics.sock",
        "127.0.0.1:9811:9811",
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct listen_address a;
        struct err err = {0};
        assert_int_equal(listen_address_parse(bad[i], &a, &err), ERR_INVALID);
        assert_non_null(strstr(err.msg, "127.0.0.1:9811"));
    }
}

static void a_socket_has_room_for_its_path(void **state)
{
    (void)state;
    char path[sizeof((struct sockaddr_un *)0)->sun_path + 1];
    struct listen_address a;
    struct err err = {0};

    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    assert_int_equal(listen_address_parse(path, &a, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "107"));
    path[sizeof path - 2] = '\0';
    assert_int_equal(listen_address_parse(path, &a, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_this_host_alone_reaches_is_taken),
        cmocka_unit_test(all_else_is_refused_with_what_may_be_written),
        cmocka_unit_test(a_socket_has_room_for_its_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
