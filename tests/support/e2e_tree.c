/* SPDX-License-Identifier: MIT
 *
 * e2e_tree: compares two databases byte for byte, without Drover's code.
 *
 *     e2e_tree list DIR     one line per table and key, sorted
 *     e2e_tree diff A B     what only one has or what differs; exit status 1
 *
 * A table is the root and each directory NAME.tbl, a key each file KEY.kv
 * directly in a table; everything else, .drover among it, is passed over.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

struct list {
    char **lines; /* "t TABLE" or "k TABLE/KEY SIZE DIGEST", names escaped */
    size_t count, room;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "e2e_tree: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* A name on one line: control bytes, blanks and backslashes as \xx, in
 * hexadecimal. */
static char *escape(const char *name)
{
    char *out = malloc(4 * strlen(name) + 1);
    char *p = out;

    if (out == NULL) {
        die("memory");
    }
    for (; *name != '\0'; name++) {
        unsigned char c = (unsigned char)*name;
        if (c <= ' ' || c == '\\' || c >= 0x7f) {
            *p++ = '\\';
            *p++ = "0123456789abcdef"[c >> 4];
            *p++ = "0123456789abcdef"[c & 15];
        } else {
            *p++ = (char)c;
        }
    }
    *p = '\0';
    return out;
}

static void add(struct list *l, char *line)
{
    if (l->count == l->room) {
        l->room = l->room > 0 ? 2 * l->room : 256;
        l->lines = realloc(l->lines, l->room * sizeof *l->lines);
    }
    if (l->lines == NULL || line == NULL) {
        die("memory");
    }
    l->lines[l->count++] = line;
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n >= m && strcmp(name + n - m, end) == 0;
}

static void add_key(struct list *l, int dir_fd, const char *table,
                    const char *file)
{
    static char piece[1 << 18];
    XXH3_state_t *state = XXH3_createState();
    int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    uint64_t size = 0;
    char *name = escape(file);
    char *line = NULL;
    ssize_t n;

    if (fd < 0 || state == NULL) {
        die(file);
    }
    (void)XXH3_128bits_reset(state);
    while ((n = read(fd, piece, sizeof piece)) > 0) {
        (void)XXH3_128bits_update(state, piece, (size_t)n);
        size += (uint64_t)n;
    }
    if (n < 0) {
        die(file);
    }
    (void)close(fd);
    XXH128_hash_t h = XXH3_128bits_digest(state);
    (void)XXH3_freeState(state);
    if (asprintf(&line, "k %s/%s %" PRIu64 " %016" PRIx64 "%016" PRIx64, table,
                 name, size, h.high64, h.low64) < 0) {
        die("memory");
    }
    free(name);
    add(l, line);
}

static void walk(struct list *l, int fd, const char *path, bool is_table)
{
    DIR *dir = fdopendir(fd);
    struct dirent *de;
    struct stat st;

    if (dir == NULL) {
        die(path);
    }
    while ((de = readdir(dir)) != NULL) {
        const char *name = de->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            (*path == '\0' && strcmp(name, ".drover") == 0) ||
            fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            continue;
        }
        if (S_ISREG(st.st_mode) && is_table && ends_with(name, ".kv")) {
            add_key(l, dirfd(dir), path, name);
        } else if (S_ISDIR(st.st_mode)) {
            bool table = ends_with(name, ".tbl");
            char *shown = escape(name), *below = NULL, *line = NULL;
            int sub = openat(dirfd(dir), name,
                             O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
            if (sub < 0 || asprintf(&below, "%s/%s", path, shown) < 0 ||
                asprintf(&line, "t %s", below) < 0) {
                die(name);
            }
            walk(l, sub, below, table);
            if (table) {
                add(l, line);
            } else {
                free(line);
            }
            free(below);
            free(shown);
        }
    }
    (void)closedir(dir);
}

static int by_text(const void *a, const void *b)
{
    char *const *x = a, *const *y = b;

    return strcmp(*x, *y);
}

static struct list list_of(const char *dir)
{
    struct list l = {NULL, 0, 0};
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        die(dir);
    }
    walk(&l, fd, "", true);
    if (l.count > 0) {
        qsort(l.lines, l.count, sizeof *l.lines, by_text);
    }
    return l;
}

static int diff(const struct list *a, const struct list *b)
{
    size_t i = 0, k = 0;
    int found = 0;

    while (i < a->count || k < b->count) {
        int c = i == a->count   ? 1
                : k == b->count ? -1
                                : strcmp(a->lines[i], b->lines[k]);
        if (c != 0) {
            found++;
            (void)printf("%c %s\n", c < 0 ? '<' : '>',
                         c < 0 ? a->lines[i] : b->lines[k]);
        }
        i += c <= 0;
        k += c >= 0;
    }
    return found;
}

static void list_free(struct list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->lines[i]);
    }
    free(l->lines);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "list") == 0) {
        struct list l = list_of(argv[2]);
        for (size_t i = 0; i < l.count; i++) {
            (void)puts(l.lines[i]);
        }
        list_free(&l);
        return 0;
    }
    if (argc == 4 && strcmp(argv[1], "diff") == 0) {
        struct list a = list_of(argv[2]);
        struct list b = list_of(argv[3]);
        int found = diff(&a, &b);
        list_free(&a);
        list_free(&b);
        return found > 0;
    }
    (void)fprintf(stderr, "usage: e2e_tree list DIR | diff A B\n");

    return 64;
}
