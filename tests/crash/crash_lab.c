/* SPDX-License-Identifier: MIT
 *
 * crash_lab: see crash_lab.h. */
#include "crash_lab.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/quote.h"
#include "store/layout/name.h"
#include "store/layout/placeholder.h"
#include "store/layout/value.h"

static size_t findings;
static char context[200];
static char begun[LAB_PATH]; /* to be removed when a test is skipped */

/* --- words --------------------------------------------------------------- */

void lab_bad(const char *fmt, ...)
{
    va_list ap;

    findings++;
    (void)fflush(stdout);
    va_start(ap, fmt);
    (void)fputs("BAD: ", stderr);
    (void)vfprintf(stderr, fmt, ap);
    (void)fprintf(stderr, "%s%s\n", context[0] != '\0' ? "\n  --only " : "",
                  context);
    va_end(ap);
}

void lab_now(const char *text)
{
    (void)snprintf(context, sizeof context, "%s", text);
}

size_t lab_findings(void)
{
    return findings;
}

_Noreturn void lab_skip(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)fputs("SKIP: ", stdout);
    (void)vprintf(fmt, ap);
    (void)putchar('\n');
    va_end(ap);
    if (begun[0] != '\0') {
        lab_remove(begun);
    }
    exit(77);
}

_Noreturn void lab_broken(const char *fmt, ...)
{
    int sys = errno;
    va_list ap;

    va_start(ap, fmt);
    (void)fputs("the lab does not work: ", stderr);
    (void)vfprintf(stderr, fmt, ap);
    (void)fprintf(stderr, " (%s)\n", strerror(sys));
    va_end(ap);
    exit(99);
}

/* --- files --------------------------------------------------------------- */

void lab_begin(char dir[LAB_PATH])
{
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(dir, LAB_PATH, "/dev/shm/drover-crash-XXXXXX");
    if (mkdtemp(dir) == NULL) {
        (void)snprintf(dir, LAB_PATH, "%s/drover-crash-XXXXXX",
                       tmp != NULL ? tmp : "/tmp");
        if (mkdtemp(dir) == NULL) {
            lab_broken("mkdtemp %s", dir);
        }
    }
    memcpy(begun, dir, sizeof begun);
}

void lab_end(const char *dir)
{
    lab_remove(dir);
}

static void join(char out[LAB_PATH * 3], const char *dir, const char *name)
{
    (void)snprintf(out, (size_t)LAB_PATH * 3, "%s/%s", dir, name);
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

void lab_remove(const char *path)
{
    if (unlink(path) == 0 || errno == ENOENT) {
        return;
    }
    (void)umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW); /* mostly it is none */
    DIR *dir = opendir(path);
    if (dir == NULL) {
        lab_broken("remove %s", path);
    }
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        char child[LAB_PATH * 3];
        if (!is_dots(e->d_name)) {
            join(child, path, e->d_name);
            lab_remove(child);
        }
    }
    (void)closedir(dir);
    if (rmdir(path) != 0) {
        lab_broken("rmdir %s", path);
    }
}

void lab_make_dir(const char *path)
{
    if (mkdir(path, 0755) != 0 && errno != EEXIST) {
        lab_broken("mkdir %s", path);
    }
}

void lab_write(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, data, len) != (ssize_t)len) {
        lab_broken("write %s", path);
    }
    if (len == 0) {
        placeholder_disown(fd); /* a value, though it is empty and new */
    }
    (void)close(fd);
}

bool lab_read(const char *path, struct buf *out)
{
    buf_clear(out);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    char piece[65536];
    ssize_t n;
    while ((n = read(fd, piece, sizeof piece)) > 0) {
        buf_put(out, piece, (size_t)n);
    }
    (void)close(fd);
    return n == 0 && !out->bad;
}

bool lab_exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

size_t lab_descriptors(pid_t pid)
{
    char path[64];
    size_t n = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/fd",
                   (int)(pid != 0 ? pid : getpid()));
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return 0;
    }
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        n += !is_dots(e->d_name);
    }
    (void)closedir(dir);
    return pid != 0 ? n : n - 1;
}

/* Its own place in /proc has another name in each process. */
static void without_pid(pid_t pid, char name[LAB_PATH])
{
    char own[32], rest[LAB_PATH];

    int n = snprintf(own, sizeof own, "/proc/%d/", (int)pid);
    if (strncmp(name, own, (size_t)n) == 0) {
        (void)snprintf(rest, sizeof rest, "%s", name + n);
        (void)snprintf(name, LAB_PATH, "/proc/self/%.*s", LAB_PATH - 12, rest);
    }
}

void lab_open_files(pid_t pid, struct lab_files *out)
{
    char path[64];

    *out = (struct lab_files){.n = 0};
    for (int fd = 0; fd < LAB_FILES; fd++) {
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
        if (readlink(path, out->name[out->n], LAB_PATH - 1) > 0) {
            without_pid(pid, out->name[out->n]);
            out->n++;
        }
    }
}

static size_t times_in(const struct lab_files *f, const char *name)
{
    size_t times = 0;

    for (size_t i = 0; i < f->n; i++) {
        times += strcmp(f->name[i], name) == 0;
    }
    return times;
}

/* Pipes and sockets have names of their own in each process. */
static bool is_path(const char *name)
{
    return name[0] == '/';
}

const char *lab_more_open(const struct lab_files *was,
                          const struct lab_files *now, const char *may)
{
    for (size_t i = 0; i < now->n; i++) {
        const char *name = now->name[i];
        size_t allowed = times_in(was, name), len = strlen(name);
        if (allowed == 0 && len > strlen(may) &&
            strcmp(name + len - strlen(may), may) == 0) {
            allowed = 1;
        }
        if (is_path(name) && times_in(now, name) > allowed) {
            return name;
        }
    }
    return NULL;
}

/* --- what a directory holds ---------------------------------------------- */

static void add_line(struct tree *t, char *line)
{
    t->lines = realloc(t->lines, (t->n + 1) * sizeof *t->lines);
    if (t->lines == NULL || line == NULL) {
        lab_broken("memory");
    }
    t->lines[t->n++] = line;
}

static void add_file(struct tree *t, const char *full, const char *shown)
{
    struct buf value = BUF_NULL;
    char *line = NULL;

    if (!lab_read(full, &value)) {
        lab_broken("read %s", full);
    }
    struct digest d = digest_of(value.data, value.len);
    if (asprintf(&line, "F %s %zu %016" PRIx64, shown, value.len, d.lo) < 0) {
        lab_broken("memory");
    }
    buf_deinit(&value);
    add_line(t, line);
}

/* Of writers of values, or of small files ("index.new", "id.123.new"). */
static bool is_temp(const char *name)
{
    size_t n = strlen(name);

    return name_is_temp(name) || (n > 4 && strcmp(name + n - 4, ".new") == 0);
}

/* What is left over is removed when it is old enough. */
static void grow_old(const char *path)
{
    struct timespec t[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

    (void)utimensat(AT_FDCWD, path, t, AT_SYMLINK_NOFOLLOW);
}

static void read_below(struct tree *t, const char *path, const char *prefix)
{
    DIR *dir = opendir(path);

    if (dir == NULL) {
        lab_broken("list %s", path);
    }
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        char full[LAB_PATH * 3], shown[LAB_PATH * 3];
        struct stat st;
        char *line = NULL;
        if (is_dots(e->d_name) ||
            (prefix[0] == '\0' && strcmp(e->d_name, META_DIR) == 0)) {
            continue;
        }
        join(full, path, e->d_name);
        (void)snprintf(shown, sizeof shown, "%s%s", prefix, e->d_name);
        if (lstat(full, &st) != 0) {
            lab_broken("stat %s", full);
        }
        if (S_ISREG(st.st_mode) && is_temp(e->d_name)) {
            t->temps++;
            grow_old(full);
        } else if (S_ISREG(st.st_mode)) {
            add_file(t, full, shown);
        } else {
            if (asprintf(&line, "%c %s", S_ISDIR(st.st_mode) ? 'D' : '?',
                         shown) < 0) {
                lab_broken("memory");
            }
            add_line(t, line);
        }
        if (S_ISDIR(st.st_mode)) {
            (void)strncat(shown, "/", sizeof shown - strlen(shown) - 1);
            read_below(t, full, shown);
        }
    }
    (void)closedir(dir);
}

static int by_text(const void *a, const void *b)
{
    char *const *x = a, *const *y = b;

    return strcmp(*x, *y);
}

void tree_read(struct tree *t, const char *dir)
{
    *t = (struct tree){.lines = NULL};
    read_below(t, dir, "");
    if (t->n > 0) {
        qsort(t->lines, t->n, sizeof *t->lines, by_text);
    }
}

void tree_free(struct tree *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->lines[i]);
    }
    free(t->lines);

    *t = (struct tree){.lines = NULL};
}

bool tree_equal(const struct tree *a, const struct tree *b)
{
    if (a->n != b->n) {
        return false;
    }
    for (size_t i = 0; i < a->n; i++) {
        if (strcmp(a->lines[i], b->lines[i]) != 0) {
            return false;
        }
    }
    return true;
}

static bool holds(const struct tree *t, const char *line)
{
    return t->n > 0 &&
           bsearch(&line, t->lines, t->n, sizeof *t->lines, by_text) != NULL;
}

bool tree_between(const struct tree *t, const struct tree *a,
                  const struct tree *b)
{
    for (size_t i = 0; i < t->n; i++) {
        if (!holds(a, t->lines[i]) && !holds(b, t->lines[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < a->n; i++) {
        if (holds(b, a->lines[i]) && !holds(t, a->lines[i])) {
            return false;
        }
    }
    return true;
}

void tree_print(const struct tree *t, const char *what)
{
    (void)fprintf(stderr, "  %s (%zu temporaries):\n", what, t->temps);
    for (size_t i = 0; i < t->n; i++) {
        (void)fprintf(stderr, "    %s\n", t->lines[i]);
    }
}

/* --- the page ------------------------------------------------------------ */

struct crash_page *page_new(const char *dir, char path[LAB_PATH])
{
    char name[LAB_PATH];

    (void)snprintf(name, sizeof name, "%.400s/page-XXXXXX", dir);
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0 || ftruncate(fd, sizeof(struct crash_page)) != 0) {
        lab_broken("page %s", name);
    }
    void *p = mmap(NULL, sizeof(struct crash_page), PROT_READ | PROT_WRITE,
                   MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        lab_broken("mmap");
    }
    (void)close(fd);
    if (path != NULL) {
        memcpy(path, name, sizeof name);
    } else {
        (void)unlink(name);
    }
    return p;
}

void page_arm(struct crash_page *p, const struct crash_site *site, uint32_t nth,
              enum crash_fault fault)
{
    p->on = 0;
    p->fired = p->swallowed = p->lock = p->overflow = p->calls = p->n = 0;
    p->fault = (uint32_t)fault;
    p->nth = nth;
    if (site != NULL) {
        p->fn = site->fn;
        p->caller = site->caller;
    }
    __atomic_store_n(&p->on, 1, __ATOMIC_RELEASE);
}

void page_off(struct crash_page *p)
{
    __atomic_store_n(&p->on, 0, __ATOMIC_RELEASE);
}

/* --- the plan ------------------------------------------------------------ */

void plan_of(struct plan *plan, const struct crash_page *page, uint32_t faults)
{
    if (page->overflow) {
        lab_broken("more than %d places", CRASH_SITES);
    }
    *plan = (struct plan){.n = page->n, .faults = faults};
    plan->sites = malloc(page->n * sizeof *plan->sites + 1);
    if (plan->sites == NULL) {
        lab_broken("memory");
    }
    memcpy(plan->sites, page->sites, page->n * sizeof *plan->sites);
}

void plan_free(struct plan *plan)
{
    free(plan->sites);
    plan->sites = NULL;
}

/* Advance by one; false at the end. */
static bool advance(struct plan *p)
{
    if (p->at == p->n) {
        return false;
    }
    if (p->nth == 0) {
        p->nth = 1;
        p->fault = 0;
    }
    if (++p->fault == FAULTS) {
        const struct crash_site *s = &p->sites[p->at];
        p->fault = 1;
        bool skip =
            p->nth_max > 0 && p->nth >= p->nth_max && p->nth < s->count - 1;
        p->nth = skip ? s->count : p->nth + 1;
        if (p->nth > s->count) {
            p->nth = 1;
            p->at++;
        }
    }
    return p->at < p->n;
}

bool plan_next(struct plan *p, struct crash_site *site, uint32_t *nth,
               enum crash_fault *fault)
{
    while (advance(p)) {
        uint32_t bit = 1u << p->fault;
        const struct crash_site *s = &p->sites[p->at];
        if ((p->faults & bit) == 0 ||
            (crash_functions[s->fn].faults & bit) == 0) {
            continue;
        }
        if (p->parts > 0 && p->step++ % p->parts != p->part) {
            continue;
        }
        *site = *s;
        *nth = p->nth;
        *fault = (enum crash_fault)p->fault;
        return true;
    }
    return false;
}

const char *plan_text(const struct crash_site *site, uint32_t nth,
                      enum crash_fault fault)
{
    static char text[96];

    (void)snprintf(text, sizeof text, "%.20s+%" PRIx64 ":%" PRIu32 ":%s",
                   crash_functions[site->fn].name, site->caller, nth,
                   crash_fault_names[fault]);
    return text;
}

bool plan_parse(const char *text, struct crash_site *site, uint32_t *nth,
                enum crash_fault *fault)
{
    char fn[CRASH_NAME], word[16];

    if (sscanf(text, "%19[a-z0-9_]+%" SCNx64 ":%" SCNu32 ":%15s", fn,
               &site->caller, nth, word) != 4) {
        return false;
    }
    for (site->fn = 0; site->fn < FN_COUNT; site->fn++) {
        if (strcmp(crash_functions[site->fn].name, fn) == 0) {
            break;
        }
    }
    for (*fault = 1; *fault < FAULTS; (*fault)++) {
        if (strcmp(crash_fault_names[*fault], word) == 0) {
            break;
        }
    }
    return site->fn < FN_COUNT && *fault < FAULTS;
}
