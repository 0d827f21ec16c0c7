/* SPDX-License-Identifier: MIT
 *
 * tsan: linked into every program of a ThreadSanitizer build.
 *
 * libuv closes its descriptors through syscall(SYS_close), which the sanitizer
 * does not see: when a thread gets the number again, its read() seems to race
 * with what the loop did with the descriptor of before.  As the program's
 * syscall() is found before the C library's, libuv closes through close(),
 * which the sanitizer does see.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((visibility("default"))) long syscall(long number, ...)
{
    typedef long (*call_fn)(long, ...);
    long a[6];
    va_list args;

    va_start(args, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(args, long);
    }
    va_end(args);
    if (number == SYS_close) {
        return close((int)a[0]);
    }
    /* The first call comes while there is one thread, or finds the same. */
    static call_fn next;
    call_fn call = __atomic_load_n(&next, __ATOMIC_RELAXED);
    if (call == NULL) {
        call = (call_fn)dlsym(RTLD_NEXT, "syscall");
        __atomic_store_n(&next, call, __ATOMIC_RELAXED);
    }
    return call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
