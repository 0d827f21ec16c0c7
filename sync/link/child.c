/* SPDX-License-Identifier: MIT
 *
 * child: see child.h.
 *
 * All of it is a matter of the thread that forks: ambient and inheritable
 * capabilities, the bounding set and no_new_privs are copied by fork, and count
 * at execve only.  So they are set in the caller, who executes nothing but
 * children, and no code of ours runs between fork and execve.
 */
#include "sync/link/child.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Told by systemd to the process it has started, which is not our child. */
static const char *const managers[] = {
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "MAINPID",
    "MANAGERPID",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "FDSTORE",
    "JOURNAL_STREAM",
    "INVOCATION_ID",
    "CREDENTIALS_DIRECTORY",
    "RUNTIME_DIRECTORY",
    "STATE_DIRECTORY",
    "CACHE_DIRECTORY",
    "LOGS_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "SYSTEMD_EXEC_PID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
};

/* What execve would take from us into the child: our inheritable set (the
 * kernel takes the ambient set down with it). */
static int clear_inheritable(struct __user_cap_data_struct *data)
{
    struct __user_cap_header_struct head = {.version =
                                                _LINUX_CAPABILITY_VERSION_3};

    if (syscall(SYS_capget, &head, data) != 0) {
        return -1;
    }
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (data[0].inheritable == 0 && data[1].inheritable == 0) {
        return 0;
    }
    data[0].inheritable = data[1].inheritable = 0;
    return (int)syscall(SYS_capset, &head, data);
}

/* The bounding set is what root's children get, and those of a program with
 * file capabilities.  Only who has CAP_SETPCAP may make it smaller; who has it
 * not is held by no_new_privs. */
static int bound(const struct __user_cap_data_struct *data)
{
    if ((data[0].effective & CAP_TO_MASK(CAP_SETPCAP)) == 0) {
        return 0;
    }
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0;
         cap++) {
        if ((geteuid() != 0 || cap == CAP_DAC_READ_SEARCH) &&
            prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0) {
            return -1;
        }
    }
    return 0;
}

int child_give_no_rights(struct err *err)
{
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (clear_inheritable(data) != 0 || bound(data) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return err_sys(err, errno,
                       "cannot keep the agent's rights from a child");
    }
    return 0;
}

static bool is_managers(const char *entry)
{
    for (size_t i = 0; i < sizeof managers / sizeof managers[0]; i++) {
        size_t n = strlen(managers[i]);
        if (strncmp(entry, managers[i], n) == 0 && entry[n] == '=') {
            return true;
        }
    }
    return false;
}

char **child_environment(void)
{
    size_t n = 0, kept = 0;

    while (environ != NULL && environ[n] != NULL) {
        n++;
    }
    char **list = calloc(n + 1, sizeof *list);
    for (size_t i = 0; list != NULL && i < n; i++) {
        if (!is_managers(environ[i])) {
            list[kept++] = environ[i];
        }
    }
    return list;
}
