/* SPDX-License-Identifier: MIT
 *
 * wire_recode: decode any frame's body and encode it again, for tests that
 * check round trips, hostile bytes and the protocol's document.
 *
 * Every frame has exactly one encoding (but for a HELLO that announces a later
 * protocol), so what decodes must come out as the same bytes.
 */
#pragma once

#include "sync/wire/wire.h"

/* Append the frame to `out`: 0, ERR_PROTO when the body does not decode, and
 * ERR_INVALID for a type that is not part of the protocol. */
int wire_recode(enum wire_type type, struct bytes body, struct buf *out,
                struct err *err);

/* Append one frame of each type to `out`, in order of the type's number, with
 * members that are all different.  The frames of `which` only, 0: all. */
void wire_samples(struct buf *out, enum wire_type which);

/* All frame types, ended by 0. */
extern const enum wire_type wire_types[];
