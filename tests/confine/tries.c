/* SPDX-License-Identifier: MIT
 *
 * tries: see tries.h.  Raw system calls where the C library would try
 * something else, or refuse by itself. */
#include "tries.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static int judge(long rc)
{
    return rc >= 0 ? WORKED : REFUSED;
}

/* "FOLDER/NAME", in a buffer that lives as long as the attempt. */
static const char *in(const char *folder, const char *name)
{
    static char paths[4][300];
    static unsigned next;
    char *path = paths[next++ % 4];

    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static const char *of_victim(const struct scene *s, const char *name)
{
    char folder[40];

    (void)snprintf(folder, sizeof folder, "/proc/%d", (int)s->victim);
    return in(folder, name);
}

static int read_a_byte(int fd)
{
    char c;

    return fd >= 0 && read(fd, &c, 1) == 1 ? WORKED : REFUSED;
}

static int write_a_byte(int fd)
{
    return fd >= 0 && write(fd, "x", 1) == 1 ? WORKED : REFUSED;
}

/* --- files outside ------------------------------------------------------- */

static int read_outside(const struct scene *s)
{
    return read_a_byte(open(in(s->outside, "there"), O_RDONLY));
}

static int write_outside(const struct scene *s)
{
    return write_a_byte(open(in(s->outside, "there"), O_WRONLY));
}

static int append_outside(const struct scene *s)
{
    return write_a_byte(open(in(s->outside, "there"), O_WRONLY | O_APPEND));
}

static int make_outside(const struct scene *s)
{
    return judge(open(in(s->outside, "new"), O_WRONLY | O_CREAT, 0600));
}

static int empty_outside(const struct scene *s)
{
    return judge(open(in(s->outside, "there"), O_RDONLY | O_TRUNC));
}

static int nameless_file_outside(const struct scene *s)
{
    return judge(open(s->outside, O_WRONLY | O_TMPFILE, 0600));
}

static int list_outside(const struct scene *s)
{
    return opendir(s->outside) != NULL ? WORKED : REFUSED;
}

static int list_the_parent(const struct scene *s)
{
    return judge(openat(s->dir_fd, "..", O_RDONLY | O_DIRECTORY));
}

static int read_beside(const struct scene *s)
{
    char path[300];

    (void)snprintf(path, sizeof path, "..%s/there", strrchr(s->outside, '/'));
    return read_a_byte(openat(s->dir_fd, path, O_RDONLY));
}

static int read_by_a_path_handle(const struct scene *s)
{
    int fd = open(in(s->outside, "there"), O_PATH);
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return fd < 0 ? REFUSED : read_a_byte(open(path, O_RDONLY));
}

static int read_below_a_folder_handle(const struct scene *s)
{
    int fd = open(s->outside, O_PATH | O_DIRECTORY);

    return fd < 0 ? REFUSED : read_a_byte(openat(fd, "there", O_RDONLY));
}

static int read_by_proc_root(const struct scene *s)
{
    char path[300];

    (void)snprintf(path, sizeof path, "/proc/self/root%s/there", s->outside);
    return read_a_byte(open(path, O_RDONLY));
}

static int read_after_chdir(const struct scene *s)
{
    if (chdir(s->outside) != 0) {
        return REFUSED;
    }
    return read_a_byte(open("there", O_RDONLY));
}

static int go_outside(const struct scene *s)
{
    return judge(chdir(s->outside));
}

static int read_by_openat2(const struct scene *s)
{
    struct {
        uint64_t flags, mode, resolve;
    } how = {.flags = O_RDONLY};
    return read_a_byte((int)syscall(SYS_openat2, s->dir_fd,
                                    in(s->outside, "there"), &how, sizeof how));
}

static int remove_outside(const struct scene *s)
{
    return judge(unlinkat(AT_FDCWD, in(s->outside, "there"), 0));
}

static int remove_folder_outside(const struct scene *s)
{
    return judge(unlinkat(AT_FDCWD, in(s->outside, "sub"), AT_REMOVEDIR));
}

static int make_folder_outside(const struct scene *s)
{
    return judge(mkdirat(AT_FDCWD, in(s->outside, "newsub"), 0700));
}

static int rename_outside(const struct scene *s)
{
    return judge(renameat(AT_FDCWD, in(s->outside, "there"), AT_FDCWD,
                          in(s->outside, "moved")));
}

static int rename_out(const struct scene *s)
{
    return judge(
        renameat(s->dir_fd, "mine", AT_FDCWD, in(s->outside, "there")));
}

static int rename_in(const struct scene *s)
{
    return judge(
        renameat(AT_FDCWD, in(s->outside, "there"), s->dir_fd, "stolen"));
}

static int exchange(const struct scene *s)
{
    return judge(syscall(SYS_renameat2, AT_FDCWD, in(s->outside, "there"),
                         s->dir_fd, "mine", 2 /* RENAME_EXCHANGE */));
}

static int link_in(const struct scene *s)
{
    return judge(
        linkat(AT_FDCWD, in(s->outside, "there"), s->dir_fd, "linked", 0));
}

static int link_out(const struct scene *s)
{
    return judge(
        linkat(s->dir_fd, "mine", AT_FDCWD, in(s->outside, "linked"), 0));
}

/* A descriptor that names a file outside can be had; not a link to it. */
static int link_a_descriptor(const struct scene *s)
{
    int fd = open(in(s->outside, "there"), O_PATH);

    return fd < 0 ? NOT_HERE
                  : judge(linkat(fd, "", s->dir_fd, "again", AT_EMPTY_PATH));
}

static int link_a_descriptor_by_proc(const struct scene *s)
{
    int fd = open(in(s->outside, "there"), O_PATH);
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return fd < 0 ? NOT_HERE
                  : judge(linkat(AT_FDCWD, path, s->dir_fd, "again",
                                 AT_SYMLINK_FOLLOW));
}

static int symlink_inside(const struct scene *s)
{
    return judge(symlinkat("/etc", s->dir_fd, "etc.tbl"));
}

static int symlink_outside(const struct scene *s)
{
    return judge(symlinkat("/etc", AT_FDCWD, in(s->outside, "etc")));
}

static int fifo_inside(const struct scene *s)
{
    return judge(mknodat(s->dir_fd, "fifo", S_IFIFO | 0600, 0));
}

static int device_inside(const struct scene *s)
{
    return judge(mknodat(s->dir_fd, "null", S_IFCHR | 0600, 0x103));
}

static int socket_inside(const struct scene *s)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    if (snprintf(a.sun_path, sizeof a.sun_path, "%s/s", s->dir) >=
        (int)sizeof a.sun_path) {
        return NOT_HERE;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    return fd < 0 ? REFUSED : judge(bind(fd, (void *)&a, sizeof a));
}

static int mode_outside(const struct scene *s)
{
    return judge(fchmodat(AT_FDCWD, in(s->outside, "there"), 0666, 0));
}

static int owner_outside(const struct scene *s)
{
    return judge(
        fchownat(AT_FDCWD, in(s->outside, "there"), geteuid(), getegid(), 0));
}

static int times_outside(const struct scene *s)
{
    return judge(utimensat(AT_FDCWD, in(s->outside, "there"), NULL, 0));
}

static int truncate_outside(const struct scene *s)
{
    return judge(truncate(in(s->outside, "there"), 0));
}

static int attribute_outside(const struct scene *s)
{
    return judge(setxattr(in(s->outside, "there"), "user.x", "y", 1, 0));
}

static int list_attributes_outside(const struct scene *s)
{
    return judge(listxattr(in(s->outside, "there"), NULL, 0));
}

static int read_a_link(const struct scene *s)
{
    char text[100];

    (void)s;
    return judge(readlink("/proc/self/exe", text, sizeof text));
}

static int watch_outside(const struct scene *s)
{
    int fd = inotify_init1(0);

    return fd < 0 ? REFUSED : judge(inotify_add_watch(fd, s->outside, IN_OPEN));
}

/* With the descriptor that the receiver has. */
static int watch_readers_outside(const struct scene *s)
{
    return judge(inotify_add_watch(s->inotify, s->outside, IN_OPEN));
}

static int size_of_disks(const struct scene *s)
{
    struct statfs fs;

    return judge(statfs(s->outside, &fs));
}

static int open_by_handle(const struct scene *s)
{
    struct {
        struct file_handle h;
        unsigned char room[128];
    } f = {.h = {.handle_bytes = 128}};
    int mount;
    if (name_to_handle_at(AT_FDCWD, in(s->outside, "there"), &f.h, &mount, 0) !=
        0) {
        return REFUSED;
    }
    int at = open(s->outside, O_RDONLY | O_DIRECTORY);
    return judge(open_by_handle_at(at, &f.h, O_RDONLY));
}

static int read_passwd(const struct scene *s)
{
    (void)s;
    return read_a_byte(open("/etc/passwd", O_RDONLY));
}

static int write_dev_null(const struct scene *s)
{
    (void)s;
    return write_a_byte(open("/dev/null", O_WRONLY));
}

/* --- /proc --------------------------------------------------------------- */

static int read_command_line(const struct scene *s)
{
    return read_a_byte(open(of_victim(s, "cmdline"), O_RDONLY));
}

static int read_environment(const struct scene *s)
{
    return read_a_byte(open(of_victim(s, "environ"), O_RDONLY));
}

static int read_status(const struct scene *s)
{
    return read_a_byte(open(of_victim(s, "status"), O_RDONLY));
}

static int open_memory(const struct scene *s)
{
    return judge(open(of_victim(s, "mem"), O_RDWR));
}

static int list_descriptors(const struct scene *s)
{
    return opendir(of_victim(s, "fd")) != NULL ? WORKED : REFUSED;
}

static int list_processes(const struct scene *s)
{
    (void)s;
    return opendir("/proc") != NULL ? WORKED : REFUSED;
}

static int own_memory(const struct scene *s)
{
    (void)s;
    return judge(open("/proc/self/mem", O_RDWR));
}

static int own_environment(const struct scene *s)
{
    (void)s;
    return read_a_byte(open("/proc/self/environ", O_RDONLY));
}

static int read_mounts(const struct scene *s)
{
    (void)s;
    return read_a_byte(open("/proc/self/mountinfo", O_RDONLY));
}

static int read_connections(const struct scene *s)
{
    (void)s;
    return read_a_byte(open("/proc/net/tcp", O_RDONLY));
}

static int write_sysctl(const struct scene *s)
{
    (void)s;
    return judge(open("/proc/sys/kernel/core_pattern", O_WRONLY));
}

static int write_oom_score(const struct scene *s)
{
    (void)s;
    return write_a_byte(open("/proc/self/oom_score_adj", O_WRONLY)) == WORKED
               ? WORKED
               : judge(open("/proc/self/oom_score_adj", O_WRONLY));
}

/* --- programs and processes ---------------------------------------------- */

static char *const no_words[] = {NULL};

static int run_a_program(const struct scene *s)
{
    char *const argv[] = {(char[]){"true"}, NULL};

    (void)s;
    return judge(execve("/bin/true", argv, no_words));
}

static int run_what_was_written(const struct scene *s)
{
    static const char script[] = "#!/bin/true\n";
    int fd = openat(s->dir_fd, "evil", O_WRONLY | O_CREAT, 0700);

    if (fd < 0 || write(fd, script, sizeof script - 1) < 0 ||
        fchmod(fd, 0700) != 0 || close(fd) != 0) {
        return NOT_HERE;
    }
    return judge(execve(in(s->dir, "evil"), no_words, no_words));
}

static int run_from_memory(const struct scene *s)
{
    static const char script[] = "#!/bin/true\n";

    (void)s;
    int fd = (int)syscall(SYS_memfd_create, "evil", 0);
    if (fd < 0 || write(fd, script, sizeof script - 1) < 0) {
        return REFUSED;
    }
    return judge(
        syscall(SYS_execveat, fd, "", no_words, no_words, AT_EMPTY_PATH));
}

static int memory_file(const struct scene *s)
{
    (void)s;
    return judge(syscall(SYS_memfd_create, "m", 0));
}

static int end_child(long pid)
{
    if (pid == 0) {
        _exit(0);
    }
    return judge(pid);
}

static int fork_a_child(const struct scene *s)
{
    (void)s;
#ifdef SYS_fork
    return end_child(syscall(SYS_fork));
#else
    return end_child(fork());
#endif
}

static int clone_a_child(const struct scene *s)
{
    (void)s;
    return end_child(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static int clone3_a_child(const struct scene *s)
{
    uint64_t args[11] = {[4] = SIGCHLD};

    (void)s;
    return end_child(syscall(SYS_clone3, args, sizeof args));
}

static int clone_a_namespace(const struct scene *s)
{
    (void)s;
    return end_child(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
}

static int ptrace_seize(const struct scene *s)
{
    return judge(ptrace(PTRACE_SEIZE, s->victim, NULL, NULL));
}

static int be_traced(const struct scene *s)
{
    (void)s;
    return judge(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int read_memory(const struct scene *s)
{
    char c;
    struct iovec to = {&c, 1}, from = {(void *)(uintptr_t)s, 1};

    return judge(process_vm_readv(s->victim, &to, 1, &from, 1, 0));
}

static int write_memory(const struct scene *s)
{
    char c = 'x';
    static char there;
    struct iovec from = {&c, 1}, to = {&there, 1};

    return judge(process_vm_writev(s->victim, &from, 1, &to, 1, 0));
}

static int kill_another(const struct scene *s)
{
    return judge(kill(s->victim, SIGCONT));
}

static int tgkill_another(const struct scene *s)
{
    return judge(syscall(SYS_tgkill, s->victim, s->victim, SIGCONT));
}

static int kill_the_parent(const struct scene *s)
{
    (void)s;
    return judge(kill(getppid(), SIGCONT));
}

static int kill_the_group(const struct scene *s)
{
    (void)s;
    return judge(kill(0, SIGCONT));
}

static int queue_a_signal(const struct scene *s)
{
    return judge(sigqueue(s->victim, SIGCONT, (union sigval){0}));
}

static int signal_by_handle(const struct scene *s)
{
    int fd = (int)syscall(SYS_pidfd_open, s->victim, 0);

    return fd < 0 ? REFUSED
                  : judge(syscall(SYS_pidfd_send_signal, fd, SIGCONT, 0, 0));
}

static int steal_a_descriptor(const struct scene *s)
{
    int fd = (int)syscall(SYS_pidfd_open, s->victim, 0);

    return fd < 0 ? REFUSED : judge(syscall(SYS_pidfd_getfd, fd, 0, 0));
}

static int signals_by_descriptor(const struct scene *s)
{
    return judge(fcntl(s->pipe_fd, F_SETOWN, s->victim));
}

static int slow_another_down(const struct scene *s)
{
    return judge(setpriority(PRIO_PROCESS, (id_t)s->victim, 19));
}

static int limits_of_another(const struct scene *s)
{
    struct rlimit r = {100, 100};

    return judge(prlimit(s->victim, RLIMIT_NPROC, &r, NULL));
}

static int run_in_real_time(const struct scene *s)
{
    struct sched_param p = {.sched_priority = 1};

    (void)s;
    return judge(sched_setscheduler(0, SCHED_FIFO, &p));
}

static int leave_the_session(const struct scene *s)
{
    (void)s;
    return judge(setsid() < 0 && errno != EPERM ? -1 : setpgid(0, 0));
}

/* --- network ------------------------------------------------------------- */

#define SOCKET(name, family, type)                                             \
    static int name(const struct scene *s)                                     \
    {                                                                          \
        (void)s;                                                               \
        return judge(socket(family, type, 0));                                 \
    }
SOCKET(socket_tcp, AF_INET, SOCK_STREAM)
SOCKET(socket_udp, AF_INET, SOCK_DGRAM)
SOCKET(socket_tcp6, AF_INET6, SOCK_STREAM)
SOCKET(socket_unix, AF_UNIX, SOCK_STREAM)
SOCKET(socket_netlink, AF_NETLINK, SOCK_RAW)
SOCKET(socket_packet, AF_PACKET, SOCK_RAW)
SOCKET(socket_alg, 38 /* AF_ALG */, SOCK_SEQPACKET)
SOCKET(socket_vsock, 40 /* AF_VSOCK */, SOCK_STREAM)

static int socket_pair(const struct scene *s)
{
    int pair[2];

    (void)s;
    return judge(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}

static int listen_tcp(const struct scene *s)
{
    const struct {
        uint16_t family, port;
        uint32_t addr[3];
    } a = {.family = AF_INET, .addr = {0x0100007f}};
    (void)s;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    /* Port 0 needs no right; bind to one of our own choice. */
    for (unsigned port = 20000; fd >= 0 && port < 60000; port += 97) {
        struct sockaddr_storage at = {.ss_family = AF_INET};
        uint16_t net = (uint16_t)(port << 8 | (port >> 8 & 0xff));
        memcpy(&at, &a, 8);
        memcpy((char *)&at + 2, &net, 2);
        if (bind(fd, (void *)&at, 16) == 0) {
            return judge(listen(fd, 1));
        }
        if (errno != EADDRINUSE) {
            return REFUSED;
        }
    }
    return REFUSED;
}

static int connect_abstract(const struct scene *s)
{
    /* The victim listens there. */
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int n = snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "drover-confine-%d",
                     (int)s->victim);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return fd < 0 ? REFUSED
                  : judge(connect(
                        fd, (void *)&a,
                        (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
                                    1U + (unsigned)n)));
}

/* --- rights and the kernel's less used doors ----------------------------- */

#define CALL(name, ...)                                                        \
    static int name(const struct scene *s)                                     \
    {                                                                          \
        (void)s;                                                               \
        return judge(syscall(__VA_ARGS__));                                    \
    }
CALL(become_nobody, SYS_setuid, 65534)
CALL(become_nogroup, SYS_setgid, 65534)
CALL(drop_groups, SYS_setgroups, 0, NULL)
CALL(new_user_namespace, SYS_unshare, CLONE_NEWUSER)
CALL(new_mount_namespace, SYS_unshare, CLONE_NEWNS)
CALL(mount_tmpfs, SYS_mount, "none", s->dir, "tmpfs", 0, NULL)
CALL(mount_by_fsopen, SYS_fsopen, "tmpfs", 0)
CALL(tree_of_mounts, SYS_open_tree, AT_FDCWD, s->outside, 0)
CALL(change_root, SYS_chroot, s->outside)
CALL(set_the_clock, SYS_clock_settime, CLOCK_REALTIME,
     &(struct timespec){.tv_nsec = -1})
CALL(load_bpf, SYS_bpf, 0 /* MAP_CREATE */,
     &(uint32_t[16]){2 /* ARRAY */, 4, 4, 1}, 64)
CALL(userfault, SYS_userfaultfd, 1 /* user mode only */)
CALL(add_a_key, SYS_add_key, "user", "drover", "x", 1, -2)
CALL(read_keyring, SYS_keyctl, 0, -3, 0)
CALL(io_uring, SYS_io_uring_setup, 1, &(uint32_t[32]){0})
CALL(personality_change, SYS_personality, 0x0040000)
CALL(host_name, SYS_sethostname, "x", (size_t)-1)
CALL(epoll, SYS_epoll_create1, 0)
CALL(fanotify, SYS_fanotify_init, 0, 0)
CALL(compare_processes, SYS_kcmp, getpid(), getpid(), 0, 0, 0)
CALL(move_memory, SYS_vmsplice, s->pipe_fd,
     &(struct iovec){(void *)(uintptr_t) "x", 1}, 1, 0)
CALL(an_unknown_call, 100000)

static int shared_memory(const struct scene *s)
{
    int id = shmget(IPC_PRIVATE, 4096, 0600);

    (void)s;
    return id < 0 ? REFUSED : judge(shmctl(id, IPC_RMID, NULL));
}

static int messages(const struct scene *s)
{
    int id = msgget(IPC_PRIVATE, 0600);

    (void)s;
    return id < 0 ? REFUSED : judge(msgctl(id, IPC_RMID, NULL));
}

static int message_queue(const struct scene *s)
{
    (void)s;
    long fd =
        syscall(SYS_mq_open, "drover-confine", O_RDWR | O_CREAT, 0600, NULL);
    return fd < 0 ? REFUSED : judge(syscall(SYS_mq_unlink, "drover-confine"));
}

static int perf(const struct scene *s)
{
    uint32_t attr[32] = {1 /* software */, 128, 0};

    (void)s;
    return judge(syscall(SYS_perf_event_open, attr, 0, -1, -1, 0));
}

static int join_a_namespace(const struct scene *s)
{
    int fd = open(of_victim(s, "ns/net"), O_RDONLY);

    return fd < 0 ? REFUSED : judge(setns(fd, 0));
}

static int code_in_new_memory(const struct scene *s)
{
    (void)s;
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED
               ? WORKED
               : REFUSED;
}

static int code_in_written_memory(const struct scene *s)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)s;
    return p == MAP_FAILED ? NOT_HERE
                           : judge(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

/* --- limits -------------------------------------------------------------- */

static int more_core(const struct scene *s)
{
    struct rlimit r = {1 << 20, 1 << 20};

    (void)s;
    return judge(setrlimit(RLIMIT_CORE, &r));
}

static int fewer_descriptors(const struct scene *s)
{
    struct rlimit r = {3, 3};

    (void)s;
    return judge(setrlimit(RLIMIT_NOFILE, &r));
}

static int new_privileges(const struct scene *s)
{
    (void)s;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0) {
        return WORKED;
    }
    /* The filter may forbid the question. */
    return REFUSED;
}

static int keep_capabilities(const struct scene *s)
{
    (void)s;
    return judge(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
}

static int lock_memory(const struct scene *s)
{
    static char page[4096];

    (void)s;
    return judge(mlock(page, sizeof page));
}

static int type_into_the_terminal(const struct scene *s)
{
    char c = 'x';

    return s->terminal < 0 ? NOT_HERE : judge(ioctl(s->terminal, TIOCSTI, &c));
}

static int ask_the_terminal(const struct scene *s)
{
    struct winsize w;

    return s->terminal < 0 ? NOT_HERE
                           : judge(ioctl(s->terminal, TIOCGWINSZ, &w));
}

static int lease(const struct scene *s)
{
    int fd = openat(s->dir_fd, "mine", O_RDONLY);

    return fd < 0 ? NOT_HERE : judge(fcntl(fd, F_SETLEASE, F_RDLCK));
}

#ifdef __x86_64__
static int call_of_32_bit(const struct scene *s)
{
    long rc = 20; /* getpid */

    (void)s;
    __asm__ volatile("int $0x80" : "+a"(rc) : : "memory", "cc");
    return judge(rc);
}

static int call_of_x32(const struct scene *s)
{
    (void)s;
    return judge(syscall(0x40000000 | SYS_getpid)) == WORKED ? WORKED : REFUSED;
}
#endif

static void *socket_in_thread(void *arg)
{
    int *rc = arg;

    *rc = judge(socket(AF_UNIX, SOCK_STREAM, 0));
    return NULL;
}

static void *read_in_thread(void *arg)
{
    int *rc = arg;

    *rc = read_a_byte(open("/etc/passwd", O_RDONLY));
    return NULL;
}

static int in_thread(void *(*run)(void *))
{
    pthread_t t;
    int rc = NOT_HERE;

    if (pthread_create(&t, NULL, run, &rc) == 0) {
        (void)pthread_join(t, NULL);
    }
    return rc;
}

static int socket_from_a_thread(const struct scene *s)
{
    (void)s;
    return in_thread(socket_in_thread);
}

static int read_from_a_thread(const struct scene *s)
{
    (void)s;
    return in_thread(read_in_thread);
}

#define T(fn, by)                                                              \
    {                                                                          \
#fn, fn, by, true                                                      \
    }
#define MAYBE(fn, by)                                                          \
    {                                                                          \
#fn, fn, by, false                                                     \
    }
const struct try tries[] = {
    T(read_outside, LANDLOCK),
    T(write_outside, LANDLOCK),
    T(append_outside, LANDLOCK),
    T(make_outside, LANDLOCK),
    T(empty_outside, LANDLOCK),
    MAYBE(nameless_file_outside, LANDLOCK),
    T(list_outside, LANDLOCK),
    T(list_the_parent, LANDLOCK),
    T(read_beside, LANDLOCK),
    T(read_by_a_path_handle, LANDLOCK),
    T(read_below_a_folder_handle, LANDLOCK),
    T(read_by_proc_root, LANDLOCK),
    T(read_after_chdir, LANDLOCK | FILTER),
    T(go_outside, FILTER),
    MAYBE(read_by_openat2, LANDLOCK),
    T(remove_outside, LANDLOCK),
    T(remove_folder_outside, LANDLOCK),
    T(make_folder_outside, LANDLOCK),
    T(rename_outside, LANDLOCK),
    T(rename_out, LANDLOCK),
    T(rename_in, LANDLOCK),
    MAYBE(exchange, LANDLOCK),
    T(link_in, LANDLOCK),
    T(link_out, LANDLOCK),
    T(link_a_descriptor, LANDLOCK),
    T(link_a_descriptor_by_proc, LANDLOCK),
    T(symlink_inside, LANDLOCK | FILTER),
    T(symlink_outside, LANDLOCK | FILTER),
    T(fifo_inside, LANDLOCK | FILTER),
    MAYBE(device_inside, LANDLOCK | FILTER),
    T(socket_inside, LANDLOCK | FILTER),
    T(mode_outside, FILTER),
    T(owner_outside, FILTER),
    T(times_outside, FILTER),
    T(truncate_outside, FILTER | LANDLOCK_TRUNCATE),
    MAYBE(attribute_outside, FILTER),
    MAYBE(list_attributes_outside, FILTER),
    T(read_a_link, FILTER_LAST),
    T(watch_outside, FILTER),
    T(watch_readers_outside, FILTER),
    T(size_of_disks, FILTER),
    MAYBE(open_by_handle, LANDLOCK | FILTER),
    T(read_passwd, LANDLOCK),
    T(write_dev_null, LANDLOCK),
    T(read_command_line, LANDLOCK),
    T(read_environment, LANDLOCK),
    T(read_status, LANDLOCK),
    T(open_memory, LANDLOCK),
    T(list_descriptors, LANDLOCK),
    T(list_processes, LANDLOCK),
    T(own_memory, LANDLOCK),
    T(own_environment, LANDLOCK),
    T(read_mounts, LANDLOCK),
    MAYBE(read_connections, LANDLOCK),
    MAYBE(write_sysctl, LANDLOCK),
    T(write_oom_score, LANDLOCK),
    T(run_a_program, LANDLOCK | FILTER),
    T(run_what_was_written, LANDLOCK | FILTER),
    MAYBE(run_from_memory, FILTER),
    T(memory_file, FILTER),
    T(fork_a_child, FILTER),
    T(clone_a_child, FILTER),
    MAYBE(clone3_a_child, FILTER),
    MAYBE(clone_a_namespace, FILTER),
    MAYBE(ptrace_seize, LANDLOCK | FILTER),
    T(be_traced, FILTER),
    MAYBE(read_memory, LANDLOCK | FILTER),
    MAYBE(write_memory, LANDLOCK | FILTER),
    T(kill_another, FILTER | LANDLOCK_SCOPE),
    T(tgkill_another, FILTER | LANDLOCK_SCOPE),
    T(kill_the_parent, FILTER | LANDLOCK_SCOPE),
    T(kill_the_group, FILTER),
    T(queue_a_signal, FILTER | LANDLOCK_SCOPE),
    MAYBE(signal_by_handle, FILTER | LANDLOCK_SCOPE),
    MAYBE(steal_a_descriptor, LANDLOCK | FILTER),
    T(signals_by_descriptor, FILTER),
    T(slow_another_down, FILTER),
    MAYBE(limits_of_another, FILTER),
    MAYBE(run_in_real_time, FILTER),
    T(leave_the_session, FILTER),
    T(socket_tcp, FILTER),
    T(socket_udp, FILTER),
    MAYBE(socket_tcp6, FILTER),
    T(socket_unix, FILTER),
    MAYBE(socket_netlink, FILTER),
    MAYBE(socket_packet, FILTER),
    MAYBE(socket_alg, FILTER),
    MAYBE(socket_vsock, FILTER),
    T(socket_pair, FILTER),
    T(listen_tcp, FILTER | LANDLOCK_NET),
    T(connect_abstract, FILTER | LANDLOCK_SCOPE),
    MAYBE(become_nobody, FILTER),
    MAYBE(become_nogroup, FILTER),
    MAYBE(drop_groups, FILTER),
    MAYBE(new_user_namespace, FILTER),
    MAYBE(new_mount_namespace, FILTER),
    MAYBE(mount_tmpfs, LANDLOCK | FILTER),
    MAYBE(mount_by_fsopen, FILTER),
    MAYBE(tree_of_mounts, FILTER),
    MAYBE(change_root, FILTER),
    MAYBE(set_the_clock, FILTER),
    MAYBE(load_bpf, FILTER),
    MAYBE(userfault, FILTER),
    MAYBE(add_a_key, FILTER),
    MAYBE(read_keyring, FILTER),
    MAYBE(io_uring, FILTER),
    MAYBE(personality_change, FILTER),
    MAYBE(shared_memory, FILTER),
    MAYBE(messages, FILTER),
    MAYBE(message_queue, FILTER),
    MAYBE(host_name, FILTER),
    T(epoll, FILTER),
    MAYBE(fanotify, FILTER),
    MAYBE(compare_processes, FILTER),
    T(move_memory, FILTER),
    MAYBE(an_unknown_call, FILTER),
    MAYBE(perf, FILTER),
    MAYBE(join_a_namespace, LANDLOCK | FILTER),
    T(code_in_new_memory, FILTER),
    T(code_in_written_memory, FILTER),
    MAYBE(more_core, LIMITS | FILTER),
    T(fewer_descriptors, FILTER),
    T(new_privileges, LIMITS),
    T(keep_capabilities, FILTER),
    MAYBE(lock_memory, FILTER),
    MAYBE(type_into_the_terminal, FILTER),
    MAYBE(ask_the_terminal, FILTER),
    T(lease, FILTER),
#ifdef __x86_64__
    MAYBE(call_of_32_bit, FILTER),
    MAYBE(call_of_x32, FILTER),
#endif
    T(socket_from_a_thread, FILTER),
    T(read_from_a_thread, LANDLOCK),
};
const size_t tries_count = sizeof tries / sizeof tries[0];

/* --- what the receiver needs --------------------------------------------- */

#define NEED(what)                                                             \
    do {                                                                       \
        if (!(what)) {                                                         \
            return __LINE__;                                                   \
        }                                                                      \
    } while (0)

static int allowed_files(const struct scene *s)
{
    struct stat st;
    struct timespec ts[2] = {{0}, {0}};
    DIR *list;

    NEED(mkdirat(s->dir_fd, "t.tbl", 0700) == 0);
    int fd = openat(s->dir_fd, "temp", O_RDWR | O_CREAT | O_EXCL, 0600);
    NEED(fd >= 0);
    NEED(write(fd, "value", 5) == 5 && pwrite(fd, "V", 1, 0) == 1);
    NEED(fchmod(fd, 0640) == 0);
    NEED(fchown(fd, (uid_t)-1, getegid()) == 0);
    NEED(ftruncate(fd, 4) == 0);
    NEED(futimens(fd, ts) == 0);
    NEED(fsync(fd) == 0 && fdatasync(fd) == 0 && syncfs(fd) == 0);
    NEED(flock(fd, LOCK_EX | LOCK_NB) == 0 && flock(fd, LOCK_UN) == 0);
    NEED(renameat(s->dir_fd, "temp", s->dir_fd, "t.tbl/k.kv") == 0);
    NEED(fstatat(s->dir_fd, "t.tbl/k.kv", &st, AT_SYMLINK_NOFOLLOW) == 0);
    NEED(openat(s->dir_fd, "t.tbl/k.kv", O_RDONLY | O_TRUNC) >= 0);
    int dir = openat(s->dir_fd, "t.tbl", O_RDONLY | O_DIRECTORY);
    NEED(dir >= 0 && (list = fdopendir(dir)) != NULL);
    NEED(readdir(list) != NULL && closedir(list) == 0);
    int dir2 = openat(s->dir_fd, "t.tbl", O_RDONLY | O_DIRECTORY);
    NEED(dir2 >= 0);
    /* Where the filesystem has no RENAME_NOREPLACE. */
    NEED(linkat(s->dir_fd, "t.tbl/k.kv", s->dir_fd, "l.kv", 0) == 0);
    NEED(unlinkat(s->dir_fd, "l.kv", 0) == 0);
    /* A new file has no name until it is whole. */
    char path[64];
    int whole = openat(dir2, ".", O_TMPFILE | O_RDWR, 0600);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", whole);
    NEED(whole >= 0);
    NEED(linkat(AT_FDCWD, path, dir2, "n.kv", AT_SYMLINK_FOLLOW) == 0);
    NEED(fgetxattr(dir2, "system.posix_acl_default", path, 0) <= 0 &&
         errno != EPERM);
    NEED(close(whole) == 0 && unlinkat(dir2, "n.kv", 0) == 0);
    NEED(close(dir2) == 0);
    NEED(unlinkat(s->dir_fd, "t.tbl/k.kv", 0) == 0);
    NEED(unlinkat(s->dir_fd, "t.tbl", AT_REMOVEDIR) == 0);
    return 0;
}

static void *nothing(void *arg)
{
    return arg;
}

int tries_allowed(const struct scene *s)
{
    char host[100];
    char line[8];
    pthread_t t;
    int rc = allowed_files(s);

    if (rc != 0) {
        return rc;
    }
    /* Who holds a lock. */
    int fd = openat(s->dir_fd, "mine", O_RDONLY);
    NEED(fd >= 0 && flock(fd, LOCK_SH) == 0);
    NEED((fd = open("/proc/locks", O_RDONLY)) >= 0);
    NEED(read(fd, line, sizeof line) > 0);
    NEED(gethostname(host, sizeof host) == 0);
    /* Threads: both ways in which the C library may start them. */
    NEED(pthread_create(&t, NULL, nothing, NULL) == 0);
    NEED(pthread_join(t, NULL) == 0);
    void *p = malloc(64 << 20);
    NEED(p != NULL);
    memset(p, 1, 64 << 20);
    p = realloc(p, 128 << 20);
    NEED(p != NULL);
    free(p);
    NEED(write(s->pipe_fd, "x", 1) == 1);
    return 0;
}
