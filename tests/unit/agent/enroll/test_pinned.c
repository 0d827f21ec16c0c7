/* SPDX-License-Identifier: MIT
 *
 * pinned: the lines of a known_hosts file that are a host's, however its name
 * is written there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/enroll/pinned.h"

#define KEY                                                                    \
    "AAAAC3NzaC1lZDI1NTE5AAAAIEp1Eo2nDdMIo4o/pbk89ubPp4NkgLxclCkPYwdBttHG"
#define PRINT "SHA256:Dv0O8CBNL85kQCXHvQ6NTYSogkdd66HCcNOIz4Y+PqU"

struct fix {
    char file[100];
    struct pinned found;
};

static int setup(void **state)
{
    struct fix *f = calloc(1, sizeof *f);

    assert_non_null(f);
    (void)snprintf(f->file, sizeof f->file, "/tmp/drover-pinned-XXXXXX");
    int fd = mkstemp(f->file);
    assert_true(fd >= 0);
    (void)close(fd);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fix *f = *state;

    (void)unlink(f->file);
    free(f);
    return 0;
}

static void put(struct fix *f, const char *text)
{
    FILE *out = fopen(f->file, "w");

    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static size_t find(struct fix *f, const char *host, unsigned port)
{
    struct err err = {0};

    assert_int_equal(pinned_find(f->file, host, port, &f->found, &err), 0);
    return f->found.count;
}

static void hosts_are_written_with_their_port_unless_it_is_22(void **state)
{
    char out[PINNED_HOST_BYTES];

    (void)state;
    pinned_host("eu-1", 22, out);
    assert_string_equal(out, "eu-1");
    pinned_host("::1", 2222, out);
    assert_string_equal(out, "[::1]:2222");
}

static void a_hosts_lines_are_found_with_their_numbers(void **state)
{
    struct fix *f = *state;
    char print[SSHKEY_FINGERPRINT_BYTES];

    put(f, "# mine\n\nother ssh-ed25519 " KEY "\n[eu]:2222 ssh-ed25519 " KEY
           "\neu ssh-ed25519 " KEY "\n");
    assert_int_equal(find(f, "eu", 2222), 1);
    assert_int_equal(f->found.keys[0].line, 4);
    assert_string_equal(f->found.keys[0].type, "ssh-ed25519");
    assert_false(f->found.keys[0].revoked);
    pinned_fingerprint(&f->found.keys[0], print);
    assert_string_equal(print, PRINT);
    assert_int_equal(find(f, "eu", 22), 1);
    assert_int_equal(f->found.keys[0].line, 5);
    /* Without a port it is any port's. */
    assert_int_equal(find(f, "other", 99), 1);
    assert_int_equal(find(f, "us", 22), 0);
}

static void
hashed_names_revoked_keys_and_authorities_are_told_apart(void **state)
{
    struct fix *f = *state;
    char command[300];

    put(f, "eu ssh-ed25519 " KEY "\n");
    (void)snprintf(command, sizeof command,
                   "ssh-keygen -q -H -f %s >/dev/null 2>&1; rm -f %s.old",
                   f->file, f->file);
    assert_int_equal(system(command), 0);
    assert_int_equal(find(f, "eu", 22), 1);
    put(f, "@revoked eu ssh-ed25519 " KEY
           "\n@cert-authority eu ssh-ed25519 " KEY "\n");
    assert_int_equal(find(f, "eu", 22), 1);
    assert_true(f->found.keys[0].revoked);
    assert_int_equal(f->found.keys[0].line, 1);
}

static void no_file_has_no_host_and_an_unreadable_one_is_an_error(void **state)
{
    struct fix *f = *state;
    struct err err = {0};

    assert_int_equal(unlink(f->file), 0);
    assert_int_equal(find(f, "eu", 22), 0);
    assert_true(pinned_find("/dev/null/x", "eu", 22, &f->found, &err) < 0);
    assert_non_null(strstr(err.msg, "/dev/null/x"));
    /* Nor is it waited for what never comes. */
    assert_int_equal(mkfifo(f->file, 0644), 0);
    assert_true(pinned_find(f->file, "eu", 22, &f->found, &err) < 0);
    assert_non_null(strstr(err.msg, "is not a regular file"));
}

static void lines_that_are_no_keys_are_passed_over(void **state)
{
    struct fix *f = *state;
    unsigned number = 0;

    f->found.count = 0;
    pinned_take_line(&f->found, "", &number);
    pinned_take_line(&f->found, "eu", &number);
    pinned_take_line(&f->found, "eu ssh-ed25519", &number);
    pinned_take_line(&f->found, "@other eu ssh-ed25519 AAAA", &number);
    assert_int_equal(f->found.count, 0);
    for (unsigned i = 0; i < PINNED_MAX + 3; i++) {
        pinned_take_line(&f->found, "eu ssh-ed25519 AAAA", &number);
    }
    assert_int_equal(f->found.count, PINNED_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hosts_are_written_with_their_port_unless_it_is_22),
        TEST(a_hosts_lines_are_found_with_their_numbers),
        TEST(hashed_names_revoked_keys_and_authorities_are_told_apart),
        TEST(no_file_has_no_host_and_an_unreadable_one_is_an_error),
        TEST(lines_that_are_no_keys_are_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
