/* SPDX-License-Identifier: MIT
 *
 * e2e_json: picks one thing out of the last line of JSON on stdin, for scripts.
 *
 *     e2e_json PATH       such as  replicas[name=r1].error.id
 *
 * A step is .FIELD, [NUMBER], [FIELD=TEXT] (the first element that has it) or
 * [#] (how many elements).  Prints text as it is, everything else as JSON, and
 * "null" for what is not there.  Exit status 1: stdin was no JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* The first element whose field (a text or a number) reads `text`. */
static json_t *find(json_t *array, const char *field, const char *text)
{
    json_t *o;
    size_t i;
    char number[32];

    json_array_foreach(array, i, o) {
        json_t *v = json_object_get(o, field);
        (void)snprintf(number, sizeof number, "%lld",
                       (long long)json_integer_value(v));
        const char *has = json_is_integer(v) ? number : json_string_value(v);
        if (has != NULL && strcmp(has, text) == 0) {
            return o;
        }
    }
    return NULL;
}

static json_t *step_bracket(json_t *at, char *inner)
{
    char *equals = strchr(inner, '=');

    if (strcmp(inner, "#") == 0) {
        return json_integer((json_int_t)json_array_size(at));
    }
    if (equals == NULL) {
        return json_incref(json_array_get(at, strtoul(inner, NULL, 10)));
    }
    *equals = '\0';
    return json_incref(find(at, inner, equals + 1));
}

/* Takes `at`. */
static json_t *walk(json_t *at, char *path)
{
    while (*path != '\0' && at != NULL) {
        json_t *next;
        char *end;
        if (*path == '[') {
            end = strchr(path, ']');
            if (end == NULL) {
                exit(64);
            }
            *end++ = '\0';
            next = step_bracket(at, path + 1);
        } else {
            path += *path == '.';
            size_t n = strcspn(path, ".[");
            char field[128];
            (void)snprintf(field, sizeof field, "%.*s", (int)n, path);
            next = json_incref(json_object_get(at, field));
            end = path + n;
        }
        json_decref(at);
        at = next;
        path = end;
    }
    return at;
}

int main(int argc, char **argv)
{
    json_t *all = NULL, *one;
    json_error_t e = {.text = "nothing on stdin"};

    if (argc != 2) {
        return 64;
    }
    while ((one = json_loadf(stdin, JSON_DISABLE_EOF_CHECK, &e)) != NULL) {
        json_decref(all);
        all = one;
    }
    if (all == NULL) {
        (void)fprintf(stderr, "e2e_json: %s\n", e.text);
        return 1;
    }
    json_t *found = walk(all, argv[1]);
    if (json_is_string(found)) {
        (void)puts(json_string_value(found));
    } else if (found == NULL) {
        (void)puts("null");
    } else {
        (void)json_dumpf(found, stdout, JSON_ENCODE_ANY | JSON_COMPACT);
        (void)puts("");
    }
    json_decref(found);
    return 0;
}
