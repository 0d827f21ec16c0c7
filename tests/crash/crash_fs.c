/* SPDX-License-Identifier: MIT
 *
 * crash_fs: see crash_fs.h. */
#include "crash_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/base/clock.h"

enum { IMAGE_BYTES = 400 << 20, FLAG_LOG = 1, FLAG_NO_LOG = 2 };

static int run(const char *const *argv)
{
    union {
        const char *const *in;
        char *const *out;
    } args = {.in = argv};
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        (void)dup2(null, 1);
        (void)execvp(argv[0], args.out);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
        return 126;
    }
    return WEXITSTATUS(status);
}

static void make_fs(const struct fs *f)
{
    const char *ext4[] = {
        "mkfs.ext4", "-q",     "-F",     "-E", "lazy_itable_init=0,nodiscard",
        "-J",        "size=8", f->image, NULL};
    const char *xfs[] = {"mkfs.xfs", "-q", "-K", "-f", f->image, NULL};
    int rc = run(strcmp(f->kind, "xfs") == 0 ? xfs : ext4);

    if (rc == 127) {
        lab_skip("there is no mkfs.%s", f->kind);
    }
    if (rc != 0) {
        lab_broken("mkfs.%s ends with %d", f->kind, rc);
    }
}

/* A free loop device for the image. */
static void attach(struct fs *f)
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int image = open(f->image, O_RDWR | O_CLOEXEC);

    if (control < 0 || image < 0) {
        lab_skip("no loop devices here (%s)", strerror(errno));
    }
    for (int i = 0; i < 20; i++) {
        int n = ioctl(control, LOOP_CTL_GET_FREE);
        (void)snprintf(f->device, sizeof f->device, "/dev/loop%d", n);
        int loop = n < 0 ? -1 : open(f->device, O_RDWR | O_CLOEXEC);
        if (loop < 0) {
            lab_skip("no loop device can be opened (%s)", strerror(errno));
        }
        struct loop_info64 info = {.lo_flags = LO_FLAGS_AUTOCLEAR};
        int rc = ioctl(loop, LOOP_SET_FD, image);
        if (rc == 0) {
            (void)ioctl(loop, LOOP_SET_STATUS64, &info);
            f->loop = loop; /* keeps it while nothing is mounted */
        } else {
            (void)close(loop);
        }
        if (rc == 0) {
            (void)close(image);
            (void)close(control);
            return;
        }
    }
    f->device[0] = '\0';
    lab_skip("no loop device is free");
}

/* The device's largest write in KiB; false when that cannot be set. */
static bool set_largest_write(const struct fs *f, const char *kib)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/sys/block/%.20s/queue/max_sectors_kb",
                   f->device + sizeof "/dev/" - 1);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, kib, strlen(kib)) > 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return good;
}

void fs_small_writes(struct fs *f)
{
    f->small_writes = true;
    if (!set_largest_write(f, "4")) {
        int sys = errno;
        fs_end(f);
        lab_skip("%s cannot be told to write pages (%s)", f->device,
                 strerror(sys));
    }
}

void fs_mount(struct fs *f)
{
    if (mount(f->device, f->at, f->kind, 0, f->options) != 0) {
        int sys = errno;
        fs_end(f);
        lab_skip("%s cannot be mounted here (%s)", f->kind, strerror(sys));
    }
    f->mounted = true;
}

void fs_unmount(struct fs *f)
{
    for (int i = 0; f->mounted && i < 500; i++) {
        if (umount2(f->at, 0) == 0) {
            f->mounted = false;
        } else {
            clock_sleep_ns(
                10 * NS_PER_MS); /* a process that was killed is still there */
        }
    }
    if (f->mounted) {
        lab_broken("umount %s", f->at);
    }
}

void fs_private(void)
{
    static bool done;

    if (geteuid() != 0) {
        lab_skip("mounting a file system needs root");
    }
    if (!done && (unshare(CLONE_NEWNS) != 0 ||
                  mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)) {
        lab_skip("no mount namespace can be had (%s)", strerror(errno));
    }
    done = true;
}

void fs_begin(struct fs *f, const char *kind, const char *image_dir,
              const char *base)
{
    *f = (struct fs){.mounted = false};
    fs_private();
    (void)snprintf(f->kind, sizeof f->kind, "%s", kind);
    (void)snprintf(f->image, sizeof f->image, "%s/image", image_dir);
    (void)snprintf(f->at, sizeof f->at, "%s/fs", base);
    lab_make_dir(f->at);
    int image = open(f->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (image < 0 || ftruncate(image, IMAGE_BYTES) != 0) {
        lab_broken("image %s", f->image);
    }
    (void)close(image);
    make_fs(f);
    attach(f);
    fs_mount(f);
}

void fs_end(struct fs *f)
{
    fs_unmount(f);
    if (f->small_writes) {
        (void)set_largest_write(f, "1280"); /* the kernel's own */
    }
    if (f->loop > 0) {
        (void)close(f->loop);
        f->loop = 0;
    }
}

void fs_sync(const struct fs *f)
{
    int fd = open(f->at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || syncfs(fd) != 0) {
        lab_broken("syncfs %s", f->at);
    }
    (void)close(fd);
}

void fs_power_cut_begin(struct fs *f, bool log_too)
{
    uint32_t how = log_too ? FLAG_LOG : FLAG_NO_LOG;
    int fd = open(f->at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    /* The same number is EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN. */
    if (fd < 0 || ioctl(fd, _IOR('X', 125, uint32_t), &how) != 0) {
        int sys = errno;
        fs_end(f);
        lab_skip("%s cannot be shut down (%s)", f->kind, strerror(sys));
    }
    (void)close(fd);
}

void fs_power_cut_end(struct fs *f)
{
    fs_unmount(f);
    fs_mount(f);
}
