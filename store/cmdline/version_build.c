/* SPDX-License-Identifier: MIT
 *
 * version_build: the version of this build; version.cmake writes the header,
 * and only when it changes. */
#include "drover_version.h"

#include "store/cmdline/version.h"

const char VERSION_BUILD[] = DROVER_VERSION_BUILD;
