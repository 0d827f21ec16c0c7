/* SPDX-License-Identifier: MIT
 *
 * wire: the protocol's bytes.  PROTOCOL.md describes them for others; this
 * header is the same in C.  Pure: no descriptors, no clocks, no allocation
 * beyond the struct buf that is written to.
 *
 * A connection is, in each direction, an 8-byte magic and then frames:
 *
 *     u32 length of what follows | u8 type | body
 *
 * all little-endian.  Whatever stands before the magic is noise (a login shell
 * that prints, a nologin message) and is shown in the error.  Table names
 * travel as components, keys as bytes; never a path.  Every length is bounded
 * before it is believed, and both sides treat the other as hostile.
 *
 * The receiver (on the replica) sends its magic at once; the agent sends its
 * magic and HELLO at once; nothing else flows until HELLO_OK.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/bytes.h"
#include "store/base/err.h"
#include "store/layout/name.h"
#include "store/layout/value.h"

#define WIRE_MAGIC                                                             \
    "\x89"                                                                     \
    "DRV\r\n\x1a\n"
enum {
    WIRE_MAGIC_BYTES = 8,
    WIRE_PROTO_MIN = 2,
    WIRE_PROTO_MAX = 3,
    WIRE_PROTO_NONE = 0xffff,     /* no protocol will have this number */
    WIRE_HEADER_BYTES = 5,        /* length and type */
    WIRE_INLINE_MAX = 256 * 1024, /* largest value in a SET */
    WIRE_PIECE_MAX = 256 * 1024,  /* largest piece of a large value */
    WIRE_ZEROS_MAX = 64 << 20,    /* longest run of zeros in a ZEROS */
    WIRE_FRAME_MAX = 512 * 1024,  /* largest length field */
    WIRE_TEXT_MAX = 1024,         /* largest text in any frame */
    WIRE_NOISE_MAX = 64 * 1024,   /* noise looked through for the magic */
    WIRE_BATCH_MAX = 8192,        /* items in ACK, LISTING, RESOLVE */
    WIRE_COMM_MAX = 16,           /* command name in BLOCKED */
    WIRE_ORIGIN_BYTES = 8,        /* head of the instance */
    WIRE_KEY_BYTES = 32,          /* of name hashes and leaves */
    WIRE_DIRID_BYTES = 16,        /* a replica's own id */
};

/* Feature bits of the hello; a bit counts when both sides set it. */
enum {
    /* The primary may have lost its last changes: until the first PING that
     * says how fresh the replica is, what changes replace or delete there is
     * kept aside. */
    WIRE_FEATURE_KEEP = 1,
    /* SCAN may be asked to look only (WIRE_SCAN_VIEW), and keys that a scan
     * could not read are told with UNREAD. */
    WIRE_FEATURE_VIEW = 2,
    /* A SCAN or a RESOLVE ends those before it; an empty RESOLVE does no more
     * than that. */
    WIRE_FEATURE_NEWEST = 4,
    /* What a scan set and could not set of owners, groups and modes is told
     * with MODES. */
    WIRE_FEATURE_MODES = 8,
    /* What the receiver notices of edits made on its host is told with EDITED.
     */
    WIRE_FEATURE_EDITS = 16,
    /* A PING may say that the replica is known to differ, in its state. */
    WIRE_FEATURE_DIFFERS = 32,
    /* What the receiver comes to know of what cannot be read on its host, and
     * that it has gone, is told with BLIND. */
    WIRE_FEATURE_BLIND = 64,
    /* Of a HELLO with WIRE_PROTO_NONE alone, which no session begins with: the
     * receiver says how things stand there with FINDING and ends; it takes no
     * lock and changes nothing.  One that does not know the bit refuses the
     * protocol. */
    WIRE_FEATURE_CHECK = 1 << 16,
    WIRE_FEATURES_ALL = WIRE_FEATURE_KEEP | WIRE_FEATURE_VIEW |
                        WIRE_FEATURE_NEWEST | WIRE_FEATURE_MODES |
                        WIRE_FEATURE_EDITS | WIRE_FEATURE_DIFFERS |
                        WIRE_FEATURE_BLIND,
};

/* Every frame: its name and its number; below 32 the agent sends it, from 32 on
 * the receiver, BYE and ERROR are sent by either.  To add one, see
 * .github/ARCHITECTURE.md. */
#define WIRE_FRAMES(X)                                                         \
    X(HELLO, 1)                                                                \
    X(SET, 2)       /* a whole value, at most WIRE_INLINE_MAX */               \
    X(SET_BEGIN, 3) /* then PIECE*, SET_END or SET_ABORT */                    \
    X(PIECE, 4)                                                                \
    X(SET_END, 5)                                                              \
    X(SET_ABORT, 6)                                                            \
    X(DELETE, 7)                                                               \
    X(TABLE_SET, 8)  /* the table exists (may be empty) */                     \
    X(TABLE_DROP, 9) /* the table and all keys in it are gone */               \
    X(PING, 10)                                                                \
    X(SCAN, 11)    /* bring your index up to date with your disk */            \
    X(TREE, 12)    /* send the digests below a tree node */                    \
    X(LIST, 13)    /* send the entries of these buckets */                     \
    X(RESOLVE, 14) /* send the names of these name hashes */                   \
    X(BYE, 15)     /* clean end, either direction */                           \
    X(ERROR, 16)   /* fatal, either direction: number and text */              \
    X(SAME, 17)    /* the key has this digest still: you have the value */     \
    X(ZEROS, 18)   /* a piece of a large value that is all zeros */            \
    X(HELLO_OK, 32)                                                            \
    X(READY, 33)   /* the scan at start is done: digests are known */          \
    X(ACK, 34)     /* these changes are durable */                             \
    X(NAK, 35)     /* it could not be applied: send again later */             \
    X(BLOCKED, 36) /* this change waits for a reader's lock */                 \
    X(PONG, 37)                                                                \
    X(SCAN_DONE, 38)                                                           \
    X(NODES, 39)   /* answer to TREE: 256 digests */                           \
    X(LISTING, 40) /* part of the answer to LIST */                            \
    X(NAMES, 41)   /* part of the answer to RESOLVE */                         \
    X(NOTICE, 42)  /* text for the agent's log */                              \
    X(UNREAD, 43)  /* a scan could not read this key or table */               \
    X(MODES, 44)   /* owners, groups and modes that a scan met */              \
    X(EDITED, 45)  /* changed on the replica, not by the agent */              \
    X(BLIND, 46)   /* so much cannot be read there now */                      \
    X(FINDING, 47) /* one line of what a check found */

#define WIRE_FRAME_NUMBER(name, number) WIRE_##name = number,
enum wire_type { WIRE_FRAMES(WIRE_FRAME_NUMBER) };
#undef WIRE_FRAME_NUMBER

/* Durability of acknowledgements, chosen by the agent's configuration. */
enum wire_durability {
    WIRE_DURABLE = 0, /* value, name and directory are on disk */
    WIRE_RELAXED = 1, /* installed; the kernel writes it when it likes */
};

struct wire_hello {
    uint16_t proto_min, proto_max;
    uint32_t features;
    uint8_t db_id[16];
    uint64_t epoch;
    /* The first WIRE_ORIGIN_BYTES tell the primary's directory (all zero: not
     * known), the rest is random per agent process. */
    uint8_t instance[16];
    uint32_t heartbeat_ms; /* how often the agent sends PING */
    uint32_t silence_ms;   /* after this long without a frame: give up */
    uint8_t durability;    /* enum wire_durability */
    struct bytes replica;  /* the replica's name in the agent's config */
    struct bytes version;  /* program version, for status */
    /* The secret of name hashes and leaves (struct index_key); zero from an
     * agent that speaks protocol 1 only. */
    uint8_t key[WIRE_KEY_BYTES];
    /* From protocol 3 on (else zero), see dirid.h: the id of the directory that
     * must be there; zero: any may be. */
    uint8_t expected[WIRE_DIRID_BYTES];
    uint8_t anew; /* take what is there, and give it another id */
};

struct wire_hello_ok {
    uint16_t proto;
    uint32_t features;
    uint64_t epoch;    /* now stored on the replica */
    uint8_t was_empty; /* this replica had no database id before */
    struct bytes version;
    struct bytes host;               /* host name, for status */
    uint8_t dirid[WIRE_DIRID_BYTES]; /* protocol 3: the replica's own id */
};

/* SET, SAME, SET_BEGIN, DELETE, TABLE_SET, TABLE_DROP; unused members are zero.
 */
struct wire_change {
    uint64_t seq;
    struct bytes table; /* table name with '/' (decoded: in `scratch`) */
    struct bytes key;
    struct digest digest; /* SET, SAME: of the value */
    uint64_t size;        /* SET_BEGIN: expected bytes (may differ at end) */
    struct bytes value;   /* SET */
    char scratch[TABLE_MAX_BYTES]; /* decoder's place for the joined name */
};

struct wire_piece {
    uint64_t seq;
    struct bytes data; /* at most WIRE_PIECE_MAX */
};

struct wire_zeros {
    uint64_t seq;
    uint64_t length; /* 1 to WIRE_ZEROS_MAX */
};

struct wire_set_end {
    uint64_t seq;
    struct digest digest;
};

struct wire_ping {
    uint64_t id;
    int64_t
        fresh_ns;  /* CLOCK_REALTIME of the primary: every change made
                      before it is acknowledged by this replica; 0: unknown */
    uint64_t seq;  /* the watermark that goes with it */
    uint8_t state; /* enum replica_state, for the freshness file */
};

struct wire_pong {
    uint64_t id;
    struct digest root;
    uint64_t keys;
    uint64_t bytes;
    uint64_t replaced;  /* installs forced past a lock (policy `replace`) */
    uint64_t waiting;   /* changes deferred because of locks */
    uint8_t scanning;   /* a scan runs: the digest is not final */
    uint64_t scan_keys; /* its progress */
};

struct wire_ready {
    struct digest root;
    uint64_t keys;
    uint64_t tables;
    uint64_t reread; /* values read by the scan */
    uint64_t errors; /* keys it could not read */
    struct bytes first_error;
};

enum {
    WIRE_SCAN_CONTENT = 1, /* read every value, whatever its stat says */
    WIRE_SCAN_VIEW = 2,    /* leave the index as it is (view.h) */
    WIRE_SCAN_PERMS = 4,   /* ... but set owners, groups and modes */
};
struct wire_scan {
    uint64_t id;
    uint8_t how;
};
/* An id of TREE or LIST with this bit asks for what the last scan that looked
 * only has found, instead of for the index. */
#define WIRE_ID_VIEW (UINT64_C(1) << 63)
struct wire_scan_done {
    uint64_t id;
    struct wire_ready result;
};

/* Comes before the SCAN_DONE of its scan. */
/* What is not of the owner, group and mode of the receiver's settings. */
struct wire_modes {
    uint64_t id; /* of the scan */
    uint64_t set;
    uint64_t unset; /* the receiver may not, or was not to; such as: */
    int32_t sys;    /* errno there, 0: it was not to */
    uint8_t is_table;
    struct bytes table;
    struct bytes key;
    char scratch[TABLE_MAX_BYTES];
};
struct wire_unread {
    uint64_t id;
    uint8_t busy; /* a lock is held, or it changes; else `sys` */
    int32_t sys;  /* errno on the replica, 0: not known */
    uint8_t is_table;
    struct bytes table;
    struct bytes key;
    char scratch[TABLE_MAX_BYTES];
};

/* What was done by hand; the receiver's index has it already. */
enum wire_edit {
    WIRE_EDIT_CHANGED = 0, /* has another value, or is something else */
    WIRE_EDIT_ADDED,
    WIRE_EDIT_REMOVED,
    WIRE_EDIT_UNREAD,  /* cannot be read any more */
    WIRE_EDIT_UNNAMED, /* the names are not known */
};
struct wire_edited {
    uint64_t count; /* keys and tables, such as: */
    uint8_t how;    /* enum wire_edit */
    uint8_t is_table;
    struct bytes table;
    struct bytes key;
    char scratch[TABLE_MAX_BYTES];
};

/* As a scan would say it now: the receiver keeps what its last one said up to
 * date. */
struct wire_blind {
    uint64_t errors; /* keys and tables that cannot be read, such as: */
    struct bytes first_error;
};

/* node < 256: the 256 bucket digests below it; WIRE_TREE_TOP: the 256 nodes. */
enum { WIRE_TREE_TOP = 0xffff };
struct wire_tree {
    uint64_t id;
    uint16_t node;
};
struct wire_nodes {
    uint64_t id;
    uint16_t node;
    struct digest digests[256];
};

struct wire_list {
    uint64_t id;
    uint16_t count; /* buckets, at most WIRE_BATCH_MAX */
    uint16_t buckets[WIRE_BATCH_MAX];
};

/* LISTING: count times (name hash, value digest).  RESOLVE: count times name
 * hash.  `last` ends the answer.  Items are read with wire_item(). */
struct wire_items {
    uint64_t id;
    uint8_t last;
    uint16_t count;
    struct cur items;
};

/* One name of a NAMES frame. */
struct wire_name {
    struct digest name;
    uint8_t is_table;
    struct bytes table;
    struct bytes key;
    char scratch[TABLE_MAX_BYTES];
};

struct wire_nak {
    uint64_t seq;
    uint16_t code;     /* -ERR_* */
    int32_t sys;       /* errno on the replica */
    struct bytes text; /* names table and key */
};

struct wire_blocked {
    uint64_t seq;
    uint32_t pid;      /* holder on the replica's host, 0 unknown */
    struct bytes comm; /* its command name, or "uid N" */
    uint64_t waited_ms;
};

struct wire_error {
    uint16_t id; /* DR-nnn */
    struct bytes text;
    struct bytes hint; /* the next command to type; may be empty */
};

/* What a receiver that is asked for it found: see sync/check/finding.h. */
enum { WIRE_FINDING_WORST = 2 };
struct wire_finding {
    uint8_t level; /* enum finding_level: 0 ok, 1 warn, 2 fail */
    uint16_t id;   /* DR-nnn, 0: none */
    struct bytes what, text, hint;
};

/* --- encoding: each appends one whole frame to `out` (check out->bad) -----
 * Names were checked by the caller (key_check, table_check); texts are cut at
 * WIRE_TEXT_MAX.  TABLE_DROP never names the root table. */
void wire_put_magic(struct buf *out);
void wire_put_hello(struct buf *out, const struct wire_hello *m);
void wire_put_hello_ok(struct buf *out, const struct wire_hello_ok *m);
/* SET in two parts, so that a value encoded once goes to many replicas: the
 * shared part is table, key, digest and value (wire_set_body); the frame is
 * header, sequence, shared part.  size of the frame: body + 13. */
void wire_set_body(struct buf *out, const struct wire_change *m);
void wire_put_set(struct buf *out, uint64_t seq, const struct buf *body);
/* SAME, SET_BEGIN, DELETE, TABLE_SET, TABLE_DROP. */
void wire_put_change(struct buf *out, enum wire_type type,
                     const struct wire_change *m);
void wire_put_piece(struct buf *out, uint64_t seq, const void *p, size_t n);
void wire_put_zeros(struct buf *out, uint64_t seq, uint64_t length);
void wire_put_set_end(struct buf *out, uint64_t seq, struct digest digest);
void wire_put_set_abort(struct buf *out, uint64_t seq);
void wire_put_ping(struct buf *out, const struct wire_ping *m);
void wire_put_pong(struct buf *out, const struct wire_pong *m);
void wire_put_ready(struct buf *out, const struct wire_ready *m);
void wire_put_scan(struct buf *out, const struct wire_scan *m);
void wire_put_scan_done(struct buf *out, const struct wire_scan_done *m);
void wire_put_tree(struct buf *out, const struct wire_tree *m);
void wire_put_nodes(struct buf *out, uint64_t id, uint16_t node,
                    const struct digest digests[256]);
void wire_put_list(struct buf *out, uint64_t id, const uint16_t *buckets,
                   uint16_t count);
void wire_put_listing(struct buf *out, uint64_t id, bool last,
                      const struct digest (*items)[2], uint16_t count);
void wire_put_resolve(struct buf *out, uint64_t id, bool last,
                      const struct digest *names, uint16_t count);
/* NAMES is built item by item: begin, add*, end (which fills in the count).
 * add returns false, adding nothing, when the frame is full. */
struct wire_names_out {
    size_t start;
    uint16_t count;
};
void wire_names_begin(struct buf *out, struct wire_names_out *n, uint64_t id);
bool wire_names_add(struct buf *out, struct wire_names_out *n,
                    const struct wire_name *m);
void wire_names_end(struct buf *out, struct wire_names_out *n, bool last);
void wire_put_ack(struct buf *out, const uint64_t *seqs, uint16_t count);
void wire_put_nak(struct buf *out, const struct wire_nak *m);
void wire_put_blocked(struct buf *out, const struct wire_blocked *m);
void wire_put_finding(struct buf *out, const struct wire_finding *m);
void wire_put_notice(struct buf *out, const char *text);
void wire_put_unread(struct buf *out, const struct wire_unread *m);
void wire_put_modes(struct buf *out, const struct wire_modes *m);
void wire_put_edited(struct buf *out, const struct wire_edited *m);
void wire_put_blind(struct buf *out, const struct wire_blind *m);
void wire_put_error(struct buf *out, const struct wire_error *m);
void wire_put_bye(struct buf *out);

/* --- decoding ------------------------------------------------------------ */

/* Splits a byte stream into frames.  Owns a buffer of at most one frame. */
struct wire_in {
    struct buf in;
    size_t at;        /* consumed part of `in` */
    bool greeted;     /* the magic was seen */
    bool noisy;       /* bytes came before the magic */
    struct buf noise; /* the first 200 of them, for the error text */
    const char *peer; /* whom we expect, for the error text: "a drover
                         receiver" after wire_in_init() */
};

void wire_in_init(struct wire_in *w);
void wire_in_deinit(struct wire_in *w);
/* Append received bytes.  ERR_NOMEM. */
int wire_in_add(struct wire_in *w, const void *p, size_t n,
                struct err *err) MUSTCHECK;
/* The next whole frame: 1 = *type_out and *body_out (borrowed until the next
 * wire_in_* call), 0 = more bytes are needed, ERR_PROTO = not our protocol (the
 * message shows the first bytes, escaped) or a length beyond WIRE_FRAME_MAX. */
int wire_in_next(struct wire_in *w, enum wire_type *type_out,
                 struct bytes *body_out, struct err *err) MUSTCHECK;
/* Bytes not yet consumed. */
size_t wire_in_pending(const struct wire_in *w);
/* The stream ended: sets and returns the error that says so best.  ERR_PROTO
 * with what was printed instead of the magic, else ERR_CLOSED (in the middle
 * of a frame, before or after the magic). */
int wire_in_ended(const struct wire_in *w, struct err *err);

/* Each decodes one body: 0, or ERR_PROTO naming the frame and what is wrong
 * (short, too long, trailing bytes, an impossible key or table, a bound).
 * Borrowed pointers lead into the body (or m->scratch). */
int wire_get_hello(struct bytes b, struct wire_hello *m,
                   struct err *err) MUSTCHECK;
int wire_get_hello_ok(struct bytes b, struct wire_hello_ok *m,
                      struct err *err) MUSTCHECK;
int wire_get_change(enum wire_type type, struct bytes b, struct wire_change *m,
                    struct err *err) MUSTCHECK;
int wire_get_piece(struct bytes b, struct wire_piece *m,
                   struct err *err) MUSTCHECK;
int wire_get_zeros(struct bytes b, struct wire_zeros *m,
                   struct err *err) MUSTCHECK;
int wire_get_set_end(struct bytes b, struct wire_set_end *m,
                     struct err *err) MUSTCHECK;
int wire_get_set_abort(struct bytes b, uint64_t *seq,
                       struct err *err) MUSTCHECK;
int wire_get_ping(struct bytes b, struct wire_ping *m,
                  struct err *err) MUSTCHECK;
int wire_get_pong(struct bytes b, struct wire_pong *m,
                  struct err *err) MUSTCHECK;
int wire_get_ready(struct bytes b, struct wire_ready *m,
                   struct err *err) MUSTCHECK;
int wire_get_scan(struct bytes b, struct wire_scan *m,
                  struct err *err) MUSTCHECK;
int wire_get_scan_done(struct bytes b, struct wire_scan_done *m,
                       struct err *err) MUSTCHECK;
int wire_get_tree(struct bytes b, struct wire_tree *m,
                  struct err *err) MUSTCHECK;
int wire_get_nodes(struct bytes b, struct wire_nodes *m,
                   struct err *err) MUSTCHECK;
int wire_get_list(struct bytes b, struct wire_list *m,
                  struct err *err) MUSTCHECK;
/* LISTING, RESOLVE, NAMES, ACK (id and last are 0 for ACK). */
int wire_get_items(enum wire_type type, struct bytes b, struct wire_items *m,
                   struct err *err) MUSTCHECK;
/* The next item: 1, 0 at the end, ERR_PROTO (NAMES only). */
int wire_item_listing(struct wire_items *m, struct digest *name,
                      struct digest *value);
int wire_item_resolve(struct wire_items *m, struct digest *name);
int wire_item_ack(struct wire_items *m, uint64_t *seq);
int wire_item_name(struct wire_items *m, struct wire_name *name,
                   struct err *err) MUSTCHECK;
int wire_get_nak(struct bytes b, struct wire_nak *m, struct err *err) MUSTCHECK;
int wire_get_blocked(struct bytes b, struct wire_blocked *m,
                     struct err *err) MUSTCHECK;
int wire_get_unread(struct bytes b, struct wire_unread *m,
                    struct err *err) MUSTCHECK;
int wire_get_modes(struct bytes b, struct wire_modes *m,
                   struct err *err) MUSTCHECK;
int wire_get_blind(struct bytes b, struct wire_blind *m,
                   struct err *err) MUSTCHECK;
int wire_get_edited(struct bytes b, struct wire_edited *m,
                    struct err *err) MUSTCHECK;
int wire_get_finding(struct bytes b, struct wire_finding *m,
                     struct err *err) MUSTCHECK;
int wire_get_notice(struct bytes b, struct bytes *text,
                    struct err *err) MUSTCHECK;
int wire_get_error(struct bytes b, struct wire_error *m,
                   struct err *err) MUSTCHECK;
int wire_get_bye(struct bytes b, struct err *err) MUSTCHECK;

/* "SET", "HELLO_OK"...; "frame 77" for others (valid until this thread's next
 * call). */
const char *wire_type_name(enum wire_type type);
