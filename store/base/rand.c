/* SPDX-License-Identifier: MIT
 *
 * rand: see rand.h.  The generator is splitmix64: one word of state, and every
 * seed is good. */
#include "store/base/rand.h"

#include <assert.h>
#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

#include "store/base/clock.h"

int rand_bytes(void *out, size_t len, struct err *err)
{
    uint8_t *p = out;

    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_set(err, ERR_IO, errno, "getrandom");
        }
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

uint64_t rand_seed(void)
{
    uint64_t seed;
    struct err err;

    if (rand_bytes(&seed, sizeof seed, &err) == 0) {
        return seed;
    }
    return (uint64_t)clock_real_ns() ^ (uint64_t)getpid() << 40;
}

struct prng prng_of(uint64_t seed)
{
    return (struct prng){.state = seed};
}

uint64_t prng_next(struct prng *p)
{
    p->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = p->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t prng_below(struct prng *p, uint64_t limit)
{
    assert(limit > 0);
    return prng_next(p) % limit;
}
