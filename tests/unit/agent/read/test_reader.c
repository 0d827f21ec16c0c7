/* SPDX-License-Identifier: MIT
 *
 * looks: what is found, and above all what counts as gone.
 */
#include "tests/support/store_fixture.h"

#include <sched.h>
#include <sys/mount.h>
#include <uv.h>

#include "agent/read/reader.h"
#include "store/base/clock.h"

struct answer {
    uint64_t id;
    int result;
    char value[64];
    size_t len;
    uint32_t pid;
    char text[200];
};

struct bench {
    struct fixture f;
    char path[300];
    int fd; /* of the root */
    uv_loop_t loop;
    struct reader *reader;
    struct root *root;
    struct answer got[20000];
    size_t count;
    struct read_answer opened;
    unsigned opened_count;
    uint64_t stream_bytes, stream_zeros;
    struct digest_stream *digest;
    int stream_end; /* result at the end, 0 before */
};

static void keep(struct bench *b, uint64_t id, int result, const void *value,
                 size_t len, uint32_t pid, const struct err *err)
{
    assert_true(b->count < sizeof b->got / sizeof b->got[0]);
    struct answer *a = &b->got[b->count++];
    *a = (struct answer){.id = id, .result = result, .len = len, .pid = pid};
    if (len > 0) {
        memcpy(a->value, value, len < sizeof a->value ? len : sizeof a->value);
    }
    if (err != NULL) {
        (void)snprintf(a->text, sizeof a->text, "%.190s", err->msg);
    }
}

static void on_key_read(void *arg, uint64_t id, const struct read_answer *r)
{
    keep(arg, id, r->result, r->value, r->value_len, r->pid, r->err);
}

static void on_table(void *arg, uint64_t id, int result, const struct err *err)
{
    keep(arg, id, result, NULL, 0, 0, err);
}

static void on_opened(void *arg, uint64_t id, const struct read_answer *r)
{
    struct bench *b = arg;

    (void)id;
    b->opened = *r;
    b->opened_count++;
}

static void on_data(void *arg, uint64_t id, const void *data, size_t n,
                    const struct read_answer *r)
{
    struct bench *b = arg;

    if (n == 0) {
        b->stream_end = r->result;
        b->opened = *r;
        return;
    }
    assert_null(r);

    b->stream_bytes += n;
    digest_stream_update(b->digest, data, n);
    reader_stream_read(b->reader, id, 65536);
}

static void on_zeros(void *arg, uint64_t id, uint64_t n)
{
    struct bench *b = arg;

    b->stream_zeros += n;
    digest_stream_zeros(b->digest, n);
    reader_stream_read(b->reader, id, 65536);
}

static const struct reader_events events = {
    .key_read = on_key_read,
    .table_read = on_table,
    .stream_opened = on_opened,
    .stream_data = on_data,
    .stream_zeros = on_zeros,
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    fixture_begin(&b->f);
    (void)snprintf(b->path, sizeof b->path, "%s/db", b->f.path);
    assert_int_equal(mkdir(b->path, 0755), 0);
    b->fd = open(b->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(b->fd >= 0);
    assert_int_equal(uv_loop_init(&b->loop), 0);
    b->root = root_open(b->path, &b->f.err);
    assert_non_null(b->root);
    assert_int_equal(identity_make(&b->root->db, b->root->id, &b->f.err), 0);
    b->reader = reader_new(&b->loop, &events, b);
    assert_non_null(b->reader);
    reader_set_root(b->reader, b->root);
    b->digest = digest_stream_new();
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    reader_free(b->reader, NULL, NULL);
    while (uv_run(&b->loop, UV_RUN_DEFAULT) != 0) {
        ;
    }
    assert_int_equal(uv_loop_close(&b->loop), 0);
    assert_int_equal(b->root->refs, 1);
    root_unref(b->root);
    digest_stream_free(b->digest);
    (void)close(b->fd);
    fixture_end(&b->f);
    free(b);
    return 0;
}

static struct bytes text_bytes(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static void settle(struct bench *b)
{
    reader_flush(b->reader);
    while (reader_busy(b->reader)) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
}

static struct answer *look(struct bench *b, const char *table, const char *key)
{
    reader_key(b->reader, b->count + 1, text_bytes(table), text_bytes(key),
               65536);
    settle(b);
    return &b->got[b->count - 1];
}

static struct answer *look_table(struct bench *b, const char *table)
{
    reader_table(b->reader, b->count + 1, text_bytes(table));
    settle(b);
    return &b->got[b->count - 1];
}

static void put(struct bench *b, const char *path, const char *text)
{
    put_file(b->fd, path, text, strlen(text));
}

static void value_is_read(void **state)
{
    struct bench *b = *state;

    assert_int_equal(mkdirat(b->fd, "t.tbl", 0755), 0);
    put(b, "t.tbl/k.kv", "hello");
    put(b, "t.tbl/empty.kv", "");
    struct answer *a = look(b, "t", "k");
    assert_int_equal(a->result, READ_VALUE);
    assert_string_equal(a->value, "hello");
    a = look(b, "t", "empty");
    assert_int_equal(a->result, READ_VALUE);
    assert_int_equal(a->len, 0);
    assert_int_equal(look_table(b, "t")->result, READ_VALUE);
}

static void missing_key_and_table_are_gone(void **state)
{
    struct bench *b = *state;

    assert_int_equal(mkdirat(b->fd, "t.tbl", 0755), 0);
    assert_int_equal(look(b, "t", "k")->result, READ_GONE);
    assert_int_equal(look(b, "no", "k")->result, READ_GONE);
    assert_int_equal(look(b, "no.tbl/deep", "k")->result, READ_GONE);
    assert_int_equal(look_table(b, "no")->result, READ_GONE);
}

static void nothing_is_gone_when_the_root_was_replaced(void **state)
{
    struct bench *b = *state;

    assert_int_equal(renameat(b->f.fd, "db", b->f.fd, "aside"), 0);
    assert_int_equal(look(b, "", "k")->result, READ_ROOT_LOST);
    assert_int_equal(look_table(b, "t")->result, READ_ROOT_LOST);
    /* An empty directory in its place proves nothing either. */
    assert_int_equal(mkdir(b->path, 0755), 0);
    assert_int_equal(look(b, "", "k")->result, READ_ROOT_LOST);
    reader_stream_open(b->reader, 7, text_bytes(""), text_bytes("k"), false);
    while (b->opened_count == 0) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    assert_int_equal(b->opened.result, READ_ROOT_LOST);
    reader_stream_close(b->reader, 7);
}

static void nothing_is_gone_without_our_id(void **state)
{
    struct bench *b = *state;

    put(b, "k.kv", "here");
    assert_int_equal(look(b, "", "gone")->result, READ_GONE);
    assert_int_equal(unlinkat(b->fd, ".drover/id", 0), 0);
    assert_int_equal(look(b, "", "gone")->result, READ_ROOT_LOST);
    /* What is there can still be read. */
    assert_int_equal(look(b, "", "k")->result, READ_VALUE);
}

static void nothing_is_read_while_there_is_no_root(void **state)
{
    struct bench *b = *state;

    put(b, "k.kv", "here");
    reader_set_root(b->reader, NULL);
    assert_int_equal(look(b, "", "k")->result, READ_ROOT_LOST);
    reader_set_root(b->reader, b->root);
    assert_int_equal(look(b, "", "k")->result, READ_VALUE);
}

static void cached_directory_of_a_moved_table_is_not_believed(void **state)
{
    struct bench *b = *state;

    assert_int_equal(mkdirat(b->fd, "t.tbl", 0755), 0);
    put(b, "t.tbl/k.kv", "old");
    assert_string_equal(look(b, "t", "k")->value, "old");
    assert_int_equal(renameat(b->fd, "t.tbl", b->fd, "u.tbl"), 0);
    assert_int_equal(look(b, "t", "k")->result, READ_GONE);
    assert_int_equal(mkdirat(b->fd, "t.tbl", 0755), 0);
    put(b, "t.tbl/k.kv", "new");
    assert_string_equal(look(b, "t", "k")->value, "new");
    /* Moved away and another put in its place between two looks: the key is
     * there, although the cached directory has lost it. */
    assert_int_equal(renameat(b->fd, "t.tbl", b->fd, "v.tbl"), 0);
    assert_int_equal(mkdirat(b->fd, "t.tbl", 0755), 0);
    put(b, "t.tbl/k.kv", "newest");
    assert_int_equal(unlinkat(b->fd, "v.tbl/k.kv", 0), 0);
    struct answer *a = look(b, "t", "k");
    assert_int_equal(a->result, READ_VALUE);
    assert_string_equal(a->value, "newest");
}

static void
symbolic_link_in_a_tables_place_is_an_error_not_a_delete(void **state)
{
    struct bench *b = *state;

    assert_int_equal(symlinkat("/tmp", b->fd, "t.tbl"), 0);
    assert_int_equal(look(b, "t", "k")->result, READ_ERROR);
    assert_int_equal(look_table(b, "t")->result, READ_ERROR);
}

static void regular_file_in_a_tables_path_is_an_error_not_a_delete(void **state)
{
    struct bench *b = *state;

    put(b, "t.tbl", "no table");
    put(b, "x.kv", "a key now");
    assert_int_equal(look(b, "x.kv/t", "k")->result, READ_GONE);
    assert_int_equal(look_table(b, "x.kv/t")->result, READ_GONE);
    put(b, "a", "no directory");
    static const char *const covered[] = {"t", "t.tbl/u", "a/b/c"};
    for (size_t i = 0; i < sizeof covered / sizeof covered[0]; i++) {
        assert_int_equal(look(b, covered[i], "k")->result, READ_ERROR);
        assert_int_equal(look_table(b, covered[i])->result, READ_ERROR);
    }
    assert_int_equal(symlinkat("x.kv", b->fd, "way"), 0);
    assert_int_equal(look(b, "way/t", "k")->result, READ_ERROR);
    assert_int_equal(look_table(b, "way/t")->result, READ_ERROR);
    assert_int_equal(mkfifoat(b->fd, "fifo", 0600), 0);
    assert_int_equal(look_table(b, "fifo/t")->result, READ_ERROR);
}

static void
directory_in_a_keys_place_is_evidence_when_tables_need_it(void **state)
{
    struct bench *b = *state;

    assert_int_equal(mkdirat(b->fd, "k.kv", 0755), 0);
    assert_int_equal(look(b, "", "k")->result, READ_NOT_A_KEY);
    assert_int_equal(mkdirat(b->fd, "k.kv/t.tbl", 0755), 0);
    assert_int_equal(look(b, "", "k")->result, READ_GONE);
}

static void unreadable_table_is_an_error_not_a_delete(void **state)
{
    struct bench *b = *state;

    if (geteuid() == 0) {
        print_message("skipped: root reads everything\n");
        skip();
    }
    assert_int_equal(mkdirat(b->fd, "t.tbl", 0), 0);
    struct answer *a = look(b, "t", "k");

    assert_int_equal(a->result, READ_ERROR);
    assert_non_null(strstr(a->text, "t"));
}

static void mounted_over_table_is_an_error_not_a_delete(void **state)
{
    struct bench *b = *state;
    char path[400];

    assert_int_equal(mkdirat(b->fd, "t.tbl", 0755), 0);
    (void)snprintf(path, sizeof path, "%s/t.tbl", b->path);
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", path, "tmpfs", 0, NULL) != 0) {
        print_message("skipped: no mount (%s)\n", strerror(errno));
        skip();
    }
    /* The old descriptor still sees the mounts of before. */
    struct root *root = root_open(b->path, &b->f.err);
    assert_non_null(root);
    memcpy(root->id, b->root->id, sizeof root->id);
    reader_set_root(b->reader, root);
    root_unref(root);
    struct answer *a = look(b, "t", "k");
    int table = look_table(b, "t")->result;
    reader_set_root(b->reader, b->root);
    (void)umount2(path, MNT_DETACH);
    assert_int_equal(a->result, READ_ERROR);
    assert_int_equal(table, READ_ERROR);
}

static void held_key_is_busy_and_names_its_holder(void **state)
{
    struct bench *b = *state;

    put(b, "k.kv", "x");
    int fd = openat(b->fd, "k.kv", O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    struct answer *a = look(b, "", "k");
    assert_int_equal(a->result, READ_BUSY);
    if (a->pid != 0) { /* hidden in some containers */
        assert_int_equal(a->pid, getpid());
    }
    assert_int_equal(flock(fd, LOCK_UN), 0);
    assert_int_equal(look(b, "", "k")->result, READ_VALUE);
    assert_int_equal(close(fd), 0);
}

static void many_looks_give_each_its_own_value(void **state)
{
    struct bench *b = *state;

    enum { TABLES = 300, KEYS = 9000 };
    for (int i = 0; i < TABLES; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%d.tbl", i);
        assert_int_equal(mkdirat(b->fd, name, 0755), 0);
    }
    for (int i = 0; i < KEYS; i++) {
        char name[64], text[32];
        (void)snprintf(name, sizeof name, "%d.tbl/%d.kv", i % TABLES, i);
        (void)snprintf(text, sizeof text, "value %d", i);
        if (i % 10 != 0) {
            put(b, name, text);
        }
    }
    for (int i = 0; i < KEYS; i++) {
        char table[16], key[16];
        (void)snprintf(table, sizeof table, "%d", i % TABLES);
        (void)snprintf(key, sizeof key, "%d", i);
        reader_key(b->reader, (uint64_t)i, text_bytes(table), text_bytes(key),
                   4096);
    }
    settle(b);
    assert_int_equal(b->count, KEYS);
    bool seen[KEYS] = {false};
    for (size_t i = 0; i < b->count; i++) {
        struct answer *a = &b->got[i];
        char text[32];
        assert_false(seen[a->id]);
        seen[a->id] = true;
        (void)snprintf(text, sizeof text, "value %d", (int)a->id);
        if (a->id % 10 == 0) {
            assert_int_equal(a->result, READ_GONE);
        } else {
            assert_int_equal(a->result, READ_VALUE);
            assert_string_equal(a->value, text);
        }
    }
}

static void values_beyond_a_jobs_memory_wait_their_turn(void **state)
{
    struct bench *b = *state;

    enum { KEYS = 64, BYTES = 250000 };
    char *big = malloc(BYTES);
    assert_non_null(big);
    for (int i = 0; i < KEYS; i++) {
        char name[32];
        memset(big, 'a' + i % 26, BYTES);
        (void)snprintf(name, sizeof name, "%d.kv", i);
        put_file(b->fd, name, big, BYTES);
    }
    free(big);
    for (int i = 0; i < KEYS; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%d", i);
        reader_key(b->reader, (uint64_t)i, text_bytes(""), text_bytes(key),
                   262144);
    }
    settle(b);
    assert_int_equal(b->count, KEYS);
    for (size_t i = 0; i < b->count; i++) {
        assert_int_equal(b->got[i].result, READ_VALUE);
        assert_int_equal(b->got[i].len, BYTES);
        assert_int_equal(b->got[i].value[0], 'a' + (int)b->got[i].id % 26);
    }
}

static void large_value_is_streamed_with_its_digest(void **state)
{
    struct bench *b = *state;

    enum { BYTES = 3 * 1000 * 1000 };
    char *big = malloc(BYTES);
    assert_non_null(big);
    for (int i = 0; i < BYTES; i++) {
        big[i] = (char)(i * 31 + i / 256);
    }
    put_file(b->fd, "big.kv", big, BYTES);
    assert_int_equal(look(b, "", "big")->result, READ_LARGE);
    reader_stream_open(b->reader, 5, text_bytes(""), text_bytes("big"), false);
    while (b->opened_count == 0) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    assert_int_equal(b->opened.result, READ_VALUE);
    assert_int_equal(b->opened.reading.stat.size, BYTES);
    reader_stream_read(b->reader, 5, 65536);
    while (b->stream_end == 0) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    assert_int_equal(b->stream_end, READ_VALUE);
    assert_int_equal(b->stream_bytes, BYTES);
    struct digest want = digest_of(big, BYTES);
    assert_true(digest_equal(want, digest_stream_final(b->digest)));
    assert_true(digest_equal(want, b->opened.reading.digest));
    reader_stream_close(b->reader, 5);
    free(big);
}

/* 12 KiB of data in 256 MiB: what comes is the data, and how long the zeros
 * are. */
static void a_sparse_value_is_streamed_as_data_and_holes(void **state)
{
    struct bench *b = *state;
    static char data[4096];
    const off_t size = INT64_C(256) << 20;

    memset(data, 'd', sizeof data);
    int fd = openat(b->fd, "big.kv", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (off_t at = 0; at < size; at += size / 3 + 4096) {
        assert_int_equal(pwrite(fd, data, sizeof data, at), sizeof data);
    }
    assert_int_equal(ftruncate(fd, size), 0);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    (void)close(fd);
    if (st.st_blocks * 512 > size / 2) {
        print_message("skipped: no sparse files here\n");
        skip();
    }
    reader_stream_open(b->reader, 5, text_bytes(""), text_bytes("big"), false);
    while (b->opened_count == 0) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    assert_int_equal(b->opened.reading.disk_bytes,
                     (uint64_t)st.st_blocks * 512);
    reader_stream_read(b->reader, 5, 65536);
    while (b->stream_end == 0) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    assert_int_equal(b->stream_end, READ_VALUE);
    assert_int_equal(b->stream_bytes + b->stream_zeros, (uint64_t)size);
    assert_true(b->stream_bytes <= 3 * 65536);
    assert_true(
        digest_equal(digest_stream_final(b->digest), b->opened.reading.digest));
    reader_stream_close(b->reader, 5);
}

/* Whether a writer that does not wait would get the key's lock. */
static bool is_free_for_writers(const struct bench *b, const char *file)
{
    int fd = openat(b->fd, file, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    bool is_free = flock(fd, LOCK_EX | LOCK_NB) == 0;
    (void)close(fd);
    return is_free;
}

static void stream_nobody_reads_on_gives_the_lock_back(void **state)
{
    struct bench *b = *state;
    char text[1000];

    memset(text, 'x', sizeof text);
    put_file(b->fd, "k.kv", text, sizeof text);
    reader_stream_open(b->reader, 5, text_bytes(""), text_bytes("k"), false);
    while (b->opened_count == 0) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    assert_int_equal(b->opened.result, READ_VALUE);
    /* The loop runs dry: whatever gives the lock back has done so. */
    while (uv_run(&b->loop, UV_RUN_DEFAULT) != 0) {
        ;
    }
    assert_true(is_free_for_writers(b, "k.kv"));
    /* And the value is still read whole. */
    reader_stream_read(b->reader, 5, 400);
    while (b->stream_end == 0) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    assert_int_equal(b->stream_end, READ_VALUE);
    assert_int_equal(b->stream_bytes, sizeof text);
    reader_stream_close(b->reader, 5);
}

static void stream_closed_while_it_reads_says_nothing_more(void **state)
{
    struct bench *b = *state;
    char text[1000];

    memset(text, 'x', sizeof text);
    put_file(b->fd, "k.kv", text, sizeof text);
    reader_stream_open(b->reader, 5, text_bytes(""), text_bytes("k"), false);
    reader_stream_close(b->reader, 5);
    reader_stream_open(b->reader, 6, text_bytes(""), text_bytes("k"), false);
    while (b->opened_count == 0) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    reader_stream_read(b->reader, 6, 100);
    reader_stream_close(b->reader, 6);
    while (uv_run(&b->loop, UV_RUN_DEFAULT) != 0) {
        ;
    }
    assert_int_equal(b->opened_count, 1);
    assert_int_equal(b->stream_bytes, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(value_is_read),
        T(missing_key_and_table_are_gone),
        T(nothing_is_gone_when_the_root_was_replaced),
        T(nothing_is_gone_without_our_id),
        T(nothing_is_read_while_there_is_no_root),
        T(cached_directory_of_a_moved_table_is_not_believed),
        T(symbolic_link_in_a_tables_place_is_an_error_not_a_delete),
        T(regular_file_in_a_tables_path_is_an_error_not_a_delete),
        T(directory_in_a_keys_place_is_evidence_when_tables_need_it),
        T(unreadable_table_is_an_error_not_a_delete),
        T(held_key_is_busy_and_names_its_holder),
        T(many_looks_give_each_its_own_value),
        T(values_beyond_a_jobs_memory_wait_their_turn),
        T(large_value_is_streamed_with_its_digest),
        T(a_sparse_value_is_streamed_as_data_and_holes),
        T(stream_nobody_reads_on_gives_the_lock_back),
        T(stream_closed_while_it_reads_says_nothing_more),
        /* Last: it changes the process's mounts. */
        T(mounted_over_table_is_an_error_not_a_delete),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
