/* SPDX-License-Identifier: MIT
 *
 * state: the words and texts of state.h, as tables.  A hint says the next
 * thing to do, where possible the command to type; REPLICA, HOST, DIR, FILE and
 * the like stand for names that hint.h fills in. */
#include "sync/errors/state.h"

#include <stddef.h>

const char *replica_state_word(enum replica_state s)
{
    static const char *const words[] = {
        [REPLICA_CONNECTING] = "connecting",
        [REPLICA_INITIAL] = "initial",
        [REPLICA_CATCHUP] = "catchup",
        [REPLICA_STREAMING] = "streaming",
        [REPLICA_RETRYING] = "retrying",
        [REPLICA_PAUSED] = "paused",
        [REPLICA_HELD] = "held",
        [REPLICA_FAILED] = "failed",
    };
    size_t n = (size_t)s;

    return n < sizeof words / sizeof words[0] ? words[n] : "unknown";
}

struct dr_row {
    enum dr_id id;
    const char *text;
    const char *hint;
};

static const struct dr_row rows[] = {
    {DR_WATCH_LIMIT, "the kernel allows no more inotify watches",
     "raise the limit: sysctl fs.inotify.max_user_watches=1048576 (and put it "
     "in /etc/sysctl.d/)"},
    {DR_INSTANCE_LIMIT, "the kernel allows no more inotify instances",
     "raise the limit: sysctl fs.inotify.max_user_instances=1024 (and put it "
     "in /etc/sysctl.d/)"},
    {DR_UNREADABLE, "the agent may not read some keys or tables",
     "run the agent as the database's owner or with CAP_DAC_READ_SEARCH; who "
     "owns it: ls -ln DIR"},
    {DR_NOT_OUR_DATABASE,
     "the directory is not the database the agent was started with",
     "is it mounted? findmnt -T DIR; nothing is deleted on replicas "
     "meanwhile; put it back, and it goes on by itself; if it was moved on "
     "purpose, correct path in the configuration and restart the agent"},
    {DR_NO_IDENTITY,
     "the database has no identity and the agent cannot make "
     "one",
     "as the database's owner: drover init DIR"},
    {DR_STATE_DIR, "the agent's state cannot be written",
     "check space and owner of the state directory: df -h DIR; ls -ld DIR; "
     "until then a restart reads every value again"},
    {DR_BLOCKED, "a key of the primary stays locked",
     "see what the process that holds the lock is doing: ps -fp PID; the key "
     "is sent as soon as it can be read"},
    {DR_CHANGING, "a key changes each time while it is read",
     "who writes it? fuser -v DIR/TABLE.tbl/KEY.kv; it is sent as soon as it "
     "stands still for "
     "as long as a copy takes, or is replaced by rename as flockd does"},
    {DR_IS_REPLICA, "the agent's directory is a replica, not a primary",
     "stop this agent: the database's primary is elsewhere; if this copy is to "
     "become the primary: drover-replica promote DIR"},
    {DR_COVERED, "a mount or a link is in a table's place",
     "what is it? findmnt -T DIR/TABLE.tbl; ls -ld DIR/TABLE.tbl; take it away "
     "(umount "
     "DIR/TABLE.tbl); what it hides is neither read nor deleted meanwhile"},
    {DR_POOR_FILESYSTEM,
     "the database is on a file system where changes go unseen",
     "which? findmnt -T DIR; move it to a local disk, or set rescan in the "
     "configuration to how late such a change may be found"},
    {DR_PASSED_OVER, "programs here read what no replica has",
     "what is there? ls -la DIR; a link: put the table itself in its place "
     "(stop its writers, rm the link, mv); no flockd database: restart the "
     "agent with the right path"},
    {DR_CONNECT, "the replica's host cannot be reached",
     "try by hand, as the agent's user: SSH true"},
    {DR_HOST_KEY_UNKNOWN, "the host's key is not in the known_hosts file",
     "compare the fingerprint on the host's console (ssh-keygen -lf "
     "/etc/ssh/ssh_host_ed25519_key.pub), then add it: ssh-keyscan -t ed25519 "
     "-p PORT HOST >>FILE"},
    {DR_HOST_KEY_CHANGED,
     "the host shows another key than the known_hosts file has",
     "if it was not reinstalled, someone may be in between: change nothing; if "
     "it was: compare on its console, then: ssh-keygen -R KNOWN -f FILE; "
     "ssh-keyscan -p PORT HOST >>FILE; drover reload"},
    {DR_KNOWN_HOSTS, "the known_hosts file cannot be used",
     "make it readable by the agent and one that ssh accepts too: ssh-keygen "
     "-l -f FILE"},
    {DR_AUTH, "the host refused the login key",
     "is the public key in ~USER/.ssh/authorized_keys there, and the account "
     "unlocked? on HOST: journalctl -u ssh -n 20; it is tried again after "
     "minutes, at once with: drover reload"},
    {DR_RSA_KEY, "an RSA key cannot log in with this SSH library",
     "make another: ssh-keygen -t ed25519 -N '' -f FILE, and add its .pub to "
     "authorized_keys on the host"},
    {DR_KEY_FILE, "the login key's file cannot be used",
     "the agent must be able to read it and it must have no passphrase: "
     "ssh-keygen -y -P '' -f FILE"},
    {DR_HANDSHAKE, "the SSH handshake failed",
     "on HOST: journalctl -u ssh -n 20; or use OpenSSH's client instead of "
     "host = ...: command = SSH RECEIVE"},
    {DR_LINK_LOST, "the link broke or fell silent",
     "nothing to do: it reconnects by itself; if it repeats: ping HOST, and "
     "on HOST: journalctl -u ssh -n 20"},
    {DR_NOISE, "something prints before the receiver speaks",
     "the login shell or a profile prints, or the account is not allowed to "
     "log in; must print nothing: SSH true"},
    {DR_NO_RECEIVER, "the receiver program was not found on the replica",
     "install drover there, or correct the path in command=\"...\" of "
     "authorized_keys; on HOST: command -v drover-replica"},
    {DR_CHILD, "the receiver could not be started as a child process",
     "run the command of the message by hand; it must be in PATH and "
     "executable by the agent"},
    {DR_PROTOCOL, "the two ends do not understand each other",
     "install the same release on both hosts: drover version; on HOST: "
     "drover-replica version"},
    {DR_FLAPPING, "a link breaks again and again",
     "the message has the last reason; on HOST: journalctl -u ssh -n 20; do "
     "large packets pass? ping -M do -s 1472 HOST; it counts as mended after "
     "3 minutes, or with: drover reload"},
    {DR_RECEIVER_BUSY, "another receiver is already live on this replica",
     "two agents with the same target? see who it is on HOST: drover-replica "
     "status DIR; a left-over one ends by itself when its link falls silent"},
    {DR_OTHER_DATABASE, "the replica's directory holds another database's copy",
     "is the target path right? whose copy it is, on HOST: drover-replica "
     "status DIR; to give the directory up for this database: move DIR away "
     "and make an empty one"},
    {DR_OLD_EPOCH, "a newer primary has already written to this replica",
     "who is primary now? on HOST: drover-replica status DIR; if it is another "
     "one, this one's reign is over: its writers stop, and then, which gives "
     "up what only this host has: drover-replica demote PRIMARY"},
    {DR_REPLICA_DIR, "the replica's directory cannot be used",
     "on HOST, as the login user: ls -ld DIR; it must exist and belong to "
     "that user"},
    {DR_REPLICA_FULL, "the replica's disk or quota is full",
     "make room on HOST: df -h DIR; df -i DIR; it goes on by itself"},
    {DR_REPLICA_IO, "the replica's disk fails or became read-only",
     "on HOST: dmesg | tail; check the disk and mount it writable; the agent "
     "tries again by itself"},
    {DR_REPLICA_NOT_EMPTY,
     "the replica's directory holds keys that did not come from drover",
     "is the target path right? a copy of this database: drover-replica adopt, "
     "as the message has it; anything else: move it away (what is overwritten "
     "or removed there is lost)"},
    {DR_INSTALL, "a change cannot be applied on the replica",
     "the message names table and key; remove what is in the way on HOST; it "
     "is tried again by itself"},
    {DR_TWO_PRIMARIES, "the replica follows another primary of this database",
     "there are two: a copied disk, a restored backup, or two promoted "
     "replicas; which one the replica has followed, on HOST: drover-replica "
     "status DIR; if that one is wrong and this one right: stop this agent; "
     "drover-replica promote --epoch EPOCH PRIMARY; start it again; else it "
     "stays stopped"},
    {DR_IS_PRIMARY, "the target directory is a primary itself",
     "is it the right directory? whose it is, on HOST: drover-replica status "
     "DIR; a replica begins with an empty directory, or as a copy without its "
     ".drover; if it was promoted on purpose: man drover-replica"},
    {DR_EPOCH_JUMP, "the primary's epoch is too far above the one followed",
     "an epoch grows by one with each promotion: is this the right primary? "
     "what it says: drover status; what the replica has followed, on HOST: "
     "drover-replica status DIR; see drover-replica(1), receive"},
    {DR_LOCKED_THERE, "a reader on the replica keeps a key locked",
     "see what it is doing, on HOST: ps -fp PID; the value comes into place "
     "when it lets go; not to wait for readers: drover-replica receive "
     "--on-lock-timeout replace"},
    {DR_REPLICA_PERM, "the receiver may not write a key or table",
     "on HOST: ls -ld DIR/TABLE.tbl; lsattr -d DIR/TABLE.tbl "
     "DIR/TABLE.tbl/KEY.kv; they must belong to the login user, be writable "
     "for it, and not immutable"},
    {DR_REPLICA_MODES, "files on the replica keep another owner, group or mode",
     "on HOST: ls -ld DIR/TABLE.tbl; lsattr -d DIR/TABLE.tbl "
     "DIR/TABLE.tbl/KEY.kv; they must belong to the login user, and not be "
     "immutable; then: drover verify REPLICA"},
    {DR_REPLICA_BLANK, "a replica that was complete is empty now",
     "is its disk mounted? on HOST: findmnt -T DIR; nothing is written there "
     "meanwhile; if it is to be filled anew: drover resync --anew REPLICA"},
    {DR_REPLICA_OTHER, "another directory is where a complete replica was",
     "is the right disk mounted there, and the target right? on HOST: findmnt "
     "-T DIR; nothing is written there meanwhile; if this directory is to be "
     "the replica from now on: drover resync --anew REPLICA"},
    {DR_REPLICA_TWICE, "two replicas of the agent lead to one directory",
     "correct the target of one, or remove one; then: drover reload; if it is "
     "a copy of the other's directory, in another place: drover resync --anew "
     "REPLICA"},
    {DR_NESTED, "the target and a database lie in one another",
     "correct the replica's target (the database stays as it is): a directory "
     "of its own, beside the database; what is where, on HOST: drover-replica "
     "status DIR"},
    {DR_BRAKE, "more deletes than allowed are held back",
     "look first: drover approve --dry-run REPLICA; its last line says what to "
     "type to let exactly these through"},
    {DR_DIFFERENT, "the replica differs from the primary",
     "repair it: drover resync REPLICA"},
    {DR_UNDONE, "a replica was ahead of the primary after an unclean stop",
     "what it had is kept there: on its host, drover-replica undone list DIR; "
     "to have values back: drover-replica undone restore DIR OUT; shown until "
     "the agent is reloaded"},
    {DR_LAG, "changes are pending for longer than lag-limit",
     "is the link or the replica's disk slow? drover status shows its rate and "
     "silence; if this is how it should be, set a larger lag-limit"},
    {DR_CONFIG, "the configuration is not valid",
     "correct the line of the message, then: drover check-config FILE"},
    {DR_NO_AGENT, "no agent answers",
     "see the names: ls /etc/drover; is it running? systemctl status "
     "drover@NAME; or name its socket: --socket PATH"},
    {DR_NOT_PERMITTED, "this user may not give the agent orders",
     "run it as root, as the agent's user or as a member of its group"},
    {DR_NO_SUCH_REPLICA, "the agent has no replica of that name",
     "see the names: drover status"},
    {DR_TIMED_OUT, "it was not done within the time",
     "see what is behind: drover status; then again with a longer --timeout"},
};

static const struct dr_row *find(int id)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if ((int)rows[i].id == id) {
            return &rows[i];
        }
    }
    return NULL;
}

const char *dr_hint(int id)
{
    const struct dr_row *row = find(id);

    return row != NULL ? row->hint : "";
}

const char *dr_text(int id)
{
    const struct dr_row *row = find(id);

    return row != NULL ? row->text : "";
}
