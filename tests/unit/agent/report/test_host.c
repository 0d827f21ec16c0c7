/* SPDX-License-Identifier: MIT
 *
 * host: what is told of this host.
 */
#include "agent/report/host.h"
#include "tests/support/store_fixture.h"

/* Caller frees. */
static char *printed(int (*print)(FILE *, const void *), const void *arg,
                     int want)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    assert_int_equal(print(out, arg), want);
    (void)fclose(out);
    return text;
}

static void has(char *text, const char *what)
{
    if (strstr(text, what) == NULL) {
        fail_msg("no %s in: %s", what, text);
    }
}

static void test_the_system_and_a_process_are_told(void **state)
{
    pid_t pid = getpid(), none = 0x3fffffff;

    (void)state;
    char *text = printed(host_print_system, NULL, 0);
    has(text, "Linux ");
    has(text, "max_user_watches\n");
    free(text);
    text = printed(host_print_process, &pid, 0);
    has(text, "Max open files");
    has(text, "descriptors: ");
    free(text);
    text = printed(host_print_process, &none, ENOENT);
    has(text, "(No such file or directory)");
    free(text);
}

static void test_directories_are_told_by_names_and_sizes(void **state)
{
    struct fixture *f = *state;
    const char *paths[] = {f->path, "/nonexistent", NULL};

    int fd = openat(f->fd, "a file", O_CREAT | O_WRONLY, 0640);
    assert_int_equal(write(fd, "SECRET", 6), 6);
    (void)close(fd);
    char *text = printed(host_print_list, f->path, 0);
    has(text, "100640 ");
    has(text, " 6 ");
    has(text, " 'a file'\n");
    assert_null(strstr(text, "SECRET"));
    free(text);
    text = printed(host_print_space, paths, ENOENT);
    has(text, " bytes free");
    has(text, "/nonexistent: No such file");
    free(text);
    free(printed(host_print_list, "/nonexistent", ENOENT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_system_and_a_process_are_told),
        cmocka_unit_test_setup_teardown(
            test_directories_are_told_by_names_and_sizes, fixture_setup,
            fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
