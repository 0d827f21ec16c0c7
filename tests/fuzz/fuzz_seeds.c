/* SPDX-License-Identifier: MIT
 *
 * fuzz_seeds: writes good inputs to start from, one folder per target:
 *
 *     fuzz_seeds FOLDER
 *
 * What is binary is made by the project's own encoders; texts are written out.
 * The corpora in the tree grew from these and were minimised (run.sh --merge).
 */
#include "tests/fuzz/fuzz.h"

#include "sync/index/index.h"
#include "tests/support/plain_key.h"
#include "tests/support/wire_recode.h"

static int top;

static void seed(const char *target, unsigned number, const void *data,
                 size_t n)
{
    char name[32];

    (void)mkdirat(top, target, 0755);
    int dir = openat(top, target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(dir >= 0);
    (void)snprintf(name, sizeof name, "seed-%02u", number);
    fuzz_file(dir, name, 0644, data, n);
    (void)close(dir);
}

/* `how`, then the text. */
static void text(const char *target, unsigned number, uint8_t how,
                 const char *text)
{
    struct buf b = BUF_NULL;

    buf_u8(&b, how);
    buf_put(&b, text, strlen(text));
    seed(target, number, b.data, b.len);
    buf_deinit(&b);
}

static void seed_wire(void)
{
    struct buf b = BUF_NULL;

    for (unsigned i = 0; wire_types[i] != 0; i++) {
        buf_clear(&b);
        buf_u8(&b, (uint8_t)(0x80 + i * 3));
        wire_samples(&b, wire_types[i]);
        wire_samples(&b, wire_types[i]);
        seed("wire", i, b.data, b.len);
    }
    buf_clear(&b);
    buf_put(&b, "\7login: \r\n", 10);
    wire_put_magic(&b);
    wire_samples(&b, WIRE_BYE);
    seed("wire", 90, b.data, b.len);
    buf_deinit(&b);
}

/* A frame as a step: its type, 16 bits of length, its body. */
static void frame_step(struct buf *out, enum wire_type type)
{
    struct buf b = BUF_NULL;

    wire_samples(&b, type);
    buf_u8(out, (uint8_t)type);
    buf_u16(out, (uint16_t)(b.len - WIRE_HEADER_BYTES));
    buf_put(out, b.data + WIRE_HEADER_BYTES, b.len - WIRE_HEADER_BYTES);
    buf_deinit(&b);
}

static void seed_receiver(void)
{
    struct buf b = BUF_NULL;

    for (unsigned i = 0; wire_types[i] != 0 && wire_types[i] <= WIRE_ZEROS;
         i++) {
        buf_clear(&b);
        buf_u8(&b, 5);
        buf_put(&b, "\xc6\0\1\0\xcf\xc6\1\2\2\xc6\1\2\3\xc6\1\2\4\xcf", 18);
        frame_step(&b, wire_types[i]);
        buf_put(&b, "\xcf\xc4\xc5\5\xc1\xff\x0f", 7);
        seed("receiver", i, b.data, b.len);
    }
    /* A raw stream that greets by itself. */
    buf_clear(&b);
    buf_put(&b, "\0\xc0\x08", 3);
    wire_put_magic(&b);
    frame_step(&b, WIRE_HELLO);
    frame_step(&b, WIRE_SET);
    buf_u8(&b, 0xcf);
    seed("receiver", 90, b.data, b.len);
    /* Locks, faults, a large value that fails. */
    static const char busy[] = "\x0d\xc2\3\xc6\1\1\0\xcf\xc3\x11\xc6\1\2\2"
                               "\xc6\1\2\3\xc1\xff\2\xcf\xc2\7\xcf";
    seed("receiver", 91, busy, sizeof busy - 1);
    buf_deinit(&b);
}

static void seed_primary(void)
{
    /* hello_ok, ready (wrong root), nodes (changed), listing, acks */
    static const char repair[] = "\x68\x72\1\5\0\0\xa0\3\1\2\3\xb0\x05"
                                 "\0\0\1\2\3\x80\0\3\x40\x41\x80\0\1\xf0\xf0";
    /* hello_ok, ready (right root), changes, acks, pong */
    static const char equal[] = "\x68\x72\0\5\0\0\xa0\0\x40\x22\x40\x26\x80\0"
                                "\0\x80\1\0\xf0\x71\0\5\0\0\xf0";
    static const char names[] = "\x68\x72\1\0\0\0\xa0\1\7\xb0\x43\1\2\3\xc0"
                                "\1\3abc\xf0\xf0\xd0\4\x70\0\1\0\0\xe8\xff\x0f";
    static const char cuts[] = "\x68\xd8\xd8\x68\xe0\x40\x45\x40\x46\xf0\xe0"
                               "\x81\0\2\x82\0\2\xe8\x00\x3f";
    struct buf b = BUF_NULL;

    seed("primary", 1, repair, sizeof repair - 1);
    seed("primary", 2, equal, sizeof equal - 1);
    seed("primary", 3, names, sizeof names - 1);
    seed("primary", 4, cuts, sizeof cuts - 1);
    for (unsigned i = 0; wire_types[i] != 0; i++) {
        buf_clear(&b);
        buf_put(&b, "\x68\x72\1\5\0\0\x40\x41", 8);
        frame_step(&b, wire_types[i]);
        buf_put(&b, "\xf0", 1);
        seed("primary", 10 + i, b.data, b.len);
    }
    buf_deinit(&b);
}

static void seed_config(void)
{
    text("config", 1, 0,
         "# comment\n[database]\nname = orders\npath = /srv/orders\n"
         "settle = 1s\nmax-delete = 20%\ncontrol-group = drover\n"
         "[replica eu-1]\nhost = eu1.example.net\nport = 2222\nuser = drover\n"
         "path = /srv/copy\nidentity = /etc/drover/id\nsndbuf = 64K\n"
         "[replica local]\ncommand = drover-replica receive '/srv/a b'\n"
         "durability = relaxed\npaused = yes\n");
    text("config", 2, 0, "[database]\npath=\n[replica x]\nhost=h\n[replica x]");
    text("config", 3, 4,
         "/srv/db\nbob@host:22:/srv/copy\n./local\n"
         "exec:ssh -p 22 'a b' drover\n[::1]:2222:/x");
    text("config", 4, 5, "one 'two three' \"fo\\\"ur\" fi\\ ve");
    text("config", 5, 6,
         "\1"
         "1.5s");
    text("config", 6, 6,
         "\6"
         "20M");
    text("config", 7, 7, "0640");
    text("config", 8, 7, "replace");
}

#define ED25519                                                                \
    "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

static void seed_ssh(void)
{
    text("ssh", 1, 0,
         "# hosts\nexample.net,10.0.0.1 ssh-ed25519 " ED25519 " comment\n"
         "@revoked * ssh-ed25519 " ED25519 "\n"
         "@cert-authority *.example.net ssh-ed25519 " ED25519 "\r\n"
         "|1|c2FsdA==|aGFzaA== ssh-ed25519 " ED25519 "\n");
    text("ssh", 2, 1,
         "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU"
         "AAAAEbm9uZQAAAAAAAAABAAAAMw==\n-----END OPENSSH PRIVATE KEY-----\n");
    text("ssh", 3, 1, "-----BEGIN EC PRIVATE KEY-----\nENCRYPTED\n");
    text("ssh", 4, 1, "ssh-ed25519 " ED25519);
    text("ssh", 5, 2, ED25519 "==");
    static const char key[] =
        "\3\0openssh-key-v1\0\0\0\0\4none\0\0\0\4none\0\0\0\0\0\0\0\1"
        "\0\0\0\x13\0\0\0\x0bssh-ed25519\0\0\0\0";
    seed("ssh", 6, key, sizeof key - 1);
    static const char pkcs8[] =
        "\3\1\x30\x2e\2\1\0\x30\5\6\3\x2b\x65\x70\4\x22";
    seed("ssh", 7, pkcs8, sizeof pkcs8 - 1);
}

static void seed_index(uint8_t how)
{
    static const struct index_ident ident = {
        .db_id = {1, 2, 3}, .root_dev = 4, .root_ino = 5, .boot = {.id = {6}}};
    static uint8_t bytes[65536];
    struct index *ix = index_new();
    struct err err;

    must(ix != NULL);
    for (uint64_t i = 0; i < 5; i++) {
        struct index_entry e = {.name =
                                    index_name_key(&plain_key, "t", 1, &i, 1),
                                .digest = {i, i},
                                .stat = {.ino = i, .ctime_ns = 5, .size = i}};
        must(index_put(ix, &e, &err) == 0);
    }
    must(index_save(ix, fuzz_dir(), "index", &ident, INT64_MAX, &err) == 0);
    index_free(ix);
    int fd = openat(fuzz_dir(), "index", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, bytes + 1, sizeof bytes - 1) : -1;
    must(n > 0);
    (void)close(fd);
    bytes[0] = how;
    seed("disk", how, bytes, (size_t)n + 1);
}

#define ID "000102030405060708090a0b0c0d0e0f"

static void seed_disk(void)
{
    seed_index(0);
    seed_index(1);
    text("disk", 2, 2,
         "drover-replica 1\ndatabase " ID "\nepoch 5\n"
         "watermark 17\n");
    text("disk", 3, 3, "db=" ID " epoch=5 seq=17 state=streaming\n");
    text("disk", 4, 4,
         "\x01"
         "db=" ID " instance=" ID " epoch=6 nonce=" ID " pid=17\n");
    text("disk", 14, 4,
         "\x01"
         "pid=17 since=1700000000 replica=eu-1\n");
    text("disk", 5, 5, ID "\n");
    text("disk", 6, 6, "12\n");
    text("disk", 7, 7, ID " /srv/db");
    text("disk", 9, 9,
         "\x01\x01\x09"
         "t../../etc"
         "\x02\x02\x01"
         "..k\x01\x01\x01"
         "tk");
    text("disk", 10, 10, "a/../../etc");
    text("disk", 15, 10, "users");
}

static void seed_text(void)
{
    text("text", 1, 0, "it's\n\xff \xc3\xa4 \xe2\x80\xae $HOME");
    text("text", 2, 1, "user \xff\"\\\t");
    text("text", 3, 2, "a.tbl/b");
    text("text", 4, 2, "bob.kv1234");
    text("text", 5, 3, "1.5GiB");
    text("text", 6, 3, "250ms");
    text("text", 7, 4,
         "1: FLOCK  ADVISORY  WRITE 812 08:01:4711 0 EOF\n"
         "1: -> FLOCK  ADVISORY  READ 9 08:01:4711 0 EOF\n");
    text("text", 8, 5,
         "{\"schema\":1,\"version\":\"1\",\"uptime_s\":5,\"healthy\":true,"
         "\"database\":{\"name\":\"o\",\"path\":\"/s\",\"keys\":5,"
         "\"state\":\"ok\",\"scan_age_s\":1.5},\"replicas\":[{\"name\":\"eu\","
         "\"target\":\"h:/x\",\"state\":\"streaming\",\"lag_s\":0.5,"
         "\"pending_keys\":4,\"error\":{\"id\":203,\"text\":\"t\","
         "\"hint\":\"h\"}}],\"blocked\":[{\"side\":\"replica\",\"table\":\"t\","
         "\"key_b64\":\"/w==\",\"pid\":4,\"comm\":\"x\",\"waited_s\":2}],"
         "\"blocked_count\":1,\"warnings\":[]}");
    text("text", 9, 5,
         "{\"mode\":\"verify\",\"elapsed_s\":1,\"replicas\":[{\"name\":\"eu\","
         "\"done\":true,\"missing\":1,\"extra\":2,\"different\":3,\"names\":["
         "{\"kind\":\"missing\",\"is_table\":false,\"table\":\"t\","
         "\"key\":\"k\"}]}],\"phase\":\"scanning\",\"waited_s\":4}");
}

static void seed_control(void)
{
    text("control", 1, 0,
         "{\"cmd\":\"status\",\"keys\":true}\n\1{\"cmd\":"
         "\"version\"}\n{\"cmd\":\"reload\"}\n");
    text("control", 2, 0,
         "{\"cmd\":\"wait\",\"replicas\":[\"eu\"],"
         "\"timeout_ms\":5}\n\2\2{\"cmd\":\"verify\","
         "\"content\":true}\n\2\3{\"cmd\":\"approve\","
         "\"replica\":\"eu\"}\n");
    text("control", 3, 1,
         "{\"cmd\":\"pause\",\"replicas\":[\"eu\"]}\n"
         "{\"cmd\":\"resume\"}\n{\"cmd\":\"resync\","
         "\"dry_run\":true}\n");
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
        return 64;
    }
    (void)mkdir(argv[1], 0755);
    top = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(top >= 0);
    seed_wire();
    seed_receiver();
    seed_primary();
    seed_config();
    seed_ssh();
    seed_disk();
    seed_text();
    seed_control();
    return 0;
}
