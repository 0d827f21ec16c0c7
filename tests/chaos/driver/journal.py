# SPDX-License-Identifier: MIT
"""The head of the journal, as chaos_journal.h lays it out."""
import mmap
import struct
import time

SHIFT, PAUSE, STOP, PAUSED, REPLICA, SPANS, SPAN = 8, 16, 20, 24, 56, 128, 136
WORD_BYTES, CLAIM, POWER_LOST, HOLD, HELD = 24, 0, 8, 12, 16
SPANS_MAX = 256


class Journal:
    def __init__(self, path):
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 4096)

    def _get(self, kind, at):
        return struct.unpack_from(kind, self.map, at)[0]

    def _set(self, kind, at, value):
        struct.pack_into(kind, self.map, at, value)

    def now_ns(self):
        """The primary's clock."""
        return time.time_ns() + self._get("<q", SHIFT)

    def step_clock(self, shift_ns):
        """Step to this shift; a time that comes twice is noted first."""
        now, was = time.time_ns(), self._get("<q", SHIFT)
        if shift_ns < was:
            n = self._get("<I", SPANS)
            if n == SPANS_MAX:
                return
            margin = 500_000_000
            struct.pack_into("<qq", self.map, SPAN + 16 * n,
                             now + shift_ns - margin, now + was + margin)
            self._set("<I", SPANS, n + 1)
        self._set("<q", SHIFT, shift_ns)

    # Writers close everything and stand still while this is set.
    def pause(self, on):
        self._set("<I", PAUSE, int(on))

    def paused(self, writer):
        return self._get("<I", PAUSED + 4 * writer) != 0

    def stop(self):
        self._set("<I", STOP, 1)

    def claim(self, replica, wall_ns):
        """Somebody said that all that was done before this is there."""
        at = REPLICA + WORD_BYTES * replica + CLAIM
        if wall_ns > self._get("<q", at):
            self._set("<q", at, wall_ns)

    def lost_power(self, replica):
        at = REPLICA + WORD_BYTES * replica + POWER_LOST
        self._set("<I", at, self._get("<I", at) + 1)

    def hold(self, replica, on):
        self._set("<I", REPLICA + WORD_BYTES * replica + HOLD, int(on))

    def held(self, replica):
        return self._get("<I", REPLICA + WORD_BYTES * replica + HELD) != 0
