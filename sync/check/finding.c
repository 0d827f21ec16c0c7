/* SPDX-License-Identifier: MIT
 *
 * finding: see finding.h. */
#include "sync/check/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/quote.h"

static void finding_deinit(struct finding *d)
{
    free(d->replica);
    free(d->what);
    free(d->text);
    free(d->hint);
}

void findings_deinit(struct findings *f)
{
    for (size_t i = 0; i < f->count; i++) {
        finding_deinit(&f->list[i]);
    }
    free(f->list);
    *f = (struct findings)FINDINGS_NULL;
}

/* Room for one more; false: out of memory. */
static bool reserve(struct findings *f)
{
    struct finding *list = realloc(f->list, (f->count + 1) * sizeof f->list[0]);

    if (list != NULL) {
        f->list = list;
    }
    return list != NULL;
}

void finding_put(struct findings *f, const struct finding *found)
{
    struct finding d = {
        .level = found->level,
        .id = found->id,
        .replica = strdup(found->replica),
        .what = strdup(found->what),
        .text = strdup(found->text),
        .hint = strdup(found->hint),
    };

    if (d.replica == NULL || d.what == NULL || d.text == NULL ||
        d.hint == NULL || !reserve(f)) {
        finding_deinit(&d);
        f->bad = true;
        return;
    }
    f->list[f->count++] = d;
}

/* They are borrowed only until they are copied. */
static void put_text(struct findings *f, enum finding_level level,
                     const char *what, int id, const char *hint,
                     const char *text)
{
    finding_put(
        f, &(struct finding){
               .level = level,
               .id = id,
               .replica =
                   (char *)(uintptr_t)(f->replica != NULL ? f->replica : ""),
               .what = (char *)(uintptr_t)what,
               .text = (char *)(uintptr_t)text,
               .hint = (char *)(uintptr_t)hint,
           });
}

__attribute__((format(printf, 6, 0))) static void
add(struct findings *f, enum finding_level level, const char *what, int id,
    const char *hint, const char *fmt, va_list args)
{
    CLEANUP(freep) char *text = NULL;

    if (vasprintf(&text, fmt, args) < 0) {
        text = NULL;
        f->bad = true;
        return;
    }
    put_text(f, level, what, id, hint, text);
}

void finding_ok(struct findings *f, const char *what, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add(f, FINDING_OK, what, 0, "", fmt, args);
    va_end(args);
}

void finding_warn(struct findings *f, const char *what, int id,
                  const char *hint, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add(f, FINDING_WARN, what, id, hint, fmt, args);
    va_end(args);
}

void finding_fail(struct findings *f, const char *what, int id,
                  const char *hint, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add(f, FINDING_FAIL, what, id, hint, fmt, args);
    va_end(args);
}

void finding_err(struct findings *f, enum finding_level level, const char *what,
                 const struct err *err, const char *hint)
{
    put_text(f, level, what, err->id, hint, err->msg);
}

enum finding_level findings_worst(const struct findings *f)
{
    enum finding_level worst = f->bad ? FINDING_FAIL : FINDING_OK;

    for (size_t i = 0; i < f->count; i++) {
        if (f->list[i].level > worst) {
            worst = f->list[i].level;
        }
    }
    return worst;
}

size_t findings_count(const struct findings *f, enum finding_level level)
{
    size_t n = 0;

    for (size_t i = 0; i < f->count; i++) {
        n += f->list[i].level == level;
    }
    return n;
}

const char *finding_word(enum finding_level level)
{
    static const char *const WORDS[] = {
        [FINDING_OK] = "ok",
        [FINDING_WARN] = "warn",
        [FINDING_FAIL] = "fail",
    };

    return WORDS[level];
}

/* --- as bytes ------------------------------------------------------------- */

/* finding = u8 level | u16 id | texts replica, what, text, hint;
 * text = u16 length, bytes */
enum { LIST_MAX = 10000 };

static void put_bytes(struct buf *b, const char *text)
{
    size_t n = strnlen(text, FINDING_TEXT_MAX);

    buf_u16(b, (uint16_t)n);
    buf_put(b, text, n);
}

void findings_encode(const struct findings *f, struct buf *b)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct finding *d = &f->list[i];

        buf_u8(b, (uint8_t)d->level);
        buf_u16(b, (uint16_t)d->id);
        put_bytes(b, d->replica);
        put_bytes(b, d->what);
        put_bytes(b, d->text);
        put_bytes(b, d->hint);
    }
}

/* A new string, harmless on a terminal; NULL: cut short, or out of memory. */
static char *take_text(struct cur *c)
{
    size_t n = cur_u16(c);
    const uint8_t *p = n <= FINDING_TEXT_MAX ? cur_take(c, n) : NULL;
    char *text = p != NULL ? malloc(n + 1) : NULL;

    if (text == NULL) {
        return NULL;
    }
    memcpy(text, p, n);
    text[n] = '\0';
    quote_tame(text);
    return text;
}

static int take_finding(struct cur *c, struct finding *d)
{
    uint8_t level = cur_u8(c);

    *d = (struct finding){
        .level =
            level <= FINDING_FAIL ? (enum finding_level)level : FINDING_FAIL,
        .id = cur_u16(c),
    };
    d->replica = take_text(c);
    d->what = take_text(c);
    d->text = take_text(c);
    d->hint = take_text(c);
    bool good = level <= FINDING_FAIL && d->replica != NULL &&
                d->what != NULL && d->text != NULL && d->hint != NULL;
    return good ? 0 : ERR_PROTO;
}

int findings_decode(struct findings *f, const void *bytes, size_t n,
                    struct err *err)
{
    struct cur c = cur_of(bytes, n);

    while (c.left > 0) {
        struct finding d;
        bool good = take_finding(&c, &d) == 0 && f->count < LIST_MAX;

        if (good) {
            finding_put(f, &d);
        }
        finding_deinit(&d);
        if (!good) {
            return err_set(err, ERR_PROTO, 0, "a list of findings is broken");
        }
    }
    return 0;
}
