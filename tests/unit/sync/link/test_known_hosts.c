/* SPDX-License-Identifier: MIT
 *
 * known_hosts, sshkey and heap: what is said about keys without an SSH
 * library.  Keys are made with ssh-keygen where one is needed (a test that
 * finds none is skipped), so that no private key lies in the tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sync/errors/state.h"
#include "sync/link/heap.h"
#include "sync/link/known_hosts.h"
#include "sync/link/sshkey.h"

static char dir[64];
static char path[128];

#define ED_KEY                                                                 \
    "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
#define ED "ssh-ed25519 " ED_KEY

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    (void)snprintf(dir, sizeof dir, "%s/drover-keys-XXXXXX",
                   tmp != NULL && strlen(tmp) < 32 ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/file", dir);
    return 0;
}

static int run(const char *fmt, const char *a, const char *b)
{
    char command[512];

    (void)snprintf(command, sizeof command,
                   "cd '%s' && a='%s' && b='%s' && { %s; } >out 2>&1", dir, a,
                   b, fmt);
    return system(command);
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static void write_bytes(const void *p, size_t n)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void load(struct known_hosts *kh, const char *text)
{
    struct err err;

    *kh = (struct known_hosts)KNOWN_HOSTS_NULL;
    write_bytes(text, strlen(text));
    if (known_hosts_load(kh, path, &err) < 0) {
        fail_msg("%s", err.msg);
    }
}

static void assert_line_refused(const char *text, const char *why)
{
    struct known_hosts kh = KNOWN_HOSTS_NULL;
    struct err err;

    write_bytes(text, strlen(text));
    assert_true(known_hosts_load(&kh, path, &err) < 0);
    assert_int_equal(err.id, DR_KNOWN_HOSTS);
    assert_non_null(strstr(err.msg, path));
    if (strstr(err.msg, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.msg, why);
    }
    known_hosts_deinit(&kh);
}

static void every_line_has_its_kind_and_number(void **state)
{
    static const enum known_kind kinds[] = {
        KNOWN_PLAIN, KNOWN_PLAIN,   KNOWN_PATTERN, KNOWN_PATTERN,
        KNOWN_CA,    KNOWN_REVOKED, KNOWN_PLAIN};
    static const unsigned numbers[] = {2, 4, 5, 6, 7, 8, 10};
    struct known_hosts kh;

    (void)state;
    load(&kh, "# comment\n"
              "a.example,10.0.0.1 " ED " a comment\r\n"
              "\n"
              "  [b.example]:2222\t" ED "\n"
              "*.example " ED "\n"
              "c.example,!d.example " ED "\n"
              "@cert-authority *.example " ED "\n"
              "@revoked * " ED "\n"
              "   # another\n"
              "|1|hash=|hash= " ED);
    assert_int_equal(kh.count, 7);
    assert_int_equal(kh.unsupported, 3);
    for (size_t i = 0; i < kh.count; i++) {
        assert_int_equal(kh.lines[i].kind, kinds[i]);
        assert_int_equal(kh.lines[i].number, numbers[i]);
        assert_string_equal(kh.lines[i].type, "ssh-ed25519");
        assert_int_equal(kh.lines[i].blob.len, 51);
    }
    assert_string_equal(kh.lines[1].hosts, "[b.example]:2222");
    known_hosts_deinit(&kh);
}

static void an_empty_file_knows_nobody(void **state)
{
    struct known_hosts kh;

    (void)state;
    load(&kh, "");
    assert_int_equal(kh.count, 0);
    known_hosts_deinit(&kh);
}

static void a_line_that_is_none_is_refused_by_number(void **state)
{
    (void)state;
    assert_line_refused("a " ED "\nnonsense\n", "line 2");
    assert_line_refused("a ssh-ed25519\n", "HOST TYPE KEY");
    assert_line_refused("@revoked\n", "line 1");
    assert_line_refused("@nobody a " ED "\n", "unknown marker");
    assert_line_refused("a ssh-ed25519 not*base64\n", "no valid key");
    assert_line_refused("a ssh-ed25519 AAAA\n", "no valid key");
    /* the type outside is not the type inside */
    assert_line_refused("a ecdsa-sha2-nistp256 " ED_KEY "\n", "no valid key");
}

static void files_that_are_no_text_files_are_refused(void **state)
{
    struct known_hosts kh = KNOWN_HOSTS_NULL;
    struct err err;

    (void)state;
    write_bytes("a\0b", 3);
    assert_true(known_hosts_load(&kh, path, &err) < 0);
    assert_non_null(strstr(err.msg, "NUL"));
    known_hosts_deinit(&kh);
    assert_true(known_hosts_load(&kh, dir, &err) < 0);
    assert_int_equal(err.id, DR_KNOWN_HOSTS);
    known_hosts_deinit(&kh);
    assert_true(known_hosts_load(&kh, "/nonexistent/kh", &err) < 0);
    assert_int_equal(err.code, ERR_NOTFOUND);
    known_hosts_deinit(&kh);
    assert_int_equal(run("rm -f fifo; mkfifo fifo", "", ""), 0);
    char fifo[128];
    (void)snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    assert_true(known_hosts_load(&kh, fifo, &err) < 0); /* and comes back */
    known_hosts_deinit(&kh);
}

static void a_revoked_key_is_found_by_its_bytes(void **state)
{
    struct known_hosts kh;

    (void)state;
    load(&kh, "a " ED "\n@revoked b " ED "\n");
    const struct buf *blob = &kh.lines[0].blob;
    const struct known_line *line =
        known_hosts_revoked(&kh, blob->data, blob->len);
    assert_non_null(line);
    assert_int_equal(line->number, 2);
    blob->data[50] ^= 1;
    assert_null(known_hosts_revoked(&kh, blob->data, blob->len));
    assert_int_equal(known_hosts_line_of(&kh, kh.lines[1].key64)->number, 1);
    assert_null(known_hosts_line_of(&kh, "AAAA"));
    known_hosts_deinit(&kh);
}

/* Flips and cuts a valid file; whatever comes of it must be an answer. */
static void damaged_files_are_answered_not_crashed_on(void **state)
{
    static const char good[] =
        "a,b " ED " c\n@revoked * " ED "\n|1|x|y " ED "\n";
    unsigned seed = (unsigned)time(NULL);

    (void)state;
    print_message("seed %u\n", seed);
    for (int i = 0; i < 3000; i++) {
        char text[sizeof good];
        struct known_hosts kh = KNOWN_HOSTS_NULL;
        struct err err;

        memcpy(text, good, sizeof good);
        size_t n = (size_t)rand_r(&seed) % sizeof good;
        for (int k = rand_r(&seed) % 8; k > 0; k--) {
            text[(size_t)rand_r(&seed) % (sizeof good - 1)] =
                (char)(rand_r(&seed) % 256);
        }
        write_bytes(text, n);
        int rc = known_hosts_load(&kh, path, &err);
        assert_true(rc == 0 || err.id == DR_KNOWN_HOSTS);
        known_hosts_deinit(&kh);
    }
}

/* Makes dir/name with ssh-keygen; skips where there is none. */
static void make_key(const char *name, const char *options)
{
    char command[384];

    if (system("command -v ssh-keygen >/dev/null") != 0) {
        print_message("no ssh-keygen here\n");
        skip();
    }
    (void)snprintf(command, sizeof command,
                   "cd '%s' && rm -f %s && ssh-keygen -q -f %s %s", dir, name,
                   name, options);
    assert_int_equal(system(command), 0);
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
}

static void a_fingerprint_is_the_one_ssh_keygen_shows(void **state)
{
    char print[SSHKEY_FINGERPRINT_BYTES];
    struct sshkey key;
    struct err err;

    (void)state;
    make_key("fp", "-t ed25519 -N ''");
    assert_int_equal(sshkey_load(&key, path, &err), 0);
    sshkey_fingerprint(key.blob.data, key.blob.len, print);
    assert_int_equal(run("ssh-keygen -lf $a | grep -qF \"$b\"", "fp", print),
                     0);
    sshkey_deinit(&key);
}

static void a_private_key_is_judged_by_what_it_holds(void **state)
{
    static const struct {
        const char *options;
        int id; /* 0: fine */
        const char *type;
        bool locked, blob;
    } rows[] = {
        {"-t ed25519 -N ''", 0, "ssh-ed25519", false, true},
        {"-t ed25519 -N secret", 0, "ssh-ed25519", true, true},
        {"-t ecdsa -N ''", 0, "ecdsa-sha2-nistp256", false, true},
        {"-t ecdsa -b 521 -N ''", 0, "ecdsa-sha2-nistp521", false, true},
        {"-t ecdsa -m PEM -N ''", 0, "", false, false},
        {"-t ecdsa -m PEM -N secret", 0, "", true, false},
        {"-t ecdsa -m PKCS8 -N ''", 0, "", false, false},
        {"-t ecdsa -m PKCS8 -N secret", 0, "", true, false},
        {"-t rsa -N ''", DR_RSA_KEY, NULL, false, false},
        {"-t rsa -N secret", DR_RSA_KEY, NULL, false, false},
        {"-t rsa -m PEM -N ''", DR_RSA_KEY, NULL, false, false},
        {"-t rsa -m PKCS8 -N ''", DR_RSA_KEY, NULL, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sshkey key;
        struct err err;

        make_key("id", rows[i].options);
        int rc = sshkey_load(&key, path, &err);
        if (rows[i].id != 0) {
            assert_true(rc < 0);
            assert_int_equal(err.id, rows[i].id);
            continue;
        }
        if (rc < 0) {
            fail_msg("%s: %s", rows[i].options, err.msg);
        }
        assert_string_equal(key.type, rows[i].type);
        assert_int_equal(key.locked, rows[i].locked);
        assert_int_equal(key.blob.len > 0, rows[i].blob);
        sshkey_deinit(&key);
    }
}

static void assert_key_refused(const char *text, const char *why)
{
    struct sshkey key;
    struct err err;

    (void)snprintf(path, sizeof path, "%s/file", dir);
    write_bytes(text, strlen(text));
    assert_int_equal(chmod(path, 0600), 0);
    assert_true(sshkey_load(&key, path, &err) < 0);
    assert_int_equal(err.id, DR_KEY_FILE);
    if (strstr(err.msg, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.msg, why);
    }
}

/* Its private half is an ssh-agent's; everybody may read it. */
static void a_public_key_is_known_as_one(void **state)
{
    struct sshkey key;
    struct err err;

    (void)state;

    (void)snprintf(path, sizeof path, "%s/file", dir);
    write_bytes(ED " me@here\n", strlen(ED " me@here\n"));
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(sshkey_load(&key, path, &err), 0);
    assert_true(key.is_public);
    assert_string_equal(key.type, "ssh-ed25519");
    assert_int_equal(key.blob.len, 51);
    sshkey_deinit(&key);
}

static void a_file_that_holds_no_usable_key_is_refused_with_words(void **state)
{
    (void)state;
    assert_key_refused("", "no private key");
    assert_key_refused("hello\n", "no private key");
    assert_key_refused("ssh-ed25519 AAAA\n", "damaged");
    assert_key_refused("ecdsa-sha2-nistp256 " ED_KEY "\n", "damaged");
    assert_key_refused("PuTTY-User-Key-File-3: ssh-ed25519\n", "puttygen");
    assert_key_refused("-----BEGIN DSA PRIVATE KEY-----\n", "type");
    assert_key_refused("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n",
                       "damaged");
    assert_key_refused("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"
                       "-----END OPENSSH PRIVATE KEY-----\n",
                       "damaged");
    assert_key_refused("-----BEGIN PRIVATE KEY-----\n"
                       "-----END PRIVATE KEY-----\n",
                       "damaged");
}

static void a_key_that_others_can_read_is_refused(void **state)
{
    struct sshkey key;
    struct err err;

    (void)state;
    make_key("open", "-t ed25519 -N ''");
    assert_int_equal(chmod(path, 0640), 0);
    assert_true(sshkey_load(&key, path, &err) < 0);
    assert_int_equal(err.id, DR_KEY_FILE);
    assert_non_null(strstr(err.msg, "chmod 600"));
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(sshkey_load(&key, path, &err), 0);
    sshkey_deinit(&key);
}

static void a_heap_refuses_beyond_its_bound_and_frees_what_is_left(void **state)
{
    struct heap h;

    (void)state;
    heap_init(&h, 1000);
    char *a = heap_get(&h, 600);
    assert_non_null(a);
    assert_null(heap_get(&h, 401));
    assert_null(heap_get(&h, SIZE_MAX));
    char *b = heap_get(&h, 400);
    assert_non_null(b);
    memset(a, 7, 600);
    assert_null(heap_resize(&h, a, 601)); /* and `a` is as it was */
    assert_int_equal(a[599], 7);
    a = heap_resize(&h, a, 100);
    assert_non_null(a);
    assert_int_equal(a[99], 7);
    assert_int_equal(h.bytes, 500);
    heap_free(&h, b);
    heap_free(&h, NULL);
    assert_int_equal(h.bytes, 100);
    assert_non_null(heap_resize(&h, NULL, 10));
    heap_deinit(&h); /* the sanitizer looks for the rest */
    assert_int_equal(h.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_has_its_kind_and_number),
        cmocka_unit_test(an_empty_file_knows_nobody),
        cmocka_unit_test(a_line_that_is_none_is_refused_by_number),
        cmocka_unit_test(files_that_are_no_text_files_are_refused),
        cmocka_unit_test(a_revoked_key_is_found_by_its_bytes),
        cmocka_unit_test(damaged_files_are_answered_not_crashed_on),
        cmocka_unit_test(a_fingerprint_is_the_one_ssh_keygen_shows),
        cmocka_unit_test(a_private_key_is_judged_by_what_it_holds),
        cmocka_unit_test(a_public_key_is_known_as_one),
        cmocka_unit_test(a_file_that_holds_no_usable_key_is_refused_with_words),
        cmocka_unit_test(a_key_that_others_can_read_is_refused),
        cmocka_unit_test(
            a_heap_refuses_beyond_its_bound_and_frees_what_is_left),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
