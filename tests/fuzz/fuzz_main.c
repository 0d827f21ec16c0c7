/* SPDX-License-Identifier: MIT
 *
 * fuzz_main: replays files, or all files of folders, through a fuzz target.
 *
 *     fuzz_NAME FILE|FOLDER...
 *
 * It shows the name of an input before it is tried, so that a crash tells which
 * one it was, and fails when there was none.
 */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>

#include "tests/fuzz/fuzz.h"

static int try_file(const char *path)
{
    FILE *f = fopen(path, "re");
    struct stat st;

    if (f == NULL || fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    size_t n = (size_t)st.st_size;
    uint8_t *data = malloc(n > 0 ? n : 1);
    must(data != NULL && fread(data, 1, n, f) == n);
    (void)fclose(f);
    (void)printf("%s\n", path);
    (void)fflush(stdout);
    (void)LLVMFuzzerTestOneInput(data, n);
    free(data);
    return 1;
}

static int try_folder(const char *path)
{
    struct dirent **list;
    int count = 0;

    int n = scandir(path, &list, NULL, alphasort);
    must(n >= 0);
    for (int i = 0; i < n; i++) {
        char file[4096];
        if (list[i]->d_name[0] != '.') {
            (void)snprintf(file, sizeof file, "%s/%s", path, list[i]->d_name);
            count += try_file(file);
        }
        free(list[i]);
    }
    free(list);
    return count;
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static char temp[4096];

static void remove_temp(void)
{
    (void)nftw(temp, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* What the target leaves on the disk goes with the process. */
static void make_temp(void)
{
    const char *base = getenv("TMPDIR");

    (void)snprintf(temp, sizeof temp, "%s/drover-replay-XXXXXX",
                   base != NULL && strlen(base) < 40 ? base : "/tmp");
    must(mkdtemp(temp) != NULL && setenv("TMPDIR", temp, 1) == 0);
    must(atexit(remove_temp) == 0);
}

int main(int argc, char **argv)
{
    int count = 0;

    make_temp();

    for (int i = 1; i < argc; i++) {
        struct stat st;
        bool folder = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);
        count += folder ? try_folder(argv[i]) : try_file(argv[i]);
    }
    (void)printf("%d inputs\n", count);
    return count > 0 ? 0 : 1;
}
