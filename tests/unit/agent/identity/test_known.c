/* SPDX-License-Identifier: MIT
 *
 * known: a database that lost its metadata is recognised by its keys. */
#include "tests/support/store_fixture.h"

#include "agent/identity/known.h"

static void put_key(struct index *ix, const char *key, struct err *err)
{
    struct index_entry e = {
        .name = index_name_key(index_key(ix), "", 0, key, strlen(key)),
        .stat = {.ino = 1, .ctime_ns = 1, .size = 1}};

    assert_int_equal(index_put(ix, &e, err), 0);
}

/* Keys k0 to k9 in the index, `there` of them and `others` in the root. */
static struct known_keys count(struct fixture *f, unsigned there,
                               unsigned others, bool saved)
{
    struct index *ix = index_new(), *none = index_new();
    struct index_ident ident = {.db_id = {7}, .root_dev = 4, .root_ino = 5};
    struct err err;
    struct db db;
    char name[32];

    assert_non_null(ix);
    assert_non_null(none);
    for (unsigned i = 0; i < 10; i++) {
        (void)snprintf(name, sizeof name, "k%u", i);
        put_key(ix, name, &err);
    }
    assert_int_equal(mkdirat(f->fd, "db", 0755), 0);
    for (unsigned i = 0; i < there + others; i++) {
        (void)snprintf(name, sizeof name, "db/%c%u.kv", i < there ? 'k' : 'o',
                       i);
        put_file(f->fd, name, "v", 1);
    }
    int fd = openat(f->fd, "db", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char path[300];
    (void)snprintf(path, sizeof path, "%s/db", f->path);
    assert_int_equal(db_open_fd(&db, fd, path, &err), 0);
    if (saved) {
        assert_int_equal(
            index_save(ix, f->fd, IDENTITY_INDEX, &ident, INT64_MAX, &err), 0);
    }
    struct known_keys k =
        known_count(&db, saved ? none : ix, f->fd, ident.db_id);
    db_close(&db);
    index_free(ix);
    index_free(none);
    return k;
}

static void the_same_keys_are_recognised(void **state)
{
    struct known_keys k = count(*state, 8, 1, false);

    assert_int_equal(k.sampled, 9);
    assert_int_equal(k.known, 8);
    assert_true(known_alike(&k));
}

/* Restored elsewhere: the saved index is of another directory. */
static void a_saved_index_serves_as_well(void **state)
{
    struct known_keys k = count(*state, 8, 1, true);

    assert_int_equal(k.known, 8);
    assert_true(known_alike(&k));
}

static void other_keys_are_not(void **state)
{
    struct known_keys k = count(*state, 3, 4, false);

    assert_int_equal(k.sampled, 7);
    assert_int_equal(k.known, 3);
    assert_false(known_alike(&k));
}

static void an_empty_directory_is_not(void **state)
{
    struct known_keys k = count(*state, 0, 0, true);

    assert_false(known_alike(&k));
}

#define T(fn)                                                                  \
    cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_same_keys_are_recognised),
        T(a_saved_index_serves_as_well),
        T(other_keys_are_not),
        T(an_empty_directory_is_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
