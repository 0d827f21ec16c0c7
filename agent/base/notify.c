/* SPDX-License-Identifier: MIT
 *
 * notify: see notify.h.  sd_notify's result is not looked at: a manager that
 * does not listen is no reason to stop replicating.
 */
#include "agent/base/notify.h"

#include <systemd/sd-daemon.h>

#include "store/base/clock.h"

void notify_ready(const char *status)
{
    (void)sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void notify_reloading(void)
{
    /* The time stamp is what newer systemd pairs with the READY that follows;
     * older versions ignore it. */
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
                     (long long)(clock_mono_ns() / NS_PER_US));
}

void notify_stopping(void)
{
    (void)sd_notify(0, "STOPPING=1\nSTATUS=stopping");
}

void notify_status(const char *status)
{
    (void)sd_notifyf(0, "STATUS=%s", status);
}

int64_t notify_watchdog_ms(void)
{
    uint64_t usec = 0;

    if (sd_watchdog_enabled(0, &usec) <= 0 || usec == 0) {
        return 0;
    }
    int64_t ms = (int64_t)(usec / 1000 / 2);

    return ms > 0 ? ms : 1;
}

void notify_watchdog(void)
{
    (void)sd_notify(0, "WATCHDOG=1");
}
