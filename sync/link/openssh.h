/* SPDX-License-Identifier: MIT
 *
 * openssh: what OpenSSH's client says on its stderr before it gives up, as one
 * of our numbers, so that a link by that client has the states and remedies of
 * our own. */
#pragma once

/* What a line says: DR_* of sync/errors/state.h, or 0: nothing of this kind.
 * The first one that is not 0 is the reason; what comes after it follows from
 * it. */
int openssh_says(const char *line);
