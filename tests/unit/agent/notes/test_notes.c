/* SPDX-License-Identifier: MIT
 *
 * notes: what of replicas outlives the agent: an agent here is a core with
 * replicas that never connect, and the next one is another core over the same
 * state directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "agent/notes/dirids.h"
#include "agent/notes/held.h"
#include "agent/notes/pauses.h"
#include "agent/notes/unclean.h"
#include "store/base/clock.h"
#include "store/files/small_file.h"

struct agent {
    uv_loop_t loop;
    struct config config;
    struct index *ix;
    struct replicas all;
    struct dirids dirids;
    struct unclean unclean;
};

static char dir[] = "/tmp/drover-notes.XXXXXX";
static int state_fd = -1;

static void called(void *arg)
{
    (void)arg;
}

static void begin(struct agent *a)
{
    struct primary_config pc;

    *a = (struct agent){.config.backoff_max_ms = 1000};
    assert_int_equal(uv_loop_init(&a->loop), 0);
    primary_config_default(&pc);
    a->ix = index_new();
    a->all = (struct replicas){.loop = &a->loop,
                               .core = primary_new(&pc, a->ix),
                               .config = &a->config,
                               .called = called,
                               .arg = a};
    assert_non_null(a->all.core);
    a->dirids = (struct dirids){.state_fd = state_fd, .all = &a->all};
    a->unclean = (struct unclean){.state_fd = state_fd, .all = &a->all};
}

static struct replica *add(struct agent *a, const struct config_replica *c)
{
    struct err err;
    struct replica *r = replica_add(&a->all, c, &err);

    assert_non_null(r);
    return r;
}

static void end(struct agent *a)
{
    while (a->all.list != NULL) {
        replica_remove(a->all.list);
    }
    (void)uv_run(&a->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&a->loop), 0);
    primary_free(a->all.core);
    index_free(a->ix);
}

static char R1[] = "r1", R2[] = "r2";
static char *ARGV[] = {R1, NULL};
static const struct config_replica ONE = {
    .name = R1, .kind = REPLICA_EXEC, .argv = ARGV};
static const struct config_replica TWO = {
    .name = R2, .kind = REPLICA_EXEC, .argv = ARGV};

static const char *note(const char *file)
{
    static char text[4096];
    struct err err;

    if (small_read(state_fd, file, text, sizeof text, NULL, &err) < 0) {
        text[0] = '\0';
    }
    return text;
}

static void write_note(const char *file, const char *text)
{
    struct err err;

    assert_int_equal(small_write(state_fd, file, text, strlen(text),
                                 SMALL_DURABLE(0600), &err),
                     0);
}

/* --- dirids -------------------------------------------------------------- */

#define ID_A "a1000000000000000000000000000000"
#define ID_B "b2000000000000000000000000000000"

static void directories_are_remembered_by_name(void **state)
{
    struct agent a;

    (void)state;
    write_note(DIRIDS_FILE, "rubbish\n" ID_A " complete 7 r1\n"
                            "a1 complete 7 r2\n" ID_B " begun 0 r2");
    begin(&a);
    struct replica *one = add(&a, &ONE), *two = add(&a, &TWO);
    dirids_recall(&a.dirids, one);
    dirids_recall(&a.dirids, two);
    const struct dirid *id = primary_dirid(a.all.core, one->number);
    assert_int_equal(id->id[0], 0xa1);
    assert_true(id->complete && id->keys == 7);
    id = primary_dirid(a.all.core, two->number);
    assert_int_equal(id->id[0], 0xb2);
    assert_false(id->complete);
    dirids_note(&a.dirids);
    assert_string_equal(note(DIRIDS_FILE),
                        ID_A " complete 7 r1\n" ID_B " begun 0 r2\n");
    end(&a);
}

/* Counts are noted now and then, and at the end. */
static void counts_are_noted_when_they_changed(void **state)
{
    struct agent a;
    struct dirid id = {.id = {0xa1}, .complete = true, .keys = 7};

    (void)state;
    write_note(DIRIDS_FILE, "");
    begin(&a);
    struct replica *one = add(&a, &ONE);
    primary_recall(a.all.core, one->number, &id);
    dirids_note(&a.dirids);
    id.keys = 8;
    primary_recall(a.all.core, one->number, &id);
    dirids_counts(&a.dirids, false); /* too soon */
    assert_string_equal(note(DIRIDS_FILE), ID_A " complete 7 r1\n");
    dirids_counts(&a.dirids, true);
    assert_string_equal(note(DIRIDS_FILE), ID_A " complete 8 r1\n");
    write_note(DIRIDS_FILE, "untouched");
    dirids_counts(&a.dirids, true); /* nothing new */
    assert_string_equal(note(DIRIDS_FILE), "untouched");
    end(&a);
}

static void
a_replica_taken_out_stays_until_its_directory_has_a_name(void **state)
{
    struct agent a;
    struct dirid id = {.id = {0xa1}};

    (void)state;
    write_note(DIRIDS_FILE, ID_A " complete 7 r1\n");
    begin(&a);
    struct replica *two = add(&a, &TWO);
    dirids_note(&a.dirids);
    assert_string_equal(note(DIRIDS_FILE), ID_A " complete 7 r1\n");
    primary_recall(a.all.core, two->number, &id);
    dirids_note(&a.dirids);
    assert_string_equal(note(DIRIDS_FILE), ID_A " begun 0 r2\n");
    end(&a);
}

/* --- held ---------------------------------------------------------------- */

static void a_brake_outlives_the_agent(void **state)
{
    struct agent a;
    struct primary_held held;

    (void)state;
    begin(&a);
    struct replica *one = add(&a, &ONE);
    (void)add(&a, &TWO);
    primary_brake_on(a.all.core, one->number, 42, clock_mono_ms() - 90 * 1000);
    held_note(state_fd, &a.all);
    end(&a);
    assert_int_equal(strncmp(note("held"), "42 ", 3), 0);

    begin(&a);
    one = add(&a, &ONE);
    struct replica *two = add(&a, &TWO);
    held_recall(state_fd, one);
    held_recall(state_fd, two);
    assert_false(primary_held(a.all.core, two->number, clock_mono_ms(), &held));
    assert_true(primary_held(a.all.core, one->number, clock_mono_ms(), &held));
    assert_int_equal(held.held, 42);
    assert_in_range(held.since_ms / 1000, 88, 600);
    /* Names only for those who may see them. */
    json_t *o = held_json(one, NULL, false, false);
    assert_int_equal(json_integer_value(json_object_get(o, "count")), 42);
    assert_null(json_object_get(o, "names"));
    json_decref(o);
    o = held_json(one, NULL, true, false);
    assert_true(json_is_array(json_object_get(o, "names")));
    assert_true(json_is_null(json_object_get(o, "covered")));
    json_decref(o);
    o = held_json(two, NULL, true, true);
    assert_true(json_is_null(o));
    json_decref(o);
    end(&a);
}

/* --- unclean ------------------------------------------------------------- */

static bool is_suspect(struct agent *a, const struct replica *r)
{
    return primary_is_suspect(a->all.core, r->number);
}

#define OTHER_BOOT "boot 000102030405060708090a0b0c0d0e0f mount 1\n"

static void another_boots_note_makes_all_suspect(void **state)
{
    struct agent a;

    (void)state;
    write_note(RUNNING_FILE, OTHER_BOOT);
    begin(&a);
    struct replica *one = add(&a, &ONE);
    unclean_add(&a.unclean, one); /* before it is known */
    assert_false(is_suspect(&a, one));
    unclean_start(&a.unclean, state_fd);
    assert_true(a.unclean.was && is_suspect(&a, one));
    struct replica *two = add(&a, &TWO);
    unclean_add(&a.unclean, two);
    assert_true(is_suspect(&a, two));
    assert_non_null(strstr(note(RUNNING_FILE), "suspect r1\nsuspect r2\n"));
    /* An orderly stop proves nothing of them. */
    unclean_stop(&a.unclean);
    end(&a);
    assert_string_equal(note(RUNNING_FILE),
                        "stopped\nsuspect r1\nsuspect r2\n");

    begin(&a);
    one = add(&a, &ONE);
    unclean_start(&a.unclean, state_fd);
    assert_true(!a.unclean.was && is_suspect(&a, one));
    end(&a);
}

static void an_orderly_or_killed_agent_makes_nobody_suspect(void **state)
{
    static const char *const before[] = {"", "stopped\n", "rubbish\n",
                                         NULL /* this boot's own */};

    (void)state;
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        struct agent a;
        if (before[i] != NULL) {
            write_note(RUNNING_FILE, before[i]);
        }
        begin(&a);
        struct replica *one = add(&a, &ONE);
        unclean_start(&a.unclean, state_fd);
        assert_false(a.unclean.was || is_suspect(&a, one));
        assert_int_equal(strncmp(note(RUNNING_FILE), "boot ", 5), 0);
        end(&a); /* killed: the note stays */
    }
}

/* Nobody knows how the last one ended: no replica's newer values are lost. */
static void a_note_that_cannot_be_read_makes_all_suspect(void **state)
{
    struct agent a;

    (void)state;
    write_note(RUNNING_FILE, "stop\001ped\n");
    begin(&a);
    struct replica *one = add(&a, &ONE);
    unclean_start(&a.unclean, state_fd);
    assert_true(a.unclean.was && is_suspect(&a, one));
    end(&a);
}

/* An agent that never saw the database takes nothing back. */
static void without_a_start_the_note_stays(void **state)
{
    struct agent a;

    (void)state;
    write_note(RUNNING_FILE, OTHER_BOOT);
    begin(&a);
    unclean_note(&a.unclean);
    unclean_stop(&a.unclean);
    end(&a);
    assert_string_equal(note(RUNNING_FILE), OTHER_BOOT);
}

/* --- pauses -------------------------------------------------------------- */

static void an_operators_pause_outlives_the_agent(void **state)
{
    struct config_replica starts_paused = TWO;
    struct agent a;
    struct err err;

    (void)state;
    starts_paused.paused = true;
    begin(&a);
    struct replica *one = add(&a, &ONE), *two = add(&a, &starts_paused);
    replica_pause(one, true);
    assert_int_equal(pauses_note(state_fd, &a.all, "/s", &err), 0);
    assert_string_equal(note(PAUSES_FILE), "r1\n");
    replica_reconfigure(one, &ONE); /* the host was changed, say */
    assert_true(one->paused);
    end(&a);

    begin(&a);
    one = add(&a, &ONE);
    two = add(&a, &TWO);
    pauses_recall(state_fd, one);
    pauses_recall(state_fd, two);
    assert_true(one->paused);
    assert_false(two->paused); /* that was the configuration's */
    replica_pause(one, false);
    assert_int_equal(pauses_note(state_fd, &a.all, "/s", &err), 0);
    assert_string_equal(note(PAUSES_FILE), "");
    end(&a);

    begin(&a);
    one = add(&a, &ONE);
    pauses_recall(state_fd, one);
    assert_false(one->paused);
    assert_true(pauses_note(-1, &a.all, "/s", &err) < 0);
    assert_non_null(strstr(err.msg, "would forget it; check df -h /s, then"));
    end(&a);
}

/* Whoever paused it had a reason, and what is not known may be that. */
static void pauses_that_cannot_be_read_are_all(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        bool paused;
    } notes[] = {
        {"", 0, false},        {"r9\n", 3, false},  {"r1\n", 3, true},
        {"r1", 2, true},       {"r9\r\n", 4, true}, {"\0\0garbage", 9, true},
        {"\0\0\0\0", 4, true}, {" \t\n", 3, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
        struct agent a;
        begin(&a);
        struct replica *one = add(&a, &ONE);
        int fd = openat(state_fd, PAUSES_FILE,
                        O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, notes[i].text, notes[i].len), notes[i].len);
        close(fd);
        pauses_recall(state_fd, one);
        assert_int_equal(one->paused, notes[i].paused);
        end(&a);
    }
    struct agent a;
    begin(&a);
    struct replica *one = add(&a, &ONE);
    assert_int_equal(unlinkat(state_fd, PAUSES_FILE, 0), 0);
    assert_int_equal(mkdirat(state_fd, PAUSES_FILE, 0700), 0);
    pauses_recall(state_fd, one);
    assert_true(one->paused);
    assert_int_equal(unlinkat(state_fd, PAUSES_FILE, AT_REMOVEDIR), 0);
    end(&a);
}

static int make_dir(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    state_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return state_fd < 0 ? -1 : 0;
}

static int remove_dir(void **state)
{
    static const char *const files[] = {DIRIDS_FILE, "held", RUNNING_FILE,
                                        PAUSES_FILE};

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        (void)unlinkat(state_fd, files[i], 0);
    }
    (void)close(state_fd);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directories_are_remembered_by_name),
        cmocka_unit_test(counts_are_noted_when_they_changed),
        cmocka_unit_test(
            a_replica_taken_out_stays_until_its_directory_has_a_name),
        cmocka_unit_test(a_brake_outlives_the_agent),
        cmocka_unit_test(an_operators_pause_outlives_the_agent),
        cmocka_unit_test(pauses_that_cannot_be_read_are_all),
        cmocka_unit_test(another_boots_note_makes_all_suspect),
        cmocka_unit_test(a_note_that_cannot_be_read_makes_all_suspect),
        cmocka_unit_test(an_orderly_or_killed_agent_makes_nobody_suspect),
        cmocka_unit_test(without_a_start_the_note_stays),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
