/* SPDX-License-Identifier: MIT
 *
 * config_keys: every setting of drover.conf(5), once.  The parser,
 * check-config, reload and (through a test) the manual page all read this
 * table.
 *
 *   X(name, TYPE, WHEN, field, min, max, default, help)
 *
 * WHEN a reload applies a change of it: LIVE, at once; RECONNECT, the replica
 * is connected anew; RESTART, never: the reload is refused.
 *
 * Durations are in ms.  A default of "" is either required or worked out from
 * other settings; the help says which.
 */
#pragma once

#define MS_S 1000
#define MS_H (3600 * 1000)
#define MS_YEAR (UINT64_C(366) * 24 * MS_H)

#define CONFIG_DATABASE_SETTINGS(X)                                            \
    X("path", PATH, RESTART, path, 0, 0, "",                                   \
      "the database on this host; required")                                   \
    X("name", NAME, RESTART, name, 0, 0, "",                                   \
      "its name; default: the file's name without .conf")                      \
    X("state-dir", PATH, RESTART, state_dir, 0, 0, "",                         \
      "index cache; default: $STATE_DIRECTORY, else /var/lib/drover/NAME")     \
    X("socket", PATH, RESTART, socket, 0, 0, "",                               \
      "control socket; default: $RUNTIME_DIRECTORY/control.sock, "             \
      "else /run/drover/NAME/control.sock")                                    \
    X("control-group", ACCOUNT, RESTART, control_group, 0, 0, "",              \
      "members of this group may see key names and change things")             \
    X("metrics-listen", LISTEN, LIVE, metrics_listen, 0, 0, "",                \
      "serve metrics for Prometheus there: 127.0.0.1:9811, or a socket's "     \
      "path; default: nowhere")                                                \
    X("lock-timeout", DURATION, LIVE, lock_timeout_ms, 10, MS_H, "5s",         \
      "a key locked for longer is shown as blocked")                           \
    X("lag-limit", DURATION, LIVE, lag_limit_ms, 100, MS_YEAR, "30s",          \
      "a change pending for longer makes status unhealthy")                    \
    X("settle", DURATION, LIVE, settle_ms, 10, MS_H, "1s",                     \
      "how long a new empty file must stay empty to count as a value")         \
    X("rescan", DURATION, LIVE, rescan_ms, 0, MS_YEAR, "6h",                   \
      "time between safety scans; 0 is never")                                 \
    X("heartbeat", DURATION, LIVE, heartbeat_ms, 50, MS_H, "1s",               \
      "time between heartbeats")                                               \
    X("silence", DURATION, LIVE, silence_ms, 150, 24 * MS_H, "15s",            \
      "reconnect to a replica that was silent for this long")                  \
    X("backoff-max", DURATION, LIVE, backoff_max_ms, 100, 24 * MS_H, "1m",     \
      "maximum reconnect delay")                                               \
    X("max-delete", PERCENT, LIVE, max_delete_percent, 0, 100, "20%",          \
      "the brake: more deletes than this part of a replica's keys are held")   \
    X("max-delete-keys", COUNT, LIVE, max_delete_keys, 0, UINT64_MAX, "100",   \
      "up to this many deletes are never held")                                \
    X("log-max-changes", COUNT, LIVE, log_max_changes, 1000,                   \
      UINT64_C(1) << 32, "1000000",                                            \
      "changes remembered for replicas that are behind")                       \
    X("log-max-bytes", SIZE, LIVE, log_max_bytes, 1 << 20, UINT64_C(1) << 40,  \
      "128M", "memory for them")                                               \
    X("cache", SIZE, LIVE, cache_max_bytes, 64 * 1024, UINT64_C(1) << 40,      \
      "16M", "memory for values read once and sent to several replicas")

#define CONFIG_REPLICA_SETTINGS(X)                                             \
    X("host", HOST, RECONNECT, host, 0, 0, "",                                 \
      "the replica's host: connect with SSH")                                  \
    X("port", PORT, RECONNECT, port, 1, 65535, "22", "its SSH port")           \
    X("user", ACCOUNT, RECONNECT, user, 0, 0, "drover-recv",                   \
      "the account to log in to")                                              \
    X("path", FAR_PATH, RECONNECT, path, 0, 0, "",                             \
      "the database there; default: the same path as here")                    \
    X("transport", TRANSPORT, RECONNECT, openssh, 0, 0, "libssh2",             \
      "libssh2: the agent's own SSH; openssh: OpenSSH's client, with its "     \
      "configuration (ProxyJump, certificates, security keys)")                \
    X("identity", PATH, RECONNECT, identity, 0, 0, "",                         \
      "private key file, or the word agent for ssh-agent; "                    \
      "default: STATE-DIR/id_ed25519")                                         \
    X("known-hosts", PATH, RECONNECT, known_hosts, 0, 0,                       \
      "/etc/drover/known_hosts", "file with the host's key")                   \
    X("command", COMMAND, RECONNECT, command, 0, 0, "",                        \
      "with host: asked for instead of drover-replica receive PATH; "          \
      "without host: run here, spoken to over its stdin and stdout")           \
    X("connect-timeout", DURATION, RECONNECT, connect_timeout_ms, 100, MS_H,   \
      "10s", "for name lookup and the TCP connection")                         \
    X("login-timeout", DURATION, RECONNECT, login_timeout_ms, 100, MS_H,       \
      "20s", "for each step of the SSH login")                                 \
    X("durability", RELAXED, RECONNECT, relaxed, 0, 0, "durable",              \
      "durable: acknowledged changes survive power loss; relaxed: not")        \
    X("paused", BOOL, RECONNECT, paused, 0, 0, "no", "start paused")           \
    X("sndbuf", BUFFER, RECONNECT, sndbuf_bytes, 0, 64 * 1024 * 1024, "0",     \
      "socket send buffer; 0 is the kernel's choice")                          \
    X("rcvbuf", BUFFER, RECONNECT, rcvbuf_bytes, 0, 64 * 1024 * 1024, "0",     \
      "socket receive buffer; 0 is the kernel's choice")
