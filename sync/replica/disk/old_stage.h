/* SPDX-License-Identifier: MIT
 *
 * old_stage: the directory META_DIR/stage of receivers before protocol 2,
 * which kept values on their way in there.  It held files and the directories
 * 1 to 7; it is emptied and removed.
 */
#pragma once

#include "store/base/err.h"

/* 0 also when there is none.  The session lock must be held. */
int old_stage_remove(int meta_fd, struct err *err) MUSTCHECK;
