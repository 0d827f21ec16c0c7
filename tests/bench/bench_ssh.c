/* SPDX-License-Identifier: MIT
 *
 * bench_ssh: what libssh2 can send, with nothing around it: one blocking
 * session, one channel, a file written to a command's input.  The limit that a
 * first copy of large values is read against. */
#include <fcntl.h>
#include <libssh2.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/bench_verbs.h"

enum { PIECE_BYTES = 128 * 1024 };

static void check(LIBSSH2_SESSION *session, int rc, const char *what)
{
    char *why = NULL;

    if (rc < 0) {
        (void)libssh2_session_last_error(session, &why, NULL, 0);
        (void)fprintf(stderr, "bench_tool: %s: %s\n", what,
                      why != NULL ? why : "?");
        exit(1);
    }
}

static int dial(unsigned long port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        data_fail("connect");
    }
    return fd;
}

/* As sync/link/link_ssh.c prefers them. */
static void prefer(LIBSSH2_SESSION *session)
{
    check(session,
          libssh2_session_method_pref(session, LIBSSH2_METHOD_CRYPT_CS,
                                      "aes128-ctr"),
          "cipher");
    check(session,
          libssh2_session_method_pref(session, LIBSSH2_METHOD_MAC_CS,
                                      "hmac-sha2-256"),
          "mac");
}

static uint64_t send_file(LIBSSH2_CHANNEL *channel, const char *path)
{
    static char piece[PIECE_BYTES];
    uint64_t sent = 0;
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        data_fail(path);
    }
    while ((n = read(fd, piece, sizeof piece)) > 0) {
        for (ssize_t at = 0; at < n;) {
            ssize_t done =
                libssh2_channel_write(channel, piece + at, (size_t)(n - at));
            if (done < 0) {
                data_fail("channel");
            }
            at += done;
        }
        sent += (uint64_t)n;
    }
    (void)close(fd);
    return sent;
}

/* PORT USER KEY FILE COMMAND */
int verb_ssh_bulk(int argc, char **argv, struct data *d)
{
    (void)argc;
    (void)d;
    (void)libssh2_init(0);
    int64_t began_ns = data_now_ns();
    int fd = dial(strtoul(argv[0], NULL, 10));
    LIBSSH2_SESSION *session = libssh2_session_init();
    prefer(session);
    check(session, libssh2_session_handshake(session, fd), "handshake");
    check(session,
          libssh2_userauth_publickey_fromfile(session, argv[1], NULL, argv[2],
                                              NULL),
          "login");
    LIBSSH2_CHANNEL *channel = libssh2_channel_open_session(session);
    check(session, channel == NULL ? -1 : 0, "channel");
    check(session, libssh2_channel_exec(channel, argv[4]), "exec");
    uint64_t sent = send_file(channel, argv[3]);
    check(session, libssh2_channel_send_eof(channel), "eof");
    check(session, libssh2_channel_wait_eof(channel), "end of the output");
    check(session, libssh2_channel_close(channel), "close");
    check(session, libssh2_channel_wait_closed(channel), "end");
    printf("bytes=%llu seconds=%.3f\n", (unsigned long long)sent,
           (double)(data_now_ns() - began_ns) / 1e9);
    (void)libssh2_channel_free(channel);
    (void)libssh2_session_free(session);
    (void)close(fd);
    return 0;
}
