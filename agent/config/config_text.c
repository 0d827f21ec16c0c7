/* SPDX-License-Identifier: MIT
 *
 * config_text: see config_text.h.  Numbers and words with a fixed choice refuse
 * what they do not know by themselves; these are the kinds of free text. */
#include "agent/config/config_text.h"

#include <arpa/inet.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/quote.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_path(enum setting_type type)
{
    return type == SETTING_PATH || type == SETTING_FAR_PATH;
}

static bool is_free(enum setting_type type)
{
    return type == SETTING_TEXT || is_path(type) || type == SETTING_HOST ||
           type == SETTING_ACCOUNT || type == SETTING_COMMAND;
}

static int refuse(struct err *err, const char *text, const char *why)
{
    return err_set(err, ERR_INVALID, 0, "%s: %s", QUOTED_STR(text), why);
}

/* --- from anywhere ------------------------------------------------------- */

static int check_host(const char *text, struct err *err)
{
    static const char GOOD[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%";
    const char *colon = strchr(text, ':');

    if (strchr(text, '@') != NULL) {
        return refuse(err, text, "a host alone; the account is user = NAME");
    }
    if (text[0] == '[') {
        return refuse(err, text,
                      "write the address without brackets, and the "
                      "port as port = NUMBER");
    }
    if (text[strspn(text, GOOD)] != '\0') {
        return refuse(err, text, "neither a host's name nor its address");
    }
    struct in_addr address;
    if (text[strspn(text, "0123456789.")] == '\0' && text[0] != '\0' &&
        inet_aton(text, &address) == 0) {
        return refuse(err, text, "neither a host's name nor its address");
    }
    return colon != NULL && strchr(colon + 1, ':') == NULL
               ? refuse(err, text, "a host alone; the port is port = NUMBER")
               : 0;
}

static int check_path(enum setting_type type, const char *text, struct err *err)
{
    const char *slash = strchr(text, '/');
    const char *colon = strchr(text, ':');

    if (text[0] == '~' || text[0] == '$') {
        return refuse(err, text, "nothing is expanded: write the whole path");
    }
    if (slash != NULL && slash > text && slash[-1] == ':' && slash[1] == '/') {
        return refuse(err, text, "a path, not an address");
    }
    return colon != NULL && slash != NULL && colon < slash
               ? refuse(err, text,
                        type == SETTING_FAR_PATH
                            ? "a path alone; the host is host = HOST"
                            : "a path on this host; a replica's host has a "
                              "[replica NAME] with host = HOST")
               : 0;
}

static int check_account(const char *text, struct err *err)
{
    return text[strcspn(text, " \t,:/")] != '\0'
               ? refuse(err, text, "one name, without blanks, ',', ':' and '/'")
               : 0;
}

int config_check_text(enum setting_type type, const char *text, struct err *err)
{
    if (!is_free(type)) {
        return 0;
    }
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' && *p != '\t') {
            return refuse(err, text, "has a control character");
        }
    }
    /* ssh, drover-replica or a login shell would take it for an option. */
    if (text[0] == '-' && type != SETTING_TEXT && type != SETTING_PATH) {
        return refuse(err, text,
                      "must not begin with '-': that is an option to programs");
    }
    switch (type) {
    case SETTING_HOST:
        return check_host(text, err);
    case SETTING_PATH:
    case SETTING_FAR_PATH:
        return check_path(type, text, err);
    case SETTING_ACCOUNT:
        return check_account(text, err);
    case SETTING_TEXT:
    case SETTING_COMMAND:
    case SETTING_LISTEN:
    case SETTING_NAME:
    case SETTING_DURATION:
    case SETTING_SIZE:
    case SETTING_BUFFER:
    case SETTING_COUNT:
    case SETTING_PERCENT:
    case SETTING_PORT:
    case SETTING_BOOL:
    case SETTING_RELAXED:
    case SETTING_TRANSPORT:
        break;
    }
    return 0;
}

/* --- from a file --------------------------------------------------------- */

/* Where a quoted stretch of a command ends: behind its quote, or at the NUL. */
static const char *skip_quoted(const char *p)
{
    char quote = *p++;

    while (*p != '\0' && *p != quote) {
        p += *p == '\\' && quote == '"' && p[1] != '\0' ? 2 : 1;
    }
    return *p != '\0' ? p + 1 : p;
}

/* A word that begins with a comment's sign; in a command, outside quotes. */
static bool has_comment(enum setting_type type, const char *text)
{
    bool at_word = true;
    const char *p = text;

    while (*p != '\0') {
        if (at_word && (*p == '#' || *p == ';' ||
                        (p[0] == '/' && p[1] == '/' && p > text))) {
            return true;
        }
        at_word = is_blank(*p);
        if (type == SETTING_COMMAND && (*p == '\'' || *p == '"')) {
            p = skip_quoted(p);
        } else if (type == SETTING_COMMAND && *p == '\\' && p[1] != '\0') {
            p += 2;
        } else {
            p++;
        }
    }
    return false;
}

/* The bytes of a quotation mark at `p`, typewriter's or typographer's: 0, none.
 */
static size_t quote_mark(const char *p)
{
    static const char *const MARKS[] = {
        "\"",     "'",      "`",      "\u201c", "\u201d",
        "\u201e", "\u2018", "\u2019", "\u00ab", "\u00bb",
    };

    for (size_t i = 0; i < sizeof MARKS / sizeof *MARKS; i++) {
        size_t n = strlen(MARKS[i]);
        if (strncmp(p, MARKS[i], n) == 0) {
            return n;
        }
    }
    return 0;
}

static bool ends_with_quote(const char *text)
{
    size_t len = strlen(text);

    return (len > 1 && quote_mark(text + len - 1) == 1) ||
           (len > 2 && quote_mark(text + len - 2) == 2) ||
           (len > 3 && quote_mark(text + len - 3) == 3);
}

/* A program's path with blanks in it is quoted; any other command that is one
 * word with blanks was quoted as a whole. */
static bool is_quoted_whole(const char *text)
{
    char **words = NULL;
    struct err err;

    if (config_split_words(text, &words, &err) < 0) {
        return false; /* said where the command is split */
    }
    bool whole = words[1] == NULL && words[0][0] != '/' &&
                 strpbrk(words[0], " \t") != NULL;
    config_free_words(words);
    return whole;
}

static int check_quotes(enum setting_type type, const char *text,
                        struct err *err)
{
    bool wrong =
        type == SETTING_COMMAND
            ? quote_mark(text) > 1 || text[0] == '`' || is_quoted_whole(text)
            : quote_mark(text) > 0 || (text[0] != '/' && ends_with_quote(text));

    return wrong ? refuse(err, text, "write the value without quotes") : 0;
}

int config_check_line(enum setting_type type, const char *text, struct err *err)
{
    size_t len = strlen(text);

    if (has_comment(type, text)) {
        return refuse(err, text,
                      type == SETTING_COMMAND
                          ? "comments must be on lines of their own; quote "
                            "a word of the command that begins so"
                          : "comments must be on lines of their own");
    }
    if (!is_free(type)) {
        return 0;
    }
    if (text[0] == '=' || (text[0] == ':' && type != SETTING_HOST)) {
        return refuse(err, text, "one '=' between name and value");
    }
    if (type != SETTING_COMMAND && len > 0 &&
        (text[len - 1] == ';' || text[len - 1] == ',')) {
        return refuse(err, text, "nothing may follow a value");
    }
    return check_quotes(type, text, err);
}
