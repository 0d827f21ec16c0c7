/* SPDX-License-Identifier: MIT
 *
 * fuzz_config: settings, wherever they come from.
 *
 * Input: a byte that chooses, then the text: a configuration file; the words of
 * `drover agent` (one per line); a text to split into words; a value for one
 * setting; an option of drover-replica.
 *
 * A file that loads has a database, and replicas with names that are good; one
 * that does not says why, in lines that a terminal may show.
 */
#include "tests/fuzz/fuzz.h"

#include "agent/config/config.h"
#include "sync/options/receive_options.h"

static void check_config(struct config *c, struct config_errors *errors)
{
    must((c == NULL) == (errors->count > 0));
    for (size_t i = 0; i < errors->count; i++) {
        fuzz_is_tame(errors->lines[i], strlen(errors->lines[i]), "");
    }
    if (c != NULL) {
        must(c->path != NULL && c->path[0] == '/');
        must(c->state_dir != NULL && c->state_dir[0] == '/');
        must(c->socket != NULL && c->socket[0] == '/');
        must(config_name_is_good(c->name));
        must(c->silence_ms > c->heartbeat_ms && c->heartbeat_ms > 0);
        for (size_t i = 0; i < c->replicas_count; i++) {
            const struct config_replica *r = &c->replicas[i];
            must(config_name_is_good(r->name));
            must(config_replica(c, r->name) == r);
            must(config_replica_equal(r, r));
            must(r->kind == REPLICA_SSH
                     ? r->host != NULL && r->port > 0
                     : r->argv != NULL && r->argv[0] != NULL);
        }
    }
    config_free(c);
    config_errors_deinit(errors);
}

static void try_file(struct cur in)
{
    struct config_errors errors = {0};

    fuzz_file(fuzz_dir(), "drover.conf", 0600, in.p, in.left);
    check_config(config_load(fuzz_path("drover.conf"), &errors), &errors);
}

static void try_words(struct cur in)
{
    const char *targets[40];
    struct config_errors errors = {0};
    char *text = fuzz_text(in.p, in.left), *rest = text;
    const char *dir = strsep(&rest, "\n");
    size_t n = 0;

    while (rest != NULL && n < 40) {
        targets[n++] = strsep(&rest, "\n");
    }
    check_config(config_adhoc(dir, targets, n, &errors), &errors);
    free(text);
}

static void try_split(struct cur in)
{
    char *text = fuzz_text(in.p, in.left);
    char **words = NULL;
    struct err err = {0};

    if (config_split_words(text, &words, &err) == 0) {
        must(words != NULL);
        size_t bytes = 0;
        for (size_t i = 0; words[i] != NULL; i++) {
            bytes += strlen(words[i]);
        }
        must(bytes <= strlen(text));
        config_free_words(words);
    }
    free(text);
}

static void try_setting(struct cur in)
{
    static struct config *c;
    static struct config_replica r;
    struct err err = {0};
    size_t count = 0;

    while (CONFIG_SETTINGS[count].name != NULL) {
        count++;
    }
    if (c == NULL) {
        c = config_preset(&err);
        must(c != NULL && config_preset_replica(&r, &err));
    }
    const struct setting *s = &CONFIG_SETTINGS[cur_u8(&in) % count];
    must(config_setting(s->section, s->name) == s);
    char *text = fuzz_text(in.p, in.left);
    bool database = strcmp(s->section, "database") == 0;
    if (config_set(s, database ? (void *)c : (void *)&r, text, "/etc/drover",
                   &err) < 0) {
        fuzz_is_tame(err.msg, strlen(err.msg), "");
    }
    free(text);
}

static void try_option(struct cur in)
{
    char *text = fuzz_text(in.p, in.left);
    struct err err = {0};
    bool replace;
    mode_t mode;

    if (receive_mode(text, 0600, &mode, &err) == 0) {
        must((mode & ~07777U) == 0 && (mode & 0600) == 0600);
    }
    must(receive_policy(text, &replace, &err) == 0 || err.code == ERR_INVALID);
    if (strspn(text, "0123456789 -+x") == strlen(text)) {
        gid_t gid; /* names are looked up outside of this program */
        must(receive_group(text, &gid, &err) == 0 || err.code == ERR_INVALID);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 16384) {
        return 0;
    }
    struct cur in = cur_of(data, size);
    switch (cur_u8(&in) % 8) {
    case 0:
    case 1:
    case 2:
    case 3:
        try_file(in);
        break;
    case 4:
        try_words(in);
        break;
    case 5:
        try_split(in);
        break;
    case 6:
        try_setting(in);
        break;
    default:
        try_option(in);
    }
    return 0;
}
