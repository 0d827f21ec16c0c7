/* SPDX-License-Identifier: MIT
 *
 * plain_key: the key of a new index, which tests leave as it is. */
#pragma once

#include "sync/index/index.h"

static const struct index_key plain_key;
