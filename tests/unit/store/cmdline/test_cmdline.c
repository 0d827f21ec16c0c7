/* SPDX-License-Identifier: MIT
 *
 * cmdline: two small programs, one of them with a place in front of its
 * commands: what their lines mean, what is said of wrong ones, and what a shell
 * is told while a line is being typed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/cmdline/cmdline.h"
#include "store/cmdline/version.h"

struct toy {
    struct cmdline line;
    const char *file;
    bool force;
    int verbose;
    struct cmdline_maybe watch;
    int64_t timeout_ns;
    uint64_t max_bytes;
    /* what was run */
    const char *ran;
    const char *words[8];
    size_t count;
    const char *place;
};

static int run(struct cmdline *line)
{
    struct toy *toy = (struct toy *)line;

    toy->ran = line->command != NULL ? line->command->name : "(bare)";
    toy->place = line->place;
    toy->count = line->count;
    for (size_t i = 0; i < line->count && i < 8; i++) {
        toy->words[i] = line->words[i];
    }
    return EXIT_GOOD;
}

static int fails(struct cmdline *line)
{
    struct err e;

    (void)err_set(&e, ERR_PERM, 0, "not for \"you\"");
    e.id = 301;
    return cmdline_fail_err(line, err_exit(e.code, 1), &e, "ask");
}

#define AT(member) offsetof(struct toy, member)

static const struct cmdline_option OPTIONS[] = {
    {"json", 'j', CMDLINE_FLAG, AT(line.json), NULL, "print JSON", true},
    {"verbose", 'v', CMDLINE_COUNT, AT(verbose), NULL, "say more", true},
    {"file", 'f', CMDLINE_TEXT, AT(file), "FILE", "read it", true},
    {"force", 0, CMDLINE_FLAG, AT(force), NULL, "do it", false},
    {"watch", 0, CMDLINE_MAYBE, AT(watch), "TIME", "again", false},
    {"timeout", 't', CMDLINE_TIME, AT(timeout_ns), "TIME", "limit", false},
    {"max", 0, CMDLINE_SIZE, AT(max_bytes), "SIZE", "limit", false},
    {"policy", 0, CMDLINE_TEXT, AT(file), "wait|replace", "how", false},
    {.name = NULL},
};
static const struct cmdline_option *const LISTS[] = {OPTIONS, NULL};

static const struct cmdline_command COMMANDS[] = {
    CMDLINE_COMMAND("show", "", "show it", "watch", "  $ toy show\n", run),
    CMDLINE_COMMAND("copy", "FROM [TO]", "copy it", "force,timeout,max,policy",
                    "  $ toy copy a b\n", run),
    CMDLINE_COMMAND("many", "NAME...", "several", "", "  $ toy many a\n", run),
    CMDLINE_COMMAND("trash list", "DIR", "list it", "", "", run),
    CMDLINE_COMMAND("trash empty", "DIR", "empty it", "", "", run),
    CMDLINE_COMMAND("fail", "", "fail", "", "", fails),
    CMDLINE_VERSION("toy"),
    CMDLINE_COMPLETION("toy"),
    CMDLINE_HELP("toy", "show"),
    {.name = NULL},
};

static void names(struct cmdline *line, const char *placeholder)
{
    if (strcmp(placeholder, "NAME") == 0) {
        cmdline_candidate(line, "eu-1", "streaming");
        cmdline_candidate(line, "us\n1", "no name that a shell could take");
        cmdline_candidate(line, "us-1", "paused");
    }
}

static void say_more(FILE *f)
{
    (void)fputs(" (for tests)", f);
}

static const struct cmdline_program PLAIN = {
    .name = "toy",
    .summary = "a toy",
    .examples = "  $ toy show\n",
    .more = "man toy",
    .version = say_more,
    .commands = COMMANDS,
    .options = LISTS,
    .names = names,
};

static const struct cmdline_program PLACED = {
    .name = "toy-kv",
    .summary = "a toy in a place",
    .place = "DIR",
    .examples = "  $ toy-kv /d show\n",
    .more = "man toy",
    .commands = COMMANDS,
    .options = LISTS,
    .names = names,
};

static struct toy toy;
static char *out, *err;
static size_t out_len, err_len;

static int type(const struct cmdline_program *program, ...)
{
    static char room[20][64];
    char *argv[20];
    int argc = 0;
    va_list args;

    va_start(args, program);
    for (const char *w = program->name; w != NULL;
         w = va_arg(args, const char *)) {
        (void)snprintf(room[argc], sizeof room[argc], "%s", w);
        argv[argc] = room[argc];
        argc++;
    }
    va_end(args);
    argv[argc] = NULL;
    free(out);
    free(err);
    toy = (struct toy){.line = {.program = program,
                                .out = open_memstream(&out, &out_len),
                                .err = open_memstream(&err, &err_len)},
                       .timeout_ns = -1};
    assert_non_null(toy.line.out);
    assert_non_null(toy.line.err);
    int code = cmdline_main(&toy.line, argc, argv);
    (void)fclose(toy.line.out);
    (void)fclose(toy.line.err);
    return code;
}

#define TYPE(...) type(&PLAIN, __VA_ARGS__, (const char *)NULL)
#define TYPE_IN(...) type(&PLACED, __VA_ARGS__, (const char *)NULL)

static void assert_runs(int code, const char *name, size_t count)
{
    if (code != EXIT_GOOD) {
        fail_msg("exit %d: %s", code, err);
    }
    assert_string_equal(toy.ran, name);
    assert_int_equal(toy.count, count);
}

#define WRONG(said, ...)                                                       \
    do {                                                                       \
        assert_int_equal(TYPE(__VA_ARGS__), EX_USAGE);                         \
        assert_string_equal(err, said);                                        \
    } while (0)

/* --- what is right ---------------------------------------------------------- */

static void options_may_be_anywhere_in_any_of_their_forms(void **state)
{
    (void)state;
    assert_runs(TYPE("-v", "copy", "--force", "a", "-vf", "x", "b", "-v"),
                "copy", 2);
    assert_true(toy.force);
    assert_int_equal(toy.verbose, 3);
    assert_string_equal(toy.file, "x");
    assert_string_equal(toy.words[0], "a");
    assert_string_equal(toy.words[1], "b");
    assert_runs(TYPE("--file=y", "copy", "-t10ms", "a", "--max", "2K"), "copy",
                1);
    assert_string_equal(toy.file, "y");
    assert_int_equal(toy.timeout_ns, 10000000);
    assert_int_equal(toy.max_bytes, 2048);
    assert_runs(TYPE("copy", "--", "--force", "-v"), "copy", 2);
    assert_false(toy.force);
    assert_string_equal(toy.words[0], "--force");
    assert_runs(TYPE("copy", "-"), "copy", 1);
    assert_runs(TYPE("copy", "a", "--file="), "copy", 1);
    assert_string_equal(toy.file, "");
}

static void a_beginning_that_no_other_option_has_is_enough(void **state)
{
    (void)state;
    assert_runs(TYPE("copy", "--time", "1s", "a"), "copy", 1);
    assert_int_equal(toy.timeout_ns, 1000000000);
    /* Only one of the two is an option of this command. */
    assert_runs(TYPE("--fi", "x", "show"), "show", 0);
    assert_string_equal(toy.file, "x");
    WRONG("toy: unknown option --f\n      HINT: toy help copy\n", "copy", "a",
          "--f");
}

static void a_value_that_may_be_there_comes_after_an_equals_sign(void **state)
{
    (void)state;
    assert_runs(TYPE("show", "--watch"), "show", 0);
    assert_true(toy.watch.given);
    assert_null(toy.watch.value);
    assert_runs(TYPE("show", "--watch=2s"), "show", 0);
    assert_string_equal(toy.watch.value, "2s");
    WRONG("toy: show takes no arguments: 2\n      HINT: write --watch=2\n",
          "show", "--watch", "2");
}

static void a_command_may_have_two_words_or_a_place(void **state)
{
    (void)state;
    assert_runs(TYPE("trash", "-v", "list", "/d"), "trash list", 1);
    assert_string_equal(toy.words[0], "/d");
    assert_runs(TYPE("many", "a", "b", "c"), "many", 3);
    assert_null(toy.place);
    assert_runs(TYPE_IN("-v", "/d", "many", "a"), "many", 1);
    assert_string_equal(toy.place, "/d");
    assert_runs(TYPE_IN("/d", "trash", "empty", "x"), "trash empty", 1);
    /* A place that has a command's name. */
    assert_runs(TYPE_IN("show", "many", "a"), "many", 1);
    assert_string_equal(toy.place, "show");
}

/* --- what is wrong ---------------------------------------------------------- */

static void what_is_wrong_is_named_with_the_next_thing_to_type(void **state)
{
    (void)state;
    WRONG("toy: the command is missing\n      HINT: toy help\n", "-v");
    WRONG("toy: unknown command shwo\n      HINT: did you mean show?\n",
          "shwo");
    WRONG("toy: unknown command xyz\n      HINT: toy help\n", "xyz");
    WRONG("toy: unknown command trash\n      HINT: did you mean trash list?\n",
          "trash");
    WRONG("toy: unknown command 'trash emtpy'\n"
          "      HINT: did you mean trash empty?\n",
          "trash", "emtpy", "/d");
    WRONG("toy: unknown command 'trash /directory'\n"
          "      HINT: did you mean trash list?\n",
          "trash", "/directory");
    WRONG("toy: unknown option --forse\n      HINT: did you mean --force?\n",
          "copy", "a", "--forse");
    WRONG("toy: unknown option --force\n      HINT: toy help show\n", "show",
          "--force");
    /* What follows it may be its value, and no command. */
    WRONG("toy: unknown option --flie\n      HINT: did you mean --file?\n",
          "--flie", "/etc/toy", "show");
    WRONG("toy: unknown option -Z\n      HINT: toy help\n", "-Z", "x");
    WRONG("toy: unknown option -z\n      HINT: toy help show\n", "show", "-vz");
    WRONG("toy: --file needs an argument: FILE\n", "show", "--file");
    WRONG("toy: --force takes no argument\n", "copy", "a", "--force=1");
    WRONG("toy: copy needs FROM\n      HINT: usage: toy copy FROM [TO]\n",
          "copy");
    WRONG("toy: copy takes fewer arguments: c\n"
          "      HINT: usage: toy copy FROM [TO]\n",
          "copy", "a", "b", "c");
    WRONG("toy: show takes no arguments: extra\n      HINT: usage: toy show\n",
          "show", "extra");
    assert_int_equal(TYPE("copy", "a", "-t", "30"), EX_USAGE);
    assert_non_null(strstr(err, "toy: --timeout: 30: a duration needs a unit"));
    assert_null(toy.ran);
}

static void a_place_that_is_missing_is_asked_for(void **state)
{
    (void)state;
    assert_int_equal(TYPE_IN("many", "a"), EX_USAGE);
    assert_string_equal(err, "toy-kv: DIR comes first, then the command\n"
                             "      HINT: usage: toy-kv DIR many NAME...\n");
    assert_int_equal(TYPE_IN("/d"), EX_USAGE);
    assert_string_equal(err, "toy-kv: the command is missing\n"
                             "      HINT: toy-kv help\n");
    assert_int_equal(TYPE_IN("/d", "mony"), EX_USAGE);
    assert_string_equal(err, "toy-kv: unknown command mony\n"
                             "      HINT: did you mean many?\n");
}

/* Wherever --json is, and whatever else is wrong. */
static void errors_are_json_where_that_was_asked_for(void **state)
{
    (void)state;
    assert_int_equal(TYPE("fail", "--json"), EX_NOPERM);
    assert_string_equal(out, "{\"schema\":1,\"error\":{\"id\":301,\"text\":"
                             "\"not for \\\"you\\\"\",\"hint\":\"ask\","
                             "\"exit\":77}}\n");
    assert_string_equal(err, "toy: DR-301 not for \"you\"\n      HINT: ask\n");
    assert_int_equal(TYPE("shwo", "--json"), EX_USAGE);
    assert_non_null(strstr(out, "\"hint\":\"did you mean show?\""));
    assert_int_equal(TYPE("show", "--bad", "--json"), EX_USAGE);
    assert_non_null(strstr(out, "\"exit\":64"));
    assert_int_equal(TYPE("--json"), EX_USAGE);
    assert_non_null(strstr(out, "\"text\":\"the command is missing\""));
    assert_int_equal(TYPE("fail"), EX_NOPERM);
    assert_string_equal(out, "");
}

/* --- help and version -------------------------------------------------------- */

static void help_has_every_command_with_examples_first(void **state)
{
    char *all;

    (void)state;
    assert_int_equal(TYPE("help"), EXIT_GOOD);
    all = strdup(out);
    assert_non_null(all);
    assert_non_null(strstr(all, "  copy FROM [TO]"));
    assert_non_null(strstr(all, "  -f, --file FILE"));
    assert_null(strstr(all, "--force"));
    assert_int_equal(TYPE("--help"), EXIT_GOOD);
    assert_string_equal(out, all);
    free(all);
    assert_int_equal(TYPE("help", "copy"), EXIT_GOOD);
    all = strdup(out);
    assert_true(strstr(all, "Usage: toy copy") > strstr(all, "Examples:"));
    assert_non_null(strstr(all, "--force"));
    assert_null(strstr(all, "--watch"));
    assert_int_equal(TYPE("copy", "-h"), EXIT_GOOD);
    assert_string_equal(out, all);
    free(all);
    assert_int_equal(TYPE("help", "trash", "list"), EXIT_GOOD);
    assert_int_equal(TYPE_IN("show", "--help"), EXIT_GOOD);
    assert_non_null(strstr(out, "Usage: toy-kv DIR show [OPTION...]"));
    assert_int_equal(TYPE_IN("help", "show"), EXIT_GOOD);
    WRONG("toy: unknown command xyz\n"
          "      HINT: usage: toy help [COMMAND...]\n",
          "help", "xyz");
}

static void the_version_is_said_in_three_ways(void **state)
{
    static const char *const ways[] = {"version", "--version", "-V"};
    char text[100];

    (void)state;
    (void)snprintf(text, sizeof text, "toy %s (for tests)\n", version_text());
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(TYPE(ways[i]), EXIT_GOOD);
        assert_string_equal(out, text);
        assert_int_equal(TYPE_IN(ways[i]), EXIT_GOOD);
        assert_int_equal(strncmp(out, "toy-kv ", 7), 0);
    }
    assert_int_equal(TYPE("-V", "--json"), EXIT_GOOD);
    assert_non_null(strstr(out, "{\"schema\":1,\"version\":\""));
}

/* --- completion ---------------------------------------------------------------- */

/* The candidates without their help, each ended by a blank. */
static const char *completed(void)
{
    static char text[2000];
    size_t n = 0;

    for (const char *p = out; *p != '\0'; p += strcspn(p, "\n") + 1) {
        size_t len = strcspn(p, "\t\n");
        memcpy(text + n, p, len);
        n += len;
        text[n++] = ' ';
    }
    text[n] = '\0';
    return text;
}

#define COMPLETES(words, ...)                                                  \
    do {                                                                       \
        assert_int_equal(TYPE("__complete", __VA_ARGS__), EXIT_GOOD);          \
        assert_string_equal(completed(), words);                               \
    } while (0)

static void a_word_is_completed_by_what_may_be_there(void **state)
{
    (void)state;
    COMPLETES("show copy many trash fail version completion help ", "");
    COMPLETES("copy completion ", "co");
    COMPLETES("list empty ", "trash", "");
    COMPLETES("empty ", "-v", "trash", "e");
    COMPLETES(":dirs ", "trash", "list", "");
    COMPLETES("bash zsh fish ", "completion", "");
    COMPLETES("show ", "help", "s");
    COMPLETES("list empty ", "help", "trash", "");
    COMPLETES("eu-1 us-1 ", "many", "");
    COMPLETES("us-1 ", "many", "eu-1", "us");
    COMPLETES("", "show", "");
    COMPLETES("--force ", "copy", "--fo");
    COMPLETES("--help --version --json --verbose --file --watch ", "show", "-");
    COMPLETES("", "copy", "--", "--fo");
    COMPLETES(":files ", "show", "--file", "");
    COMPLETES(":files ", "show", "-f", "");
    COMPLETES("wait replace ", "copy", "--policy", "");
    COMPLETES("--policy=replace ", "copy", "--policy=r");
    /* bash takes a word with "=" apart. */
    COMPLETES("wait replace ", "copy", "--policy", "=");
    COMPLETES("replace ", "copy", "--policy", "=", "r");
    COMPLETES("eu-1 us-1 ", "many", "--file", "=", "x", "");
    /* What is wrong in the line is no reason to be silent. */
    COMPLETES("eu-1 us-1 ", "--bad", "many", "-t", "x", "--bad=1", "");
}

static void a_place_is_a_directory(void **state)
{
    (void)state;
    assert_int_equal(TYPE_IN("__complete", ""), EXIT_GOOD);
    assert_string_equal(completed(), ":dirs version completion help ");
    assert_int_equal(TYPE_IN("__complete", "/d", "s"), EXIT_GOOD);
    assert_string_equal(completed(), "show ");
    assert_int_equal(TYPE_IN("__complete", "/d", "many", "e"), EXIT_GOOD);
    assert_string_equal(completed(), "eu-1 ");
}

static void each_shell_has_a_script_with_the_programs_name(void **state)
{
    static const char *const shells[] = {"bash", "zsh", "fish"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(TYPE_IN("completion", shells[i]), EXIT_GOOD);
        assert_non_null(strstr(out, "toy-kv __complete"));
        assert_non_null(strstr(out, "_toy_kv"));
        assert_null(strstr(out, "PROGRAM"));
        assert_null(strstr(out, "NAME"));
    }
    WRONG("toy: there is no completion for ksh\n"
          "      HINT: usage: toy completion bash|zsh|fish\n",
          "completion", "ksh");
}

static int forget(void **state)
{
    (void)state;
    free(out);
    free(err);
    out = err = NULL;
    return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(options_may_be_anywhere_in_any_of_their_forms),
        TEST(a_beginning_that_no_other_option_has_is_enough),
        TEST(a_value_that_may_be_there_comes_after_an_equals_sign),
        TEST(a_command_may_have_two_words_or_a_place),
        TEST(what_is_wrong_is_named_with_the_next_thing_to_type),
        TEST(a_place_that_is_missing_is_asked_for),
        TEST(errors_are_json_where_that_was_asked_for),
        TEST(help_has_every_command_with_examples_first),
        TEST(the_version_is_said_in_three_ways),
        TEST(a_word_is_completed_by_what_may_be_there),
        TEST(a_place_is_a_directory),
        TEST(each_shell_has_a_script_with_the_programs_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
