/* SPDX-License-Identifier: MIT
 *
 * journal: the log's lines as entries with fields.  The test stands in for
 * libsystemd: sd_journal_sendv() below. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "agent/base/journal.h"
#include "agent/base/log.h"

static char entry[8192]; /* the fields of the last one, a line each */
static unsigned entries;
static int answer;

int __wrap_sd_journal_sendv(const struct iovec *iov, int n);
int __wrap_sd_journal_sendv(const struct iovec *iov, int n)
{
    size_t at = 0;

    for (int i = 0; i < n; i++) {
        at += (size_t)snprintf(entry + at, sizeof entry - at, "%.*s\n",
                               (int)iov[i].iov_len, (char *)iov[i].iov_base);
    }
    entries++;
    return answer;
}

static int saved, file;

/* Standard error is a file that JOURNAL_STREAM names. */
static int setup(void **state)
{
    char path[] = "/tmp/drover-journal-XXXXXX";
    char text[64];
    struct stat st;

    (void)state;
    file = mkstemp(path);
    assert_true(file >= 0);
    (void)unlink(path);
    assert_int_equal(fstat(file, &st), 0);
    (void)snprintf(text, sizeof text, "%llu:%llu",
                   (unsigned long long)st.st_dev,
                   (unsigned long long)st.st_ino);
    (void)setenv("JOURNAL_STREAM", text, 1);
    (void)fflush(stderr);
    saved = dup(STDERR_FILENO);
    (void)dup2(file, STDERR_FILENO);
    answer = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    (void)close(file);
    return 0;
}

static void has(const char *line)
{
    if (strstr(entry, line) == NULL) {
        fail_msg("no %s in: %s", line, entry);
    }
}

static off_t written(void)
{
    return lseek(file, 0, SEEK_END);
}

static void a_line_is_an_entry_with_fields(void **state)
{
    (void)state;
    log_set_database("orders");
    log_event(LOG_WARNING, "link_down", "eu-1", 203, "err=\"a\nb\"");
    has("PRIORITY=4\n");
    has("SYSLOG_IDENTIFIER=drover\n");
    has("DROVER_EVENT=link_down\n");
    has("DROVER_DB=orders\n");
    has("DROVER_REPLICA=eu-1\n");
    has("DROVER_ERROR_ID=DR-203\n");
    has("MESSAGE_ID=" JOURNAL_ID_BASE "0203\n");
    has("MESSAGE=link_down replica=eu-1 DR-203 err=\"a");
    assert_null(strstr(entry, "MESSAGE=<"));
    assert_int_equal(written(), 0);
    assert_int_equal(strlen(JOURNAL_ID_BASE "0203"), 32);
}

static void what_is_not_known_is_no_field(void **state)
{
    (void)state;
    log_event(LOG_NOTICE, "stopping", NULL, 0, "SIGTERM");
    has("DROVER_EVENT=stopping\n");
    assert_null(strstr(entry, "DROVER_REPLICA"));
    assert_null(strstr(entry, "DROVER_ERROR_ID"));
    assert_null(strstr(entry, "MESSAGE_ID"));
}

static void what_the_journal_does_not_take_is_not_lost(void **state)
{
    (void)state;
    char line[256] = "";

    answer = -ENOBUFS;
    log_event(LOG_ERR, "full", NULL, 0, "the journal is full");
    assert_true(pread(file, line, sizeof line - 1, 0) > 0);
    assert_string_equal(line, "<3>full the journal is full\n");
}

static void a_flood_is_held_back_here_too(void **state)
{
    (void)state;
    unsigned before = entries;

    for (int i = 0; i < 100; i++) {
        log_event(LOG_WARNING, "flood", "eu-1", 0, "again");
    }
    assert_true(entries - before < 10);
}

static void long_texts_are_cut_and_no_field_is_lost(void **state)
{
    (void)state;
    char *text = malloc(100000);

    memset(text, 'x', 99999);
    text[99999] = '\0';
    log_event(LOG_ERR, "long", "eu-1", 305, "%s", text);
    has("DROVER_REPLICA=eu-1\n");
    has("MESSAGE=long replica=eu-1 DR-305 xxx");
    free(text);
}

static void another_stderr_is_not_the_journal(void **state)
{
    (void)state;
    assert_true(journal_has_stderr());
    (void)setenv("JOURNAL_STREAM", "1:2", 1);
    assert_false(journal_has_stderr());
    (void)setenv("JOURNAL_STREAM", "rubbish", 1);
    assert_false(journal_has_stderr());
    (void)unsetenv("JOURNAL_STREAM");
    assert_false(journal_has_stderr());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_is_an_entry_with_fields),
        TEST(what_is_not_known_is_no_field),
        TEST(what_the_journal_does_not_take_is_not_lost),
        TEST(a_flood_is_held_back_here_too),
        TEST(long_texts_are_cut_and_no_field_is_lost),
        TEST(another_stderr_is_not_the_journal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
