/* SPDX-License-Identifier: MIT
 *
 * state: the words for a replica's state, the same in status, logs, JSON, the
 * freshness file and the documents; and the numbers of operator-visible errors.
 */
#pragma once

enum replica_state {
    REPLICA_CONNECTING = 0, /* no session yet, first attempts */
    REPLICA_INITIAL = 1,    /* first copy: it never was equal */
    REPLICA_CATCHUP = 2,    /* connected, comparing or behind after an outage */
    REPLICA_STREAMING = 3,  /* connected, changes flow as they come */
    REPLICA_RETRYING = 4,   /* the link is down; will try again by itself */
    REPLICA_PAUSED = 5,     /* by the operator */
    REPLICA_HELD = 6,       /* the brake holds deletes: needs `approve` */
    REPLICA_FAILED = 7,     /* needs the operator: key, permission, identity */
};

/* "streaming"...; "unknown" outside the range. */
const char *replica_state_word(enum replica_state s);

/* Operator-visible error numbers (DR-nnn).  1xx this host, 2xx link and login,
 * 3xx the replica's receiver, 4xx the database and its comparison, 5xx
 * configuration and commands. */
enum dr_id {
    DR_NONE = 0,
    DR_WATCH_LIMIT = 101,      /* fs.inotify.max_user_watches */
    DR_INSTANCE_LIMIT = 102,   /* fs.inotify.max_user_instances */
    DR_UNREADABLE = 103,       /* keys or tables the agent may not read */
    DR_NOT_OUR_DATABASE = 104, /* root lost, replaced, or another id */
    DR_NO_IDENTITY = 105,      /* no id and no permission to make one */
    DR_STATE_DIR = 106,        /* the index cache cannot be written */
    DR_BLOCKED = 107,          /* a key stays locked on the primary */
    DR_COVERED = 108,          /* a mount or a link in a table's place */
    DR_POOR_FILESYSTEM = 109,  /* inotify does not tell all changes there */
    DR_IS_REPLICA = 110,       /* the agent's directory is a replica */
    DR_CHANGING = 111,         /* a key changes each time while it is read */
    DR_PASSED_OVER = 112,      /* links and such: on the primary alone */
    DR_CONNECT = 201, /* name lookup, refused, unreachable, timed out */
    DR_HOST_KEY_UNKNOWN = 202,
    DR_HOST_KEY_CHANGED = 203,
    DR_KNOWN_HOSTS = 204,       /* file missing, unreadable, @revoked */
    DR_AUTH = 205,              /* the server refused the key */
    DR_RSA_KEY = 206,           /* RSA cannot log in with this libssh2 */
    DR_KEY_FILE = 207,          /* missing, unreadable, passphrase */
    DR_HANDSHAKE = 208,         /* no common algorithms, or cut in handshake */
    DR_LINK_LOST = 209,         /* cut or silent after it worked */
    DR_NOISE = 210,             /* something prints before our protocol */
    DR_NO_RECEIVER = 211,       /* command missing on the replica (127) */
    DR_CHILD = 212,             /* link_exec: the child could not be started */
    DR_PROTOCOL = 213,          /* versions do not meet, or a broken frame */
    DR_FLAPPING = 214,          /* it breaks again and again */
    DR_RECEIVER_BUSY = 301,     /* another agent's receiver is live there */
    DR_OTHER_DATABASE = 302,    /* the replica holds another database's copy */
    DR_OLD_EPOCH = 303,         /* a newer primary has been there */
    DR_REPLICA_DIR = 304,       /* missing, not writable, not a directory */
    DR_REPLICA_FULL = 305,      /* ENOSPC, EDQUOT */
    DR_REPLICA_IO = 306,        /* EIO, EROFS: unhealthy disk */
    DR_REPLICA_NOT_EMPTY = 307, /* holds keys, but no database id */
    DR_INSTALL = 308,           /* one change cannot be applied there */
    DR_TWO_PRIMARIES = 309,     /* this epoch belongs to another primary */
    DR_IS_PRIMARY = 310,        /* the target is a primary itself */
    DR_EPOCH_JUMP = 311,        /* an epoch too far above the one followed */
    DR_LOCKED_THERE = 312,      /* a reader on the replica keeps a key locked */
    DR_REPLICA_PERM = 313,      /* the receiver may not write a key or table */
    DR_REPLICA_MODES = 314,     /* files with another owner, group or mode */
    DR_REPLICA_BLANK = 320,     /* it was complete, and now there is nothing */
    DR_REPLICA_OTHER = 321,     /* it was complete; now another one is there */
    DR_REPLICA_TWICE = 322, /* two of an agent's replicas are one directory */
    DR_NESTED = 323,        /* the target is a database, in one or around one */
    DR_BRAKE = 401,         /* deletes held */
    DR_DIFFERENT = 402,     /* verify found differences */
    DR_UNDONE = 403,        /* a replica was ahead after an unclean stop */
    DR_LAG = 404,           /* changes pending for longer than lag-limit */
    DR_CONFIG = 501,
    DR_NO_AGENT = 502, /* no agent answers on the control socket */
    DR_NOT_PERMITTED = 503,
    DR_NO_SUCH_REPLICA = 504,
    DR_TIMED_OUT = 505,
};

/* One line telling the operator what to do; "" when there is nothing. */
const char *dr_hint(int id);
/* One line saying what the number means; used by the manual's table. */
const char *dr_text(int id);
