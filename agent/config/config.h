/* SPDX-License-Identifier: MIT
 *
 * config: the agent's settings, from an INI file and its drop-ins or from the
 * command line.
 *
 * Loading checks everything and reports every mistake of all files in one run,
 * each with file, line and, for an unknown name, the nearest known one.  The
 * result is never changed afterwards; SIGHUP loads a new one and the daemon
 * applies the differences.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/err.h"

enum { CONFIG_SETTINGS_MAX = 64 }; /* more than the table has */

/* Everything wrong with the files, one message per line. */
enum { CONFIG_ERRORS_MAX = 500 }; /* one more says that there are more */
struct config_errors {
    char **lines; /* "FILE:LINE: words" */
    struct config_spot {
        char *file;          /* NULL: none of its own */
        unsigned line;       /* 0: none */
        const char *setting; /* of the table, or NULL */
    } * spots;
    size_t count;
};
void config_errors_deinit(struct config_errors *e);

/* A line of one of the files. */
struct config_at {
    unsigned file; /* of struct config's `files` */
    unsigned line; /* 0: none */
};
#define CONFIG_MAIN ((struct config_at){0, 0}) /* the first file as a whole */

/* The places that a section and its settings stand at, for messages that come
 * after all was read, and what is written there (a path made whole, NULL where
 * it was refused).  `at` and `text` are by the table's rows. */
struct config_where {
    struct config_at head;
    struct config_at at[CONFIG_SETTINGS_MAX];
    char *text[CONFIG_SETTINGS_MAX];
};

enum replica_kind { REPLICA_SSH, REPLICA_EXEC };

struct config_replica {
    char *name;
    enum replica_kind kind;
    /* ssh */
    char *host, *user, *identity /* NULL: ssh-agent */, *known_hosts, *path;
    uint16_t port;
    char *command; /* ssh: what is asked for (a forced command ignores
                      it); default "drover-replica receive PATH" */
    int64_t connect_timeout_ms, login_timeout_ms;
    int sndbuf_bytes, rcvbuf_bytes;
    /* exec: a NULL-terminated vector */
    char **argv;
    bool openssh; /* transport = openssh: `argv` runs its client */
    bool relaxed; /* durability = relaxed */
    bool paused;
    struct config_where where;
};

struct config {
    char *file;           /* NULL: from the command line */
    char **files;         /* that one, and its drop-ins as they were read */
    size_t files_count;   /* */
    char *dropins;        /* the directory of drop-ins; NULL: there is none */
    char *name;           /* of the database, for status and paths */
    char *path;           /* of the database, absolute */
    char *state_dir;      /* index cache, approvals; absolute */
    char *socket;         /* control socket, absolute */
    char *metrics_listen; /* listen_address.h; NULL: nowhere */
    char *control_group;  /* may be NULL: group that may change things */
    int64_t lock_timeout_ms; /* a key busy for longer is reported as blocked */
    int64_t settle_ms;
    int64_t lag_limit_ms; /* what is pending for longer is not healthy */
    int64_t rescan_ms;    /* periodic safety scan, 0: never */
    int64_t heartbeat_ms, silence_ms;
    int64_t backoff_max_ms;
    unsigned max_delete_percent;
    uint64_t max_delete_keys;
    uint64_t log_max_changes, log_max_bytes, cache_max_bytes;
    struct config_replica *replicas;
    size_t replicas_count;
    struct config_where where;
};

/* Load a file and its drop-ins (config_files.h); NULL and at least one line in
 * *errors when they are not good. */
struct config *config_load(const char *file, struct config_errors *errors);
/* What it would be if the drop-in of that whole path had this text, whatever it
 * has; NULL: were not there. */
struct config *config_load_as_if(const char *file, const char *dropin,
                                 const char *text,
                                 struct config_errors *errors);
/* From `drover agent DIR TARGET...`; TARGET = [USER@]HOST[:PORT]:PATH, a local
 * path (has a '/' before any ':' or begins with '.'), or exec:COMMAND. */
struct config *config_adhoc(const char *dir, const char *const *targets,
                            size_t n, struct config_errors *errors);
void config_free(struct config *c);                /* accepts NULL */
static inline void config_freep(struct config **c) /* for CLEANUP() */
{
    config_free(*c);
}
/* The replica of that name, or NULL. */
const struct config_replica *config_replica(const struct config *c,
                                            const char *name);
bool config_replica_equal(const struct config_replica *a,
                          const struct config_replica *b);

/* --- the table of settings ----------------------------------------------- */

enum setting_type {
    SETTING_TEXT,      /* any text */
    SETTING_PATH,      /* relative ones start at the first file's directory */
    SETTING_FAR_PATH,  /* of another host: as it stands */
    SETTING_HOST,      /* a host's name or address */
    SETTING_ACCOUNT,   /* a user's or group's name */
    SETTING_COMMAND,   /* words, as config_split_words() takes them */
    SETTING_LISTEN,    /* a loopback address and port, or a socket's path */
    SETTING_NAME,      /* letters, digits, '.', '_', '-' */
    SETTING_DURATION,  /* to int64_t milliseconds */
    SETTING_SIZE,      /* to uint64_t bytes */
    SETTING_BUFFER,    /* a size, to int */
    SETTING_COUNT,     /* to uint64_t */
    SETTING_PERCENT,   /* to unsigned */
    SETTING_PORT,      /* to uint16_t */
    SETTING_BOOL,      /* yes or no */
    SETTING_RELAXED,   /* durable or relaxed, to bool */
    SETTING_TRANSPORT, /* libssh2 or openssh, to bool */
};

/* When a running agent applies a change of it. */
enum setting_when {
    SETTING_LIVE,      /* at once */
    SETTING_RECONNECT, /* the replica is connected anew */
    SETTING_RESTART,   /* never: a reload that changes it is refused */
};

struct setting {
    const char *section; /* "database" or "replica" */
    const char *name;
    enum setting_type type;
    enum setting_when when;
    size_t offset;      /* in struct config or struct config_replica */
    uint64_t min, max;  /* in the unit of what is stored */
    const char *preset; /* default, as it would be written; "": none */
    const char *help;
};

/* All settings, in the order of the manual; ends with a NULL name. */
extern const struct setting CONFIG_SETTINGS[];
const struct setting *config_setting(const char *section, const char *name);
/* Parse `text` into the field of `object`, which is freed first where it is
 * text.  `dir` is where relative paths start. */
int config_set(const struct setting *s, void *object, const char *text,
               const char *dir, struct err *err) MUSTCHECK;
/* Do two objects have the same value of it? */
bool config_setting_equal(const struct setting *s, const void *a,
                          const void *b);
/* The value in the object, as it would be written (text in quotes); returns
 * `out`. */
const char *config_setting_text(const struct setting *s, const void *object,
                                char *out, size_t room);
/* NULL is a text, too. */
bool config_same_text(const char *a, const char *b);

/* Split into words as a shell would: blanks, '...', "..." and backslash; no
 * expansion of any kind.  A NULL-terminated vector for config_free_words(). */
int config_split_words(const char *text, char ***words_out,
                       struct err *err) MUSTCHECK;
void config_free_words(char **words);
/* Letters, digits, '.', '_', '-', at most 64, not beginning with '.' or '-'. */
bool config_name_is_good(const char *name);
void config_error_add(struct config_errors *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The same of a whole file, with "FILE: " in front. */
void config_error_in(struct config_errors *e, const char *file, const char *fmt,
                     ...) __attribute__((format(printf, 3, 4)));
/* The same, with "FILE:LINE: " in front; `setting` of the table, or NULL. */
void config_error_at(struct config_errors *e, const struct config *c,
                     struct config_at at, const char *setting, const char *fmt,
                     ...) __attribute__((format(printf, 5, 6)));
/* The name of the file, for messages. */
const char *config_file_of(const struct config *c, struct config_at at);
/* Where a setting stands, else where its section begins. */
struct config_at config_place(const struct config_where *w, const char *section,
                              const char *name);
/* It stands somewhere, perhaps with a value that was refused. */
bool config_is_written(const struct config_where *w, const char *section,
                       const char *name);
/* Make state_dir (0700) and the socket's directory where they are missing. */
int config_make_dirs(const struct config *c, struct err *err) MUSTCHECK;
/* Where ad hoc agents of this user have their sockets: a new string. */
char *config_adhoc_socket_dir(void);
/* "[USER@]HOST[:PORT]:PATH" into the replica; the user stays when none is
 * named. ERR_INVALID, ERR_NOMEM. */
int config_take_target(const char *text, struct config_replica *r,
                       struct err *err) MUSTCHECK;
/* The end of a replica that is in no configuration. */
void config_replica_deinit(struct config_replica *r);
/* New objects with every default in place (nothing that depends on others). */
struct config *config_preset(struct err *err);
bool config_preset_replica(struct config_replica *r, struct err *err);
/* "drover-replica receive 'PATH'": a new string. */
char *config_receive_command(const char *path);
