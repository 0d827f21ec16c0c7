/* SPDX-License-Identifier: MIT
 *
 * fuzz_text: names, numbers and objects as text: what people type, what is
 * shown to them, what programs read.
 *
 * Input: a byte that chooses, then bytes: a name (quoted for a shell, a log and
 * JSON, and read back); a duration or a size; lines of /proc/locks; a
 * directory's entry; an object of the agent, rendered for a terminal.
 *
 * What was quoted is got back exactly; nothing shown acts on a terminal; what
 * is a key's file name is that of one key alone.
 */
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <sys/sysmacros.h>

#include "agent/cli/render/render.h"
#include "store/base/json_out.h"
#include "store/base/quote.h"
#include "store/base/units.h"
#include "store/layout/lock.h"
#include "store/layout/name.h"

/* --- names --------------------------------------------------------------- */

static unsigned hex_digit(char c)
{
    must((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

/* One escape of $'...' as bash reads it; returns what comes after it. */
static const char *unescape(const char *p, struct buf *out)
{
    static const char letters[] = "abfnrtve\\'\"",
                      bytes[] = "\a\b\f\n\r\t\v\033\\'\"";
    const char *at = strchr(letters, *p);

    must(*p != '\0');
    if (at != NULL) {
        buf_u8(out, (uint8_t)bytes[at - letters]);
        return p + 1;
    }
    must(p[0] == 'x' && p[1] != '\0' && p[2] != '\0');
    buf_u8(out, (uint8_t)(hex_digit(p[1]) * 16 + hex_digit(p[2])));
    return p + 3;
}

/* A shell word as bash reads it. */
static void unquote(const char *p, struct buf *out)
{
    while (*p != '\0') {
        if (p[0] == '$' && p[1] == '\'') {
            for (p += 2; *p != '\'';) {
                must(*p != '\0');
                if (*p == '\\') {
                    p = unescape(p + 1, out);
                } else {
                    buf_u8(out, (uint8_t)*p++);
                }
            }
            p++;
        } else if (*p == '\'') {
            for (p++; *p != '\''; p++) {
                must(*p != '\0');
                buf_u8(out, (uint8_t)*p);
            }
            p++;
        } else if (*p == '\\') {
            must(p[1] != '\0');
            buf_u8(out, (uint8_t)p[1]);
            p += 2;
        } else {
            must(strchr(" \t\n\"$`&|;<>()*?[]#~!{}", *p) == NULL);
            buf_u8(out, (uint8_t)*p++);
        }
    }
}

static void same_bytes(const struct buf *b, struct cur in)
{
    must(!b->bad && b->len == in.left);
    must(in.left == 0 || memcmp(b->data, in.p, in.left) == 0);
}

static void try_quote(struct cur in)
{
    struct buf word = BUF_NULL, back = BUF_NULL;
    size_t room = QUOTE_ROOM(in.left);
    char *text = malloc(room), small[16];

    must(text != NULL);
    quote_shell_buf(&word, in.p, in.left);
    buf_u8(&word, 0);
    quote_shell(text, room, in.p, in.left);
    must(strcmp(text, (char *)word.data) == 0);
    fuzz_is_tame(text, strlen(text), "");
    must(quote_is_utf8(text, strlen(text)));
    if (memchr(in.p, '\0', in.left) == NULL) {
        unquote(text, &back);
        same_bytes(&back, in);
    }
    quote_log(text, room, in.p, in.left);
    fuzz_is_tame(text, strlen(text), "");
    must(strlen(quote_shell(small, sizeof small, in.p, in.left)) < 16);
    must(quote_is_utf8(small, strlen(small)));
    must(strlen(quote_table(small, sizeof small, in.p, in.left)) < 16);
    buf_deinit(&word);
    buf_deinit(&back);
    free(text);
}

/* The very bytes come out of what json_bytes() wrote. */
static void try_json(struct cur in)
{
    struct buf b = BUF_NULL;
    struct json_out j = {.buf = &b};
    json_error_t why;

    json_begin_object(&j, NULL);
    json_bytes(&j, "key", in.p, in.left);
    json_end_object(&j);
    must(!b.bad);
    json_t *o = json_loadb((char *)b.data, b.len, JSON_ALLOW_NUL, &why);
    must(o != NULL);
    json_t *plain = json_object_get(o, "key");
    must(json_is_string(plain));
    if (json_object_get(o, "key_b64") == NULL) {
        must(quote_is_utf8(in.p, in.left));
        must(json_string_length(plain) == in.left);
        must(in.left == 0 ||
             memcmp(json_string_value(plain), in.p, in.left) == 0);
    } else {
        must(!quote_is_utf8(in.p, in.left));
    }
    json_decref(o);
    buf_deinit(&b);
}

static void try_name(struct cur in)
{
    char file[KEY_FILE_BYTES], path[TABLE_PATH_BYTES];
    struct err err = {0};
    size_t len;

    if (key_check(in.p, in.left, &err) == 0) {
        key_file(in.p, in.left, file);
        must(strlen(file) == in.left + 3 && strchr(file, '/') == NULL);
        must(name_is_key(file, &len) && len == in.left);
        must(!name_is_temp(file));
    } else {
        fuzz_is_tame(err.msg, strlen(err.msg), "");
    }
    if (table_check(in.p, in.left, &err) == 0) {
        table_path(in.p, in.left, path);
        must(path[0] != '/' && strstr(path, "//") == NULL);
        must(strncmp(path, "../", 3) != 0 && strstr(path, "/../") == NULL);
        must(strcmp(path, META_DIR) != 0);
        must(strncmp(path, META_DIR "/", strlen(META_DIR) + 1) != 0);
    } else {
        fuzz_is_tame(err.msg, strlen(err.msg), "");
    }
    char *entry = fuzz_text(in.p, in.left);
    bool key = name_is_key(entry, &len);
    must(!key || len + 3 == strlen(entry));
    must(!key || !name_is_temp(entry));
    bool table = name_is_table(entry, &len);
    must(!table || (len > 0 && len + 4 == strlen(entry)));
    free(entry);
}

/* --- numbers ------------------------------------------------------------- */

static void try_units(struct cur in)
{
    char *text = fuzz_text(in.p, in.left), shown[UNITS_TEXT_BYTES];
    struct err err = {0};
    int64_t ns;
    uint64_t bytes;

    if (units_parse_duration(text, &ns, &err) == 0) {
        must(ns >= 0);
        must(strlen(units_duration(shown, ns)) < sizeof shown);
    } else {
        fuzz_is_tame(err.msg, strlen(err.msg), "");
    }
    if (units_parse_size(text, &bytes, &err) == 0) {
        must(strlen(units_bytes(shown, bytes)) < sizeof shown);
        must(strlen(units_count(shown, bytes)) < sizeof shown);
    } else {
        fuzz_is_tame(err.msg, strlen(err.msg), "");
    }
    if (in.left >= 8) {
        ns = (int64_t)cur_u64(&in);
        ns += ns == INT64_MIN; /* is not taken */
        must(strlen(units_duration(shown, ns)) < sizeof shown);
    }
    free(text);
}

/* --- /proc/locks --------------------------------------------------------- */

static struct cur locks_text;

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);

FILE *__wrap_fopen(const char *path, const char *mode)
{
    if (strcmp(path, "/proc/locks") != 0) {
        return strncmp(path, "/proc/", 6) == 0 ? NULL
                                               : __real_fopen(path, mode);
    }
    return fmemopen((void *)(uintptr_t)locks_text.p, locks_text.left, "r");
}

static void try_locks(struct cur in)
{
    struct stat st = {.st_ino = 4711, .st_dev = makedev(8, 1)};
    char comm[16];

    if (in.left > 0) {
        locks_text = in;
        must(lock_holder(&st, 0, comm) >= 0);
        must(lock_holder(&st, 1, comm) >= 0);
    }
}

/* --- objects ------------------------------------------------------------- */

static void try_render(struct cur in)
{
    json_error_t why;
    json_t *o = json_loadb((const char *)in.p, in.left, 0, &why);
    struct buf line = BUF_NULL;
    char *text = NULL;
    size_t n = 0;

    if (o == NULL) {
        return;
    }
    FILE *out = open_memstream(&text, &n);
    must(out != NULL);
    render_status(out, o, false);
    render_compare(out, o, 10, NULL);
    render_wait(out, o, 2);
    render_error(out, o);
    must(fclose(out) == 0);
    fuzz_is_tame(text, n, "\n");
    render_progress(&line, o);
    render_name(&line, o);
    fuzz_is_tame((char *)line.data, line.len, "");
    buf_deinit(&line);
    free(text);
    json_decref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 8192) {
        return 0;
    }
    struct cur in = cur_of(data, size);
    switch (cur_u8(&in) & 7) {
    case 0:
        try_quote(in);
        break;
    case 1:
        try_json(in);
        break;
    case 2:
        try_name(in);
        break;
    case 3:
        try_units(in);
        break;
    case 4:
        try_locks(in);
        break;
    default:
        try_render(in);
    }
    return 0;
}
