/* SPDX-License-Identifier: MIT
 *
 * quote: see quote.h.
 *
 * The text is made character by character; each is decoded as UTF-8 and falls
 * into one class, which decides how the whole is written. */
#include "store/base/quote.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum cls {
    CLS_SAFE,  /* needs no quoting anywhere */
    CLS_PLAIN, /* printable, but special to a shell */
    CLS_RAW,   /* must be escaped byte by byte */
};

/* Output that is either a fixed array, cut when full, or a growing buf. */
struct sink {
    char *out;
    size_t room; /* of out, without NUL */
    size_t len;
    struct buf *buf;
    bool full;
};

static void emit(struct sink *s, const char *text, size_t n)
{
    if (s->buf != NULL) {
        buf_put(s->buf, text, n);
        return;
    }
    if (s->full || n > s->room - s->len) {
        s->full = true;
        return;
    }
    memcpy(s->out + s->len, text, n);
    s->len += n;
}

static void emit_str(struct sink *s, const char *text)
{
    emit(s, text, strlen(text));
}

/* Length of the well-formed UTF-8 character at p, or 0. */
static size_t utf8_len(const uint8_t *p, size_t left, uint32_t *cp)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n;

    if (p[0] < 0x80) {
        *cp = p[0];
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        n = 2;
    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        n = 3;
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        n = 4;
    } else {
        return 0;
    }
    if (n > left) {
        return 0;
    }
    uint32_t c = p[0] & (0xffU >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (p[i] & 0x3fU);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return 0;
    }
    *cp = c;
    return n;
}

/* Characters that act on a terminal, or cannot be seen. */
static bool is_hidden(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xfffb) || c >= 0xe0000;
}

/* Class of the character at p; *n_out bytes belong to it. */
static enum cls class_of(const uint8_t *p, size_t left, size_t *n_out)
{
    uint32_t c = 0;
    size_t n = utf8_len(p, left, &c);

    *n_out = n > 0 ? n : 1;
    if (n == 0 || is_hidden(c)) {
        return CLS_RAW;
    }
    if (c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
        (c >= 'a' && c <= 'z')) {
        return CLS_SAFE;
    }
    return strchr("_-./:,+@%=", (int)c) != NULL ? CLS_SAFE : CLS_PLAIN;
}

static void emit_raw_byte(struct sink *s, uint8_t c)
{
    char hex[8];

    switch (c) {
    case '\n':
        emit_str(s, "\\n");
        break;
    case '\t':
        emit_str(s, "\\t");
        break;
    case '\r':
        emit_str(s, "\\r");
        break;
    default:
        (void)snprintf(hex, sizeof hex, "\\x%02x", c);
        emit_str(s, hex);
    }
}

/* Everything between $' and ', or in a log line; `also` needs a backslash. */
static void emit_escaped(struct sink *s, const uint8_t *p, size_t len,
                         char also)
{
    while (len > 0) {
        size_t n;
        if (class_of(p, len, &n) == CLS_RAW) {
            for (size_t i = 0; i < n; i++) {
                emit_raw_byte(s, p[i]);
            }
        } else if (*p == '\\' || *p == (uint8_t)also) {
            char esc[2] = {'\\', (char)*p};
            emit(s, esc, 2);
        } else {
            emit(s, (const char *)p, n);
        }
        p += n;
        len -= n;
    }
}

/* Character by character, so that a cut never splits one. */
static void emit_plain(struct sink *s, const uint8_t *p, size_t len)
{
    while (len > 0) {
        size_t n;
        (void)class_of(p, len, &n);
        emit(s, (const char *)p, n);
        p += n;
        len -= n;
    }
}

/* '...' with each ' written as '\'' . */
static void emit_single(struct sink *s, const uint8_t *p, size_t len)
{
    emit_str(s, "'");
    while (len > 0) {
        size_t n;
        (void)class_of(p, len, &n);
        if (*p == '\'') {
            emit_str(s, "'\\''");
        } else {
            emit(s, (const char *)p, n);
        }
        p += n;
        len -= n;
    }
    emit_str(s, "'");
}

static void emit_shell(struct sink *s, const uint8_t *p, size_t len)
{
    /* An empty word must be '', and zsh expands a leading =. */
    enum cls worst = len > 0 && *p != '=' ? CLS_SAFE : CLS_PLAIN;

    for (size_t i = 0, n; i < len; i += n) {
        enum cls c = class_of(p + i, len - i, &n);
        if (c > worst) {
            worst = c;
        }
    }
    if (worst == CLS_SAFE) {
        emit_plain(s, p, len);
    } else if (worst == CLS_PLAIN) {
        emit_single(s, p, len);
    } else {
        emit_str(s, "$'");
        emit_escaped(s, p, len, '\'');
        emit_str(s, "'");
    }
}

static struct sink sink_of(char *out, size_t room)
{
    static const size_t reserve = sizeof "...";

    assert(room >= 2 * reserve);
    return (struct sink){.out = out, .room = room - reserve};
}

static char *sink_end(struct sink *s)
{
    if (s->full) {
        memcpy(s->out + s->len, "...", 3);
        s->len += 3;
    }
    s->out[s->len] = '\0';
    return s->out;
}

char *quote_shell(char *out, size_t room, const void *bytes, size_t len)
{
    struct sink s = sink_of(out, room);

    emit_shell(&s, bytes, len);
    return sink_end(&s);
}

char *quote_log(char *out, size_t room, const void *bytes, size_t len)
{
    struct sink s = sink_of(out, room);

    emit_escaped(&s, bytes, len, '"');
    return sink_end(&s);
}

void quote_tame(char *text)
{
    uint8_t *p = (uint8_t *)text;
    size_t len = strlen(text);

    while (len > 0) {
        size_t n;
        if (class_of(p, len, &n) == CLS_RAW) {
            memset(p, '?', n);
        }
        p += n;
        len -= n;
    }
}

void quote_shell_buf(struct buf *b, const void *bytes, size_t len)
{
    struct sink s = {.buf = b};

    emit_shell(&s, bytes, len);
}

bool quote_is_utf8(const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    while (len > 0) {
        uint32_t c;
        size_t n = utf8_len(p, len, &c);
        if (n == 0) {
            return false;
        }
        p += n;
        len -= n;
    }
    return true;
}

char *quote_table(char *out, size_t room, const void *name, size_t len)
{
    if (len == 0) {
        assert(room > sizeof "(root)");
        (void)snprintf(out, room, "(root)");
        return out;
    }
    return quote_shell(out, room, name, len);
}
