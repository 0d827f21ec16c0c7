/* SPDX-License-Identifier: MIT
 *
 * openssh: see openssh.h.
 *
 * The texts are those of OpenSSH 7 to 9: ssh.c, sshconnect.c, sshconnect2.c,
 * readconf.c, packet.c, kex.c and authfile.c.  They are not translated.  One
 * that is not here is told as it stands, with DR-212.
 */
#include "sync/link/openssh.h"

#include <stddef.h>
#include <string.h>

#include "sync/errors/state.h"

static const struct {
    const char *text;
    int id;
} SAID[] = {
    {"REMOTE HOST IDENTIFICATION HAS CHANGED", DR_HOST_KEY_CHANGED},
    {"REVOKED HOST KEY DETECTED", DR_KNOWN_HOSTS},
    {"host key is known for ", DR_HOST_KEY_UNKNOWN},
    {"Host key verification failed", DR_HOST_KEY_UNKNOWN},
    {"Could not resolve hostname ", DR_CONNECT},
    {"ssh: connect to ", DR_CONNECT},
    {"Unable to negotiate with ", DR_HANDSHAKE},
    {"kex_exchange_identification: ", DR_HANDSHAKE},
    {"ssh_exchange_identification: ", DR_HANDSHAKE},
    {"UNKNOWN port 65535", DR_HANDSHAKE},
    {"ssh_dispatch_run_fatal: ", DR_HANDSHAKE},
    {"timed out during banner exchange", DR_HANDSHAKE},
    {"UNPROTECTED PRIVATE KEY FILE", DR_KEY_FILE},
    {"Load key \"", DR_KEY_FILE},
    {"no such identity: ", DR_KEY_FILE},
    {"Identity file ", DR_KEY_FILE},
    {"Too many authentication failures", DR_AUTH},
    {"Permission denied (", DR_AUTH},
};

int openssh_says(const char *line)
{
    for (size_t i = 0; i < sizeof SAID / sizeof *SAID; i++) {
        if (strstr(line, SAID[i].text) != NULL) {
            return SAID[i].id;
        }
    }
    return 0;
}
