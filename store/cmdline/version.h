/* SPDX-License-Identifier: MIT
 *
 * version: which build this is: "0.1.0", or with the commit it was made from,
 * "0.1.0-56-gbdf4434". */
#pragma once

/* As main() has set it; the project's version before that, and in tests. */
const char *version_text(void);
/* `build` stays. */
void version_is(const char *build);

/* Of the library drover_build, which only programs link: a new commit compiles
 * and links nothing else. */
extern const char VERSION_BUILD[];
