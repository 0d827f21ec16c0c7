/* SPDX-License-Identifier: MIT
 *
 * version: see version.h. */
#include "store/cmdline/version.h"

static const char *text = DROVER_VERSION;

const char *version_text(void)
{
    return text;
}

void version_is(const char *build)
{
    text = build;
}
