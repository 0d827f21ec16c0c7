/* SPDX-License-Identifier: MIT
 *
 * name: see name.h. */
#include "store/layout/name.h"

#include <assert.h>
#include <string.h>

#include "store/base/quote.h"

static const char KEY_SUFFIX[] = ".kv";
static const char TABLE_SUFFIX[] = ".tbl";

enum {
    KEY_SUFFIX_BYTES = sizeof KEY_SUFFIX - 1,
    TABLE_SUFFIX_BYTES = sizeof TABLE_SUFFIX - 1,
    COMPONENT_MAX_BYTES = 255,
};

static bool is_dots(const char *p, size_t len)
{
    return (len == 1 && p[0] == '.') ||
           (len == 2 && p[0] == '.' && p[1] == '.');
}

int key_check(const void *key, size_t len, struct err *err)
{
    if (len > KEY_MAX_BYTES) {
        return err_set(err, ERR_BADKEY, 0,
                       "key %s: %zu bytes, but a key has at most %d",
                       QUOTED(key, len), len, KEY_MAX_BYTES);
    }
    if (len > 0 && memchr(key, '/', len) != NULL) {
        return err_set(err, ERR_BADKEY, 0, "key %s: a key cannot contain '/'",
                       QUOTED(key, len));
    }
    if (len > 0 && memchr(key, '\0', len) != NULL) {
        return err_set(err, ERR_BADKEY, 0,
                       "key %s: a key cannot contain a NUL byte",
                       QUOTED(key, len));
    }
    return 0;
}

/* NULL when one component of a table's name is fine, else what is wrong. */
static const char *component_fault(const char *p, size_t len, bool last)
{
    size_t max = COMPONENT_MAX_BYTES - (last ? TABLE_SUFFIX_BYTES : 0U);

    if (len == 0) {
        return "it has an empty component";
    }
    if (is_dots(p, len)) {
        return "'.' and '..' are not allowed in it";
    }
    if (len > max) {
        return "one of its components is too long";
    }
    return NULL;
}

static const char *table_fault(const char *name, size_t len)
{
    const char *p = name;
    const char *end = name + len;

    if (len > TABLE_MAX_BYTES) {
        return "it has more than 1024 bytes";
    }
    if (memchr(name, '\0', len) != NULL) {
        return "it contains a NUL byte";
    }
    for (int depth = 1;; depth++) {
        const char *slash = memchr(p, '/', (size_t)(end - p));
        const char *stop = slash != NULL ? slash : end;
        size_t n = (size_t)(stop - p);
        const char *fault = component_fault(p, n, slash == NULL);
        if (fault != NULL) {
            return fault;
        }
        if (depth == 1 && slash != NULL && n == sizeof META_DIR - 1 &&
            memcmp(p, META_DIR, n) == 0) {
            return "the directory " META_DIR " is not for tables";
        }
        if (depth > TABLE_MAX_DEPTH) {
            return "it is nested too deeply";
        }
        if (slash == NULL) {
            return NULL;
        }
        p = slash + 1;
    }
}

int table_check(const void *name, size_t len, struct err *err)
{
    const char *fault = len > 0 ? table_fault(name, len) : NULL;

    if (fault != NULL) {
        return err_set(err, ERR_BADTABLE, 0,
                       "table %s: not a possible name: %s",
                       QUOTED_TABLE(name, len), fault);
    }
    return 0;
}

void key_file(const void *key, size_t len, char *out)
{
    assert(len <= KEY_MAX_BYTES);
    if (len > 0) {
        memcpy(out, key, len);
    }
    memcpy(out + len, KEY_SUFFIX, sizeof KEY_SUFFIX);
}

void table_path(const void *name, size_t len, char *out)
{
    assert(len <= TABLE_MAX_BYTES);
    if (len == 0) {
        memcpy(out, ".", 2);
        return;
    }
    memcpy(out, name, len);
    memcpy(out + len, TABLE_SUFFIX, sizeof TABLE_SUFFIX);
}

bool name_is_key(const char *entry, size_t *len_out)
{
    size_t len = strlen(entry);

    if (len < KEY_SUFFIX_BYTES || memcmp(entry + len - KEY_SUFFIX_BYTES,
                                         KEY_SUFFIX, KEY_SUFFIX_BYTES) != 0) {
        return false;
    }
    *len_out = len - KEY_SUFFIX_BYTES;
    return true;
}

bool name_is_table(const char *entry, size_t *len_out)
{
    size_t len = strlen(entry);

    /* ".tbl" would be the table "", but that is the root; "..tbl" and "...tbl"
     * would have dots for a name, which table_check() refuses. */
    if (len <= TABLE_SUFFIX_BYTES ||
        memcmp(entry + len - TABLE_SUFFIX_BYTES, TABLE_SUFFIX,
               TABLE_SUFFIX_BYTES) != 0 ||
        is_dots(entry, len - TABLE_SUFFIX_BYTES)) {
        return false;
    }
    *len_out = len - TABLE_SUFFIX_BYTES;
    return true;
}

bool name_is_temp(const char *entry)
{
    size_t len = strlen(entry);
    size_t digits = 0;

    if (strncmp(entry, TEMP_PREFIX, sizeof TEMP_PREFIX - 1) == 0) {
        size_t key_len;
        return !name_is_key(entry, &key_len);
    }
    while (digits < len && entry[len - 1 - digits] >= '0' &&
           entry[len - 1 - digits] <= '9') {
        digits++;
    }
    if (digits == 0) {
        return false;
    }
    len -= digits;
    if (len >= 4 && memcmp(entry + len - 4, ".tmp", 4) == 0) {
        len -= 4;
    }
    return len >= KEY_SUFFIX_BYTES && memcmp(entry + len - KEY_SUFFIX_BYTES,
                                             KEY_SUFFIX, KEY_SUFFIX_BYTES) == 0;
}
