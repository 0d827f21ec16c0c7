/* SPDX-License-Identifier: MIT
 *
 * e2e_deny: runs a command on a kernel that lacks some system calls.
 *
 *     e2e_deny landlock|seccomp|noreplace COMMAND [ARGUMENT...]
 *
 * landlock: the calls of Landlock fail with ENOSYS, as before Linux 5.13;
 * seccomp: no further filter can be installed (EINVAL, as in a kernel that was
 * built without); noreplace: renameat2() fails with EINVAL, as in a filesystem
 * without RENAME_NOREPLACE. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int deny(unsigned first, unsigned last, unsigned sys)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | sys),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {sizeof code / sizeof code[0], code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return -1;
    }
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        return 64;
    }
    int rc = -1;
    if (strcmp(argv[1], "landlock") == 0) {
        rc = deny(444, 446, ENOSYS);
    } else if (strcmp(argv[1], "seccomp") == 0) {
        rc = deny(SYS_seccomp, SYS_seccomp, EINVAL);
    } else if (strcmp(argv[1], "noreplace") == 0) {
        rc = deny(SYS_renameat2, SYS_renameat2, EINVAL);
    }
    if (rc != 0) {
        perror("e2e_deny: seccomp");
        return 77;
    }
    (void)execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}
