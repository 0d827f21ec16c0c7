/* SPDX-License-Identifier: MIT
 *
 * frames: ready flights become frames, as the link has room for them and the
 * brake lets them go.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct primary;
struct repl;

/* Append frames of ready flights to r->out until it holds `want` bytes. */
void frames_produce(struct primary *p, struct repl *r, size_t want);
bool frames_ready(const struct repl *r);
