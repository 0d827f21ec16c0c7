/* SPDX-License-Identifier: MIT
 *
 * session: who may be the live receiver, and of which database.  The live
 * receiver of these tests is another struct session in the same process: two
 * opens of the lock file conflict like two processes do. */
#include "tests/support/store_fixture.h"

#include "sync/identity/dirid.h"
#include "sync/replica/meta/session.h"

static const struct meta_modes modes = {
    .dir_mode = META_DIR_MODE, .file_mode = META_FILE_MODE, .group = (gid_t)-1};

struct pair {
    struct fixture f;
    struct meta m;
    struct session live, newcomer;
    char why[200];
};

static int setup(void **state)
{
    struct pair *p = calloc(1, sizeof *p);

    assert_non_null(p);
    fixture_begin(&p->f);
    assert_int_equal(meta_open(&p->m, p->f.path, &modes, &p->f.err), 0);
    session_init(&p->live, p->m.fd);
    session_init(&p->newcomer, p->m.fd);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;

    session_deinit(&p->live);
    session_deinit(&p->newcomer);
    meta_close(&p->m);
    fixture_end(&p->f);
    free(p);
    return 0;
}

static struct wire_hello hello_of(uint8_t db, uint8_t instance, uint64_t epoch)
{
    struct wire_hello h = {.epoch = epoch,
                           .heartbeat_ms = 1000,
                           .silence_ms = 10000,
                           .replica = bytes_of("eu 1", 4)};

    memset(h.db_id, db, sizeof h.db_id);
    memset(h.instance, instance, sizeof h.instance);
    return h;
}

static int lock(struct session *s, struct wire_hello h, struct err *err)
{
    return session_lock(s, &h, 20, err);
}

/* A newcomer asks while `live` holds the lock; what the live one sees then is
 * written again, because a newcomer that gives up takes its question back. */
static bool asks(struct pair *p, struct wire_hello h, int64_t silent_ms)
{
    char text[META_TEXT_MAX], db[META_ID_TEXT], instance[META_ID_TEXT];
    struct small_how how = {.mode = 0600, .group = (gid_t)-1};

    assert_int_equal(lock(&p->newcomer, h, &p->f.err), ERR_REFUSED);
    assert_int_equal(p->f.err.id, DR_RECEIVER_BUSY);
    assert_false(exists(p->m.fd, "takeover"));
    meta_id_text(h.db_id, db);
    meta_id_text(h.instance, instance);
    int n = snprintf(text, sizeof text,
                     "db=%s instance=%s epoch=%ju nonce=0 pid=1\n", db,
                     instance, (uintmax_t)h.epoch);
    assert_int_equal(
        meta_replace(p->m.fd, "takeover", text, (size_t)n, &how, &p->f.err), 0);
    return session_superseded(&p->live, silent_ms, p->why, sizeof p->why);
}

static void
the_first_gets_the_lock_and_the_second_is_told_who_has_it(void **state)
{
    struct pair *p = *state;
    char pid[32];

    assert_int_equal(lock(&p->live, hello_of(1, 1, 1), &p->f.err), 0);
    assert_int_equal(lock(&p->newcomer, hello_of(1, 2, 1), &p->f.err),
                     ERR_REFUSED);
    assert_int_equal(p->f.err.id, DR_RECEIVER_BUSY);
    (void)snprintf(pid, sizeof pid, "pid %d since 2", (int)getpid());
    assert_non_null(strstr(p->f.err.msg, pid));
    assert_non_null(strstr(p->f.err.msg, "replica eu?1"));
}

static void note_who(void *arg, const struct err *who)
{
    *(struct err *)arg = *who;
}

/* Whose receiver it is that does not leave. */
static void a_holder_is_called_what_it_is(void **state)
{
    static const struct {
        uint8_t first, rest; /* of the newcomer's instance; the other's are 1 */
        const char *has, *lacks;
    } ROWS[] = {
        {1, 1, "an earlier session of this same agent", "another agent"},
        {1, 2, "of an earlier run of this agent, or of a second agent",
         "another agent"},
        {1, 2, "silent for 3 s", NULL},
        {2, 2, "another agent's receiver", NULL},
    };
    struct pair *p = *state;
    static struct err told;

    assert_int_equal(lock(&p->live, hello_of(1, 1, 1), &p->f.err), 0);
    p->newcomer.on_busy = note_who;
    p->newcomer.on_busy_arg = &told;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct wire_hello h = hello_of(1, ROWS[i].rest, 1);
        memset(h.instance, ROWS[i].first, WIRE_ORIGIN_BYTES);
        told = (struct err){0};
        assert_int_equal(
            session_lock(&p->newcomer, &h, i == 0 ? 1000 : 20, &p->f.err),
            ERR_REFUSED);
        assert_int_equal(p->f.err.id, DR_RECEIVER_BUSY);
        if (strstr(p->f.err.msg, ROWS[i].has) == NULL ||
            (ROWS[i].lacks != NULL &&
             strstr(p->f.err.msg, ROWS[i].lacks) != NULL)) {
            fail_msg("%zu: %s", i, p->f.err.msg);
        }
        /* Who waits for long is told for whom, before it is refused. */
        assert_int_equal(told.id, i == 0 ? DR_RECEIVER_BUSY : 0);
        assert_true(i > 0 || strstr(told.msg, ROWS[i].has) != NULL);
    }
}

static void the_lock_ends_with_its_holder(void **state)
{
    struct pair *p = *state;

    assert_int_equal(lock(&p->live, hello_of(1, 1, 1), &p->f.err), 0);
    session_deinit(&p->live);
    assert_int_equal(lock(&p->newcomer, hello_of(1, 2, 1), &p->f.err), 0);
}

static void a_lock_file_that_was_removed_does_not_let_two_in(void **state)
{
    struct pair *p = *state;

    assert_int_equal(lock(&p->live, hello_of(1, 1, 1), &p->f.err), 0);
    session_deinit(&p->live);
    assert_int_equal(unlinkat(p->m.fd, "lock", 0), 0);
    assert_int_equal(lock(&p->live, hello_of(1, 1, 1), &p->f.err), 0);
    assert_int_equal(lock(&p->newcomer, hello_of(1, 2, 1), &p->f.err),
                     ERR_REFUSED);
}

static void nobody_asks_nobody_leaves(void **state)
{
    struct pair *p = *state;

    assert_int_equal(lock(&p->live, hello_of(1, 1, 1), &p->f.err), 0);
    assert_false(session_superseded(&p->live, 1000000, p->why, sizeof p->why));
}

static void the_same_agent_takes_over(void **state)
{
    struct pair *p = *state;

    assert_int_equal(lock(&p->live, hello_of(1, 1, 1), &p->f.err), 0);
    assert_true(asks(p, hello_of(1, 1, 1), 0));
    assert_non_null(strstr(p->why, "same agent"));
}

/* One directory under two names: they would take it from each other for ever.
 */
static void the_same_agent_does_not_under_another_name(void **state)
{
    struct pair *p = *state;
    struct wire_hello other = hello_of(1, 1, 1);

    other.replica = bytes_of("us", 2);
    assert_int_equal(lock(&p->live, hello_of(1, 1, 1), &p->f.err), 0);
    assert_int_equal(lock(&p->newcomer, other, &p->f.err), ERR_REFUSED);
    assert_int_equal(p->f.err.id, DR_REPLICA_TWICE);
    assert_non_null(strstr(p->f.err.msg, "us leads to the directory of eu?1"));
    put_text(p->m.fd, "takeover",
             "db=01010101010101010101010101010101 "
             "instance=01010101010101010101010101010101 epoch=1 nonce=0a pid=1 "
             "replica=us\n");
    assert_false(session_superseded(&p->live, 0, p->why, sizeof p->why));
}

static void a_higher_epoch_takes_over(void **state)
{
    struct pair *p = *state;

    assert_int_equal(lock(&p->live, hello_of(1, 1, 1), &p->f.err), 0);
    assert_true(asks(p, hello_of(1, 2, 2), 0));
}

static void another_agent_of_the_same_epoch_does_not(void **state)
{
    struct pair *p = *state;

    assert_int_equal(lock(&p->live, hello_of(1, 1, 5), &p->f.err), 0);
    assert_false(asks(p, hello_of(1, 2, 5), 3000));
    assert_false(asks(p, hello_of(1, 2, 4), 3000));
}

static void another_agent_takes_over_from_a_silent_one(void **state)
{
    struct pair *p = *state;

    assert_int_equal(lock(&p->live, hello_of(1, 1, 5), &p->f.err), 0);
    assert_false(asks(p, hello_of(1, 2, 5), 3000));
    /* The same question, a moment later. */
    assert_true(session_superseded(&p->live, 3001, p->why, sizeof p->why));
}

static void another_database_never_takes_over(void **state)
{
    struct pair *p = *state;

    assert_int_equal(lock(&p->live, hello_of(1, 1, 5), &p->f.err), 0);
    assert_false(asks(p, hello_of(2, 1, 9), 1000000));
}

static void a_question_of_a_dead_newcomer_is_forgotten(void **state)
{
    struct pair *p = *state;

    assert_int_equal(lock(&p->live, hello_of(1, 1, 1), &p->f.err), 0);
    assert_true(asks(p, hello_of(1, 1, 1), 0));
    session_deinit(&p->live);
    assert_int_equal(lock(&p->live, hello_of(1, 1, 1), &p->f.err), 0);
    assert_false(session_superseded(&p->live, 0, p->why, sizeof p->why));
}

static void a_question_that_makes_no_sense_is_ignored(void **state)
{
    struct pair *p = *state;

    assert_int_equal(lock(&p->live, hello_of(1, 1, 1), &p->f.err), 0);
    put_text(p->m.fd, "takeover", "hello");
    assert_false(session_superseded(&p->live, 1000000, p->why, sizeof p->why));
}

static int check(struct pair *p, struct wire_hello h)
{
    struct meta_ident ident;

    memset(&p->f.err, 0, sizeof p->f.err);
    return session_check(&p->m, &h, &ident, &p->f.err);
}

static void an_empty_directory_is_a_new_replica(void **state)
{
    assert_int_equal(check(*state, hello_of(1, 1, 1)), SESSION_NEW);
}

static void keys_without_an_identity_are_refused_with_the_way_out(void **state)
{
    struct pair *p = *state;

    put_text(p->f.fd, "k.kv", "v");
    assert_int_equal(check(p, hello_of(1, 1, 1)), ERR_REFUSED);
    assert_int_equal(p->f.err.id, DR_REPLICA_NOT_EMPTY);
    assert_non_null(strstr(p->f.err.msg, "drover-replica adopt"));
    assert_non_null(strstr(p->f.err.msg, "01010101010101010101010101010101"));
}

static void another_database_and_an_older_epoch_are_refused(void **state)
{
    struct pair *p = *state;
    struct meta_ident ident = {.epoch = 5};

    memset(ident.db_id, 1, sizeof ident.db_id);
    assert_int_equal(meta_ident_write(p->m.fd, &ident, &modes, &p->f.err), 0);
    assert_int_equal(check(p, hello_of(1, 1, 5)), 0);
    assert_int_equal(check(p, hello_of(1, 1, 6)), 0);
    assert_int_equal(check(p, hello_of(1, 1, 4)), ERR_REFUSED);
    assert_int_equal(p->f.err.id, DR_OLD_EPOCH);
    assert_int_equal(check(p, hello_of(2, 1, 9)), ERR_REFUSED);
    assert_int_equal(p->f.err.id, DR_OTHER_DATABASE);
}

static struct wire_hello expecting(uint8_t self)
{
    struct wire_hello h = hello_of(1, 1, 5);

    memset(h.expected, self, sizeof h.expected);
    return h;
}

static void who_was_complete_is_not_replaced_by_nothing(void **state)
{
    struct pair *p = *state;
    struct wire_hello anew = expecting(7);
    struct meta no_meta = {.db = p->m.db, .fd = -1};
    struct meta_ident ident;

    anew.anew = 1;
    assert_int_equal(check(p, expecting(7)), ERR_REFUSED);
    assert_int_equal(p->f.err.id, DR_REPLICA_BLANK);
    assert_int_equal(check(p, anew), SESSION_NEW);
    struct wire_hello h = expecting(7);
    assert_int_equal(session_check(&no_meta, &h, &ident, &p->f.err),
                     ERR_REFUSED);
    assert_int_equal(p->f.err.id, DR_REPLICA_BLANK);
    assert_int_equal(session_check_missing("/r", &h, &p->f.err), ERR_REFUSED);
    assert_int_equal(p->f.err.id, DR_REPLICA_BLANK);
    assert_int_equal(session_check_missing("/r", &anew, &p->f.err), 0);
    /* What holds keys is not called empty. */
    put_text(p->f.fd, "k.kv", "v");
    assert_int_equal(check(p, expecting(7)), ERR_REFUSED);
    assert_int_equal(p->f.err.id, DR_REPLICA_NOT_EMPTY);
}

/* The session is accepted and its identity stored; the replica's own id. */
static struct meta_ident own_id(struct pair *p, struct wire_hello h)
{
    struct meta_ident ident = {.epoch = 0};
    bool changed;

    assert_true(session_check(&p->m, &h, &ident, &p->f.err) >= 0);
    assert_int_equal(session_own_id(&ident, &h, &changed, &p->f.err), 0);
    (void)session_follow(&ident, &h);
    assert_int_equal(meta_ident_write(p->m.fd, &ident, &modes, &p->f.err), 0);
    assert_int_equal(meta_ident_read(p->m.fd, &ident, &p->f.err), 0);
    assert_true(dirid_known(ident.self));
    return ident;
}

static void a_replica_keeps_its_own_id(void **state)
{
    struct pair *p = *state;
    struct wire_hello anew = hello_of(1, 1, 5), ask = hello_of(1, 1, 5);

    struct meta_ident first = own_id(p, hello_of(1, 1, 5));
    assert_memory_equal(own_id(p, hello_of(1, 2, 6)).self, first.self, 16);
    ask = hello_of(1, 2, 6);
    memcpy(ask.expected, first.self, sizeof ask.expected);
    assert_memory_equal(own_id(p, ask).self, first.self, 16);
    assert_int_equal(check(p, expecting(7)), ERR_REFUSED);
    anew = ask;
    anew.anew = 1;
    assert_memory_not_equal(own_id(p, anew).self, first.self, 16);
    assert_int_equal(check(p, ask), ERR_REFUSED);
    assert_int_equal(p->f.err.id, DR_REPLICA_OTHER);
}

static void one_without_an_id_gets_what_is_expected(void **state)
{
    struct pair *p = *state;
    struct meta_ident old = {.epoch = 5};

    memset(old.db_id, 1, sizeof old.db_id);
    assert_int_equal(meta_ident_write(p->m.fd, &old, &modes, &p->f.err), 0);
    assert_memory_equal(own_id(p, expecting(7)).self, expecting(7).expected,
                        16);
}

static void an_epoch_far_above_is_refused_also_by_a_new_replica(void **state)
{
    struct pair *p = *state;
    struct meta_ident ident = {.epoch = 5};

    assert_int_equal(check(p, hello_of(1, 1, UINT64_MAX)), ERR_REFUSED);
    assert_int_equal(p->f.err.id, DR_EPOCH_JUMP);
    memset(ident.db_id, 1, sizeof ident.db_id);
    assert_int_equal(meta_ident_write(p->m.fd, &ident, &modes, &p->f.err), 0);
    assert_int_equal(check(p, hello_of(1, 1, UINT64_MAX)), ERR_REFUSED);
    assert_int_equal(p->f.err.id, DR_EPOCH_JUMP);
    assert_int_equal(check(p, hello_of(1, 1, 6)), 0);
}

/* Same origin (the first half), another process. */
static struct wire_hello process_of(uint8_t origin, uint8_t process,
                                    uint64_t epoch)
{
    struct wire_hello h = hello_of(1, process, epoch);

    memset(h.instance, origin, WIRE_ORIGIN_BYTES);
    return h;
}

/* The hello is accepted and what it changes is stored. */
static enum term_change follow(struct pair *p, struct wire_hello h)
{
    struct meta_ident ident = {.epoch = 0};

    int rc = session_check(&p->m, &h, &ident, &p->f.err);
    assert_true(rc == 0 || rc == SESSION_NEW);
    enum term_change change = session_follow(&ident, &h);
    assert_int_equal(meta_ident_write(p->m.fd, &ident, &modes, &p->f.err), 0);
    return change;
}

static void one_epoch_belongs_to_one_directory(void **state)
{
    struct pair *p = *state;

    assert_int_equal(follow(p, process_of(1, 1, 5)), TERM_NEW);
    assert_int_equal(follow(p, process_of(1, 1, 5)), TERM_AS_IT_WAS);
    assert_int_equal(follow(p, process_of(1, 2, 5)), TERM_NEW_AGENT);
    assert_int_equal(check(p, process_of(2, 3, 5)), ERR_REFUSED);
    assert_int_equal(p->f.err.id, DR_TWO_PRIMARIES);
    assert_non_null(strstr(p->f.err.msg, "promote --epoch 6"));
    assert_int_equal(check(p, process_of(2, 3, 4)), ERR_REFUSED);
    assert_int_equal(p->f.err.id, DR_OLD_EPOCH);
    /* A higher epoch is anybody's, once. */
    assert_int_equal(follow(p, process_of(2, 3, 6)), TERM_NEW);
    assert_int_equal(check(p, process_of(1, 2, 6)), ERR_REFUSED);
    assert_int_equal(p->f.err.id, DR_TWO_PRIMARIES);
}

static void an_agent_whose_place_was_taken_does_not_come_back(void **state)
{
    struct pair *p = *state;

    assert_int_equal(follow(p, process_of(1, 1, 5)), TERM_NEW);
    for (uint8_t process = 2; process <= META_AGENTS; process++) {
        assert_int_equal(follow(p, process_of(1, process, 5)), TERM_NEW_AGENT);
        for (uint8_t old = 1; old < process; old++) {
            assert_int_equal(check(p, process_of(1, old, 5)), ERR_REFUSED);
            assert_int_equal(p->f.err.id, DR_TWO_PRIMARIES);
        }
        assert_int_equal(check(p, process_of(1, process, 5)), 0);
    }
    /* In a new term everybody is new. */
    assert_int_equal(follow(p, process_of(1, 1, 6)), TERM_NEW);
}

static void an_unknown_origin_is_learned_and_not_doubted(void **state)
{
    struct pair *p = *state;
    struct meta_ident ident = {.epoch = 5};

    memset(ident.db_id, 1, sizeof ident.db_id);
    assert_int_equal(meta_ident_write(p->m.fd, &ident, &modes, &p->f.err), 0);
    assert_int_equal(follow(p, process_of(0, 1, 5)), TERM_NEW_AGENT);
    assert_int_equal(follow(p, process_of(7, 2, 5)), TERM_NEW_AGENT);
    assert_int_equal(follow(p, process_of(0, 3, 5)), TERM_NEW_AGENT);
    assert_int_equal(check(p, process_of(8, 4, 5)), ERR_REFUSED);
}

static void a_promoted_directory_takes_nobody_that_waited(void **state)
{
    struct pair *p = *state;

    /* Empty and without `replica`: only the id tells it from a new replica. */
    put_text(p->m.fd, "id", "01010101010101010101010101010101\n");
    assert_int_equal(check(p, hello_of(1, 1, 9)), ERR_REFUSED);
    assert_int_equal(p->f.err.id, DR_IS_PRIMARY);
}

static void the_lock_stays_its_owners_alone(void **state)
{
    struct pair *p = *state;
    struct stat st;

    put_text(p->m.fd, "lock", "");
    assert_int_equal(fchmodat(p->m.fd, "lock", 0644, 0), 0);
    assert_int_equal(lock(&p->live, hello_of(1, 1, 1), &p->f.err), 0);
    assert_int_equal(fstatat(p->m.fd, "lock", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void a_damaged_identity_refuses_everybody(void **state)
{
    struct pair *p = *state;

    put_text(p->m.fd, "replica", "?");
    assert_int_equal(check(p, hello_of(1, 1, 1)), ERR_CORRUPT);
    assert_int_equal(p->f.err.id, DR_REPLICA_DIR);
}

static void a_live_receiver_is_seen(void **state)
{
    struct pair *p = *state;
    struct session_holder holder;

    assert_int_equal(session_live(p->m.fd, &holder, &p->f.err), 0);
    assert_int_equal(lock(&p->live, hello_of(1, 1, 1), &p->f.err), 0);
    assert_int_equal(session_live(p->m.fd, &holder, &p->f.err), 1);
    assert_int_equal(holder.pid, getpid());
    assert_string_equal(holder.replica, "eu?1");
    session_deinit(&p->live);
    assert_int_equal(session_live(p->m.fd, &holder, &p->f.err), 0);
}

#define PAIR_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(the_first_gets_the_lock_and_the_second_is_told_who_has_it),
        PAIR_TEST(a_holder_is_called_what_it_is),
        PAIR_TEST(the_lock_ends_with_its_holder),
        PAIR_TEST(a_lock_file_that_was_removed_does_not_let_two_in),
        PAIR_TEST(nobody_asks_nobody_leaves),
        PAIR_TEST(the_same_agent_takes_over),
        PAIR_TEST(the_same_agent_does_not_under_another_name),
        PAIR_TEST(a_higher_epoch_takes_over),
        PAIR_TEST(another_agent_of_the_same_epoch_does_not),
        PAIR_TEST(another_agent_takes_over_from_a_silent_one),
        PAIR_TEST(another_database_never_takes_over),
        PAIR_TEST(a_question_of_a_dead_newcomer_is_forgotten),
        PAIR_TEST(a_question_that_makes_no_sense_is_ignored),
        PAIR_TEST(an_empty_directory_is_a_new_replica),
        PAIR_TEST(keys_without_an_identity_are_refused_with_the_way_out),
        PAIR_TEST(another_database_and_an_older_epoch_are_refused),
        PAIR_TEST(who_was_complete_is_not_replaced_by_nothing),
        PAIR_TEST(a_replica_keeps_its_own_id),
        PAIR_TEST(one_without_an_id_gets_what_is_expected),
        PAIR_TEST(an_epoch_far_above_is_refused_also_by_a_new_replica),
        PAIR_TEST(one_epoch_belongs_to_one_directory),
        PAIR_TEST(an_agent_whose_place_was_taken_does_not_come_back),
        PAIR_TEST(an_unknown_origin_is_learned_and_not_doubted),
        PAIR_TEST(a_promoted_directory_takes_nobody_that_waited),
        PAIR_TEST(the_lock_stays_its_owners_alone),
        PAIR_TEST(a_damaged_identity_refuses_everybody),
        PAIR_TEST(a_live_receiver_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
