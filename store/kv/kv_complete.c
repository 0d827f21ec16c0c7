/* SPDX-License-Identifier: MIT
 *
 * kv_complete: the names of tables and keys, for completion in a shell. */
#include <string.h>

#include "store/base/quote.h"
#include "store/kv/kv.h"

enum {
    SEEN_MAX = 10000,  /* names: a shell waits for the answer */
    NAME_BYTES = 1024, /* longer ones are not typed by hand */
};

struct seen {
    struct kv *kv;
    size_t count;
};

static int on_name(void *arg, struct drover_bytes name)
{
    struct seen *seen = arg;
    char text[NAME_BYTES];

    /* What is not text is not typed by hand either. */
    if (name.len > 0 && name.len < sizeof text &&
        quote_is_utf8(name.data, name.len)) {
        memcpy(text, name.data, name.len);
        text[name.len] = '\0';
        cmdline_candidate(&seen->kv->line, text, "");
    }
    return ++seen->count < SEEN_MAX ? 0 : 1;
}

void kv_names(struct cmdline *line, const char *placeholder)
{
    struct kv *kv = kv_of(line);
    struct seen seen = {.kv = kv};
    struct drover_bytes table =
        drover_text(kv->table_name != NULL ? kv->table_name : "");
    struct drover_bytes prefix = drover_text(line->partial);
    struct drover_error ignored;
    int rc;

    if (line->place == NULL ||
        drover_open(line->place, DROVER_OPEN_READONLY, &kv->db, &ignored) < 0) {
        return;
    }
    if (strcmp(placeholder, "TABLE") == 0) {
        rc = drover_tables(kv->db, 0, on_name, &seen, &ignored);
        (void)rc;
    } else if (strcmp(placeholder, "KEY") == 0) {
        rc = drover_keys(kv->db, table, prefix, 0, on_name, &seen, &ignored);
        (void)rc;
    }
}
