/* SPDX-License-Identifier: MIT
 *
 * copy: what was taken is read back, from memory and from a file, and the room
 * is shared and given back. */
#include "tests/support/store_fixture.h"

#include "store/base/cleanup.h"
#include "store/layout/copy.h"

enum { MIB = 1 << 20 };

static void what_was_taken_is_read_back(void **state)
{
    struct fixture *f = *state;
    static char data[3 * MIB], got[3 * MIB];

    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (char)(i * 7 + i / 1000);
    }
    put_file(f->fd, "v", data, sizeof data);
    CLEANUP(fd_closep) int fd = openat(f->fd, "v", O_RDONLY | O_CLOEXEC);
    for (int memory = 0; memory < 2; memory++) {
        struct copy_room room = {.each_bytes = memory ? 8 * MIB : 0,
                                 .memory_bytes = 8 * MIB,
                                 .dir_fd = f->fd};
        struct copy *c;
        uint64_t at = 0;
        assert_int_equal(copy_new(&room, sizeof data, &c, &f->err), 1);
        assert_true(copy_max(c) > sizeof data); /* it may grow a little */
        assert_int_equal(room.used_bytes > 0, memory);
        for (int64_t n;
             (n = copy_take(c, fd, at, sizeof data - at, &f->err)) > 0;) {
            at += (uint64_t)n;
        }
        assert_int_equal(at, sizeof data);
        assert_int_equal(copy_read(c, 5, got, sizeof data - 5, &f->err),
                         sizeof data - 5);
        assert_memory_equal(got, data + 5, sizeof data - 5);
        copy_free(c);
        assert_int_equal(room.used_bytes, 0);
    }
    copy_free(NULL);
}

/* What does not fit in the memory of all goes to a file; without a directory
 * there is no room, and no file takes more than the disk can spare. */
static void the_room_is_shared(void **state)
{
    struct fixture *f = *state;
    struct copy_room room = {
        .each_bytes = 4 * MIB, .memory_bytes = 6 * MIB, .dir_fd = -1};
    struct copy *a, *b;

    assert_int_equal(copy_new(&room, 3 * MIB, &a, &f->err), 1);
    assert_int_equal(copy_new(&room, 3 * MIB, &b, &f->err), 0);
    assert_int_equal(copy_new(&room, 5 * MIB, &b, &f->err), 0);
    room.dir_fd = f->fd;
    assert_int_equal(copy_new(&room, 3 * MIB, &b, &f->err), 1);
    assert_int_equal(room.used_bytes, 4 * MIB);
    copy_free(b);
    copy_free(a);
    assert_int_equal(copy_new(&room, UINT64_C(1) << 60, &a, &f->err), 0);
    assert_int_equal(copy_new(&room, 3 * MIB, &a, &f->err), 1);
    assert_int_equal(copy_reflink(a, f->fd), 0); /* memory knows none */
    copy_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_taken_is_read_back,
                                        fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(the_room_is_shared, fixture_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
