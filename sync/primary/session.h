/* SPDX-License-Identifier: MIT
 *
 * session: one connection to a replica: hello, frames in and out, and what of
 * it is told to people.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/err.h"
#include "sync/wire/wire.h"

enum session_state { SESSION_DOWN, SESSION_HELLO, SESSION_LIVE };

struct session {
    enum session_state state;
    uint8_t durability;
    uint32_t features;  /* both ends know them */
    bool digests_known; /* READY came */
    bool paused;
    bool failed;  /* the last end was permanent */
    bool closing; /* ACT_LINK_CLOSE was issued */
    bool ever_live;
    unsigned scans_open; /* asked for in this session, and not answered */
    struct wire_in in;
    struct buf out; /* whole frames, out_at bytes are sent */
    size_t out_at;
    int64_t up_ms, rx_ms, ack_ms;
    unsigned attempts;
    struct err last_error;
    char version[32];
    char host[64];
    int64_t notices_ms;    /* the window of NOTICE_WINDOW_MS began */
    unsigned notices;      /* passed on in it */
    uint64_t notices_held; /* left out since one was passed on */
};
