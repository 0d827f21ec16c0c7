/* SPDX-License-Identifier: MIT
 *
 * notify: what the agent tells systemd: READY, RELOADING, STOPPING, STATUS and
 * the watchdog's ping.  Without systemd (no NOTIFY_SOCKET) nothing happens.
 */
#pragma once

#include <stdint.h>

void notify_ready(const char *status);
void notify_reloading(void);
void notify_stopping(void);
void notify_status(const char *status);
/* How often to ping, in ms (half of what the unit asks for); 0: never. */
int64_t notify_watchdog_ms(void);
void notify_watchdog(void);
