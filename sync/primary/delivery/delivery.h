/* SPDX-License-Identifier: MIT
 *
 * delivery: from a replica's place in the log to an acknowledgement: what the
 * files of this room do for each other and for the rooms above. */
#pragma once

#include "sync/primary/delivery/frames.h"
#include "sync/primary/delivery/reading.h"
#include "sync/primary/primary_impl.h"

/* --- flights (sender.c) -------------------------------------------------- */

/* False: no memory; a comparison is due. */
bool sender_hint(struct primary *p, struct record *rec, uint64_t mask,
                 enum hint why);
/* ... for everybody who is to hear of it. */
bool sender_hint_all(struct primary *p, struct record *rec, enum hint why);
/* Events were lost: what is being read now, waits to be sent or is on its way
 * may be outdated, and its event missing.  It is read and sent once more: the
 * index must not hold it after the scan that follows, and a comparison sees
 * what a replica has, not what it is about to get. */
void sender_invalidate(struct primary *p);
/* The replica lost its places in the log: what is under way there may be
 * outdated by a change that it will not be told of, and arrive after a
 * comparison has looked.  It is read and sent once more. */
void sender_resend(struct primary *p, struct repl *r);
/* Take places from the log into flights as far as the window allows. */
void sender_advance(struct primary *p, struct repl *r);
void sender_advance_all(struct primary *p);
/* 1 = acknowledged, 0 = no such flight was sent. */
int sender_acked(struct primary *p, struct repl *r, uint64_t seq);
int sender_refused(struct primary *p, struct repl *r,
                   const struct wire_nak *nak);
/* The flight's stream was aborted: it is not sent again before the replica has
 * answered a ping, and what it says of the aborted attempt is ignored. */
void sender_abort_ping(struct primary *p, struct repl *r, struct flight *f);
void sender_ponged(struct primary *p, struct repl *r, uint64_t ping);
int sender_blocked(struct primary *p, struct repl *r,
                   const struct wire_blocked *m);
/* The link went: what was sent must be sent again, in the same places. */
void sender_rewind(struct primary *p, struct repl *r);
/* The session is live: what waits from before goes first. */
void sender_resume(struct primary *p, struct repl *r);
/* Forget all flights of the replica. */
void sender_drop(struct primary *p, struct repl *r);
int64_t sender_tick(struct primary *p);
/* The flight is over (acknowledged, or not needed): unlink and free it, and
 * let a held one of the same key go on. */
void flight_end(struct primary *p, struct flight *f);
/* What was just sent does not account for `missed`: the replica gets a flight
 * of its own for that, in the place where that hint came. */
void sender_follow(struct primary *p, struct repl *r, struct record *rec,
                   struct missed missed, const struct flight *but);
/* The index has what its flight was for; what is newer than that (!fresh) gets
 * a flight of its own.  So a key that changes all the time does not hold the
 * index' watermark. */
void sender_known(struct primary *p, struct flight *f, bool fresh,
                  struct missed missed);
/* Content arrived: all flights that waited for it go on. */
void sender_place(struct primary *p, struct record *rec);
/* The index has read a large value, or cannot (NULL): those that waited for its
 * digest go on. */
void sender_answer_ask(struct primary *p, struct record *rec,
                       const struct stream *read, const struct read_answer *l);

/* End what waits for the record's content; it may be gone afterwards. */
void sender_end_waiting(struct primary *p, struct record *rec);

/* --- new files that may be temporaries (unborn.c) ------------------------ */

/* Asked before the hint is counted: has the key's file been made before our
 * eyes, and nothing happened to it since that an event tells of? */
bool unborn_is_made(const struct primary *p, const struct record *rec,
                    enum hint why);
/* Everybody was told of the key. */
void unborn_forget(struct primary *p, struct digest name);
/* A look was answered.  True: that is all there is to do.  The file is unborn,
 * and what waited for it has ended (the record may be gone); or it was until
 * now, and everybody is to hear of it. */
bool unborn_read(struct primary *p, struct record *rec,
                 const struct read_answer *l);
/* A barrier comes: see that those before it have still committed nothing. */
void unborn_ask(struct primary *p);
/* Events were lost. */
void unborn_invalidate(struct primary *p);
/* Look at those again that it is time for; returns when the next one is. */
int64_t unborn_tick(struct primary *p);
void unborn_free(struct primary *p);

/* --- names that went (moved_out.c) ----------------------------------------- */

/* It was moved away, not removed. */
void moved_out_note(struct record *rec, int64_t now_ms);
/* A look found nothing.  True: that may change yet; look again later. */
bool moved_out_is_unproven(struct primary *p, struct record *rec);
/* A look found something that is no key in a key's place: no removal (the
 * record may be gone afterwards). */
void moved_out_covered(struct primary *p, struct record *rec);
/* A look failed (the same). */
void leaving_unread(struct primary *p, struct record *rec,
                    const struct read_answer *l);

/* --- streams (stream.c) -------------------------------------------------- */

/* The replica whose stream has this id, or NULL. */
struct repl *stream_find(struct primary *p, uint64_t id);
/* The stream is over; an answer still due will find no stream of its id. */
struct flight *stream_stop(struct primary *p, struct repl *r);
/* Ask for the next piece. */
void stream_read_on(struct primary *p, struct repl *r);
/* Put the names into an ACT_STREAM_OPEN that is about to be handed out; false
 * when its stream is over already. */
bool stream_names(struct primary *p, struct action *a);
void stream_start(struct primary *p, struct repl *r);
void stream_drop(struct primary *p, struct repl *r);
/* Ping `id` was answered. */
void stream_ponged(struct primary *p, struct repl *r, uint64_t id);
/* More pieces are wanted (the output has room). */
void stream_more(struct primary *p, struct repl *r);
