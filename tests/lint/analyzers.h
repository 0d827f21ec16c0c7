/* SPDX-License-Identifier: MIT
 *
 * analyzers: read before each source that static.sh hands to clang-tidy and
 * gcc -fanalyzer.  They look at one source at a time, so they do not know that
 * these functions never return 0, and would follow every failed call into the
 * code behind it as if it had gone well. */
#pragma once

#include "store/base/err.h"

#define err_set(err, code, ...) (err_set(err, code, __VA_ARGS__), (int)(code))
#define err_sys(...) (err_sys(__VA_ARGS__), (int)ERR_IO)
#define err_wrap(...) (err_wrap(__VA_ARGS__), (int)ERR_IO)
