/* SPDX-License-Identifier: MIT
 *
 * Words and error numbers: each has its text, and a hint says what to do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "sync/errors/state.h"

static const enum dr_id ids[] = {
    DR_WATCH_LIMIT,
    DR_INSTANCE_LIMIT,
    DR_UNREADABLE,
    DR_NOT_OUR_DATABASE,
    DR_NO_IDENTITY,
    DR_STATE_DIR,
    DR_CHANGING,
    DR_CONNECT,
    DR_HOST_KEY_UNKNOWN,
    DR_HOST_KEY_CHANGED,
    DR_KNOWN_HOSTS,
    DR_AUTH,
    DR_RSA_KEY,
    DR_KEY_FILE,
    DR_HANDSHAKE,
    DR_LINK_LOST,
    DR_NOISE,
    DR_NO_RECEIVER,
    DR_CHILD,
    DR_PROTOCOL,
    DR_FLAPPING,
    DR_RECEIVER_BUSY,
    DR_OTHER_DATABASE,
    DR_OLD_EPOCH,
    DR_REPLICA_DIR,
    DR_REPLICA_FULL,
    DR_REPLICA_IO,
    DR_REPLICA_NOT_EMPTY,
    DR_INSTALL,
    DR_LOCKED_THERE,
    DR_REPLICA_PERM,
    DR_REPLICA_MODES,
    DR_BRAKE,
    DR_DIFFERENT,
    DR_LAG,
    DR_CONFIG,
    DR_NO_AGENT,
    DR_NOT_PERMITTED,
    DR_NO_SUCH_REPLICA,
    DR_TIMED_OUT,
    DR_METRICS,
};

static void every_state_has_its_own_word(void **state)
{
    (void)state;
    for (int s = REPLICA_CONNECTING; s <= REPLICA_DIFFERS; s++) {
        const char *word = replica_state_word((enum replica_state)s);
        assert_string_not_equal(word, "unknown");
        for (int t = REPLICA_CONNECTING; t < s; t++) {
            assert_string_not_equal(word,
                                    replica_state_word((enum replica_state)t));
        }
    }
    assert_string_equal(replica_state_word(REPLICA_STREAMING), "streaming");
    assert_string_equal(replica_state_word((enum replica_state)9), "unknown");
    assert_string_equal(replica_state_word((enum replica_state) - 1),
                        "unknown");
}

static void every_number_has_a_text_and_a_hint_of_one_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        assert_true(dr_text((int)ids[i])[0] != '\0');
        assert_true(dr_hint((int)ids[i])[0] != '\0');
        assert_null(strchr(dr_text((int)ids[i]), '\n'));
        assert_null(strchr(dr_hint((int)ids[i]), '\n'));
        assert_true(strlen(dr_text((int)ids[i])) < 80);
        assert_true(strlen(dr_hint((int)ids[i])) < 240);
    }
}

static void no_two_numbers_share_a_text(void **state)
{
    size_t n = sizeof ids / sizeof ids[0];

    (void)state;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(dr_text((int)ids[i]), dr_text((int)ids[j]));
        }
    }
}

static void other_numbers_have_neither(void **state)
{
    static const int others[] = {DR_NONE, -1, 100, 199, 219, 399, 999};

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_string_equal(dr_text(others[i]), "");
        assert_string_equal(dr_hint(others[i]), "");
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_has_its_own_word),
        cmocka_unit_test(every_number_has_a_text_and_a_hint_of_one_line),
        cmocka_unit_test(no_two_numbers_share_a_text),
        cmocka_unit_test(other_numbers_have_neither),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
