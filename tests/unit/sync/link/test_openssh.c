/* SPDX-License-Identifier: MIT
 *
 * openssh: lines as OpenSSH's client prints them, and the number of each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync/errors/state.h"
#include "sync/link/openssh.h"

static void each_line_has_its_number(void **state)
{
    static const struct {
        const char *line;
        int id;
    } ROWS[] = {
        {"ssh: Could not resolve hostname eu-1: Name or service not known",
         DR_CONNECT},
        {"ssh: connect to host eu-1 port 22: Connection refused", DR_CONNECT},
        {"ssh: connect to host eu-1 port 22: No route to host", DR_CONNECT},
        {"Connection timed out during banner exchange", DR_HANDSHAKE},
        {"kex_exchange_identification: read: Connection reset by peer",
         DR_HANDSHAKE},
        {"ssh_exchange_identification: Connection closed by remote host",
         DR_HANDSHAKE},
        {"Connection closed by UNKNOWN port 65535", DR_HANDSHAKE},
        {"Unable to negotiate with 10.0.0.1 port 22: no matching host key type "
         "found. Their offer: ssh-rsa",
         DR_HANDSHAKE},
        {"No ED25519 host key is known for eu-1 and you have requested strict "
         "checking.",
         DR_HOST_KEY_UNKNOWN},
        {"Host key verification failed.", DR_HOST_KEY_UNKNOWN},
        {"@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @",
         DR_HOST_KEY_CHANGED},
        {"@       WARNING: REVOKED HOST KEY DETECTED!               @",
         DR_KNOWN_HOSTS},
        {"Warning: Identity file /k not accessible: No such file or directory.",
         DR_KEY_FILE},
        {"@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @",
         DR_KEY_FILE},
        {"Load key \"/k\": Permission denied", DR_KEY_FILE},
        {"drover-recv@eu-1: Permission denied (publickey).", DR_AUTH},
        {"Received disconnect from 10.0.0.1 port 22:2: Too many authentication "
         "failures",
         DR_AUTH},
        {"", 0},
        {"drover-replica: /r: Permission denied", 0},
        {"@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@", 0},
        {"Warning: Permanently added '10.0.0.1' (ED25519) to the list of known "
         "hosts.",
         0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        if (openssh_says(ROWS[i].line) != ROWS[i].id) {
            fail_msg("%s: %d", ROWS[i].line, openssh_says(ROWS[i].line));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_line_has_its_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
