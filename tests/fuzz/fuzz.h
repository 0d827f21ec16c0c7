/* SPDX-License-Identifier: MIT
 *
 * fuzz: what the fuzz targets share.  A target is one function over bytes that
 * somebody hostile may have written; it must end, leave nothing behind, and
 * hold what its file's story promises.  must() is how it says that it did not.
 *
 * Built with clang and -fsanitize=fuzzer a target looks for new inputs; built
 * with fuzz_main.c it replays those in tests/fuzz/corpus/, as any other test.
 */
#pragma once

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/buf.h"
#include "store/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(condition)                                                        \
    ((condition) ? (void)0 : fuzz_fail(#condition, __FILE__, __LINE__))

static inline void fuzz_fail(const char *what, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: must(%s) does not hold\n", file, line, what);
    abort();
}

/* A string of its own in memory: a sanitizer sees a read beyond it.  The
 * caller frees it. */
static inline char *fuzz_text(const void *data, size_t n)
{
    char *text = malloc(n + 1);

    must(text != NULL);
    memcpy(text, n > 0 ? data : "", n);
    text[n] = '\0';
    return text;
}

/* The next `n` bytes or what is left of them. */
static inline struct cur fuzz_take(struct cur *in, size_t n)
{
    n = n < in->left ? n : in->left;
    return cur_of(cur_take(in, n), n);
}

/* A folder of this process, made once, below $TMPDIR. */
static inline int fuzz_dir(void)
{
    static int fd = -1;
    char path[4096];

    if (fd < 0) {
        const char *base = getenv("TMPDIR");
        (void)snprintf(path, sizeof path, "%s/drover-fuzz-XXXXXX",
                       base != NULL ? base : "/tmp");
        must(mkdtemp(path) != NULL);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        must(fd >= 0);
    }
    return fd;
}

/* The path of `file` in fuzz_dir(); lives until the next call. */
static inline const char *fuzz_path(const char *file)
{
    static char link[40], path[4096 + 64];

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fuzz_dir());
    ssize_t n = readlink(link, path, 4096);
    must(n > 0);
    (void)snprintf(path + n, 64, "/%s", file);
    return path;
}

/* Write dir_fd/file anew. */
static inline void fuzz_file(int dir_fd, const char *file, mode_t mode,
                             const void *data, size_t n)
{
    (void)unlinkat(dir_fd, file, 0);
    int fd =
        openat(dir_fd, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    must(fd >= 0);
    must(n == 0 || write(fd, data, n) == (ssize_t)n);
    (void)close(fd);
}

/* Nothing in a text for a terminal or a log acts on it. */
static inline void fuzz_is_tame(const char *text, size_t n, const char *allowed)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        bool acts =
            c < 0x20 || c == 0x7f ||
            /* C1 control characters in UTF-8. */
            (c == 0xc2 && i + 1 < n && (unsigned char)text[i + 1] < 0xa0);
        if (acts && (c == 0 || strchr(allowed, c) == NULL)) {
            (void)fprintf(stderr, "not tame: %.*s\n", (int)n, text);
            abort();
        }
    }
}
