# SPDX-License-Identifier: MIT
"""proxy.py TARGET_PORT: a TCP proxy on 127.0.0.1 that can do harm.

Prints its port, then obeys one command per line on stdin:

    rate BYTES      per second and direction; 0: as fast as it goes
    latency MS      each way
    rst | fin       end all connections so
    cut BYTES       end them with RST after so many more bytes
    freeze | thaw   nothing passes, nothing is said
    half up|down    the same for one direction only (up: to the server)
    refuse | accept new connections
"""
import collections
import os
import selectors
import socket
import struct
import sys
import time

PIECE = 65536
AHEAD = 4 * PIECE  # what is taken in and not yet passed on, per direction


class Way:
    """One direction of a connection."""

    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.waiting = collections.deque()  # (not before, bytes)
        self.bytes = 0
        self.ended = False  # the source closed its side
        self.allowance = 0.0


class Proxy:
    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.rate = 0
        self.latency = 0.0
        self.frozen = {"up": False, "down": False}
        self.left = None
        self.refusing = False
        self.pairs = []  # (up, down)
        self.poll = selectors.DefaultSelector()
        self.poll.register(self.listener, selectors.EVENT_READ, self.accept)
        self.poll.register(sys.stdin, selectors.EVENT_READ, self.command)
        os.set_blocking(sys.stdin.fileno(), False)
        self.text = b""

    def accept(self):
        client, _ = self.listener.accept()
        if self.refusing:
            self.end_socket(client, True)
            return
        server = socket.socket()
        try:
            server.connect(("127.0.0.1", self.target))
        except OSError:
            server.close()
            self.end_socket(client, True)
            return
        for s in client, server:
            s.setblocking(False)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pairs.append((Way(client, server), Way(server, client)))

    @staticmethod
    def end_socket(s, reset):
        if reset:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()

    def end(self, pair, reset):
        self.pairs.remove(pair)
        for s in pair[0].source, pair[0].sink:
            self.end_socket(s, reset)

    def end_all(self, reset):
        for pair in list(self.pairs):
            self.end(pair, reset)

    def command(self):
        data = os.read(sys.stdin.fileno(), 4096)
        if not data:
            sys.exit(0)
        self.text += data
        *lines, self.text = self.text.split(b"\n")
        for line in lines:
            self.obey(*line.decode().split())

    def obey(self, what, value=""):
        if what == "rate":
            self.rate = int(value)
        elif what == "latency":
            self.latency = int(value) / 1000
        elif what in ("rst", "fin"):
            self.end_all(what == "rst")
        elif what == "cut":
            self.left = int(value)
        elif what in ("freeze", "thaw"):
            self.frozen = dict.fromkeys(self.frozen, what == "freeze")
        elif what == "half":
            self.frozen[value] = True
        elif what in ("refuse", "accept"):
            self.refusing = what == "refuse"

    def take(self, way, now):
        """False when the connection broke."""
        if way.ended or way.bytes >= AHEAD:
            return True
        try:
            data = way.source.recv(PIECE)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            way.ended = True
        else:
            way.waiting.append((now + self.latency, data))
            way.bytes += len(data)
        return True

    def give(self, way, now, elapsed):
        if self.rate:
            way.allowance = min(way.allowance + self.rate * elapsed, self.rate / 10 + 1500)
        while way.waiting and way.waiting[0][0] <= now:
            when, data = way.waiting[0]
            room = len(data) if not self.rate else min(len(data), int(way.allowance))
            if self.left is not None:
                room = min(room, self.left)
            if room <= 0:
                break
            try:
                n = way.sink.send(data[:room])
            except BlockingIOError:
                break
            except OSError:
                return False
            way.allowance -= n
            way.bytes -= n
            if self.left is not None:
                self.left -= n
            if n == len(data):
                way.waiting.popleft()
            else:
                way.waiting[0] = (when, data[n:])
        if way.ended and not way.waiting:
            try:
                way.sink.shutdown(socket.SHUT_WR)
            except OSError:
                return False
        return True

    def turn(self, elapsed):
        now = time.monotonic()
        for pair in list(self.pairs):
            alive = True
            for name, way in zip(("up", "down"), pair):
                if not self.frozen[name]:
                    alive = alive and self.take(way, now) and self.give(way, now, elapsed)
            if not alive:
                self.end(pair, True)
            elif pair[0].ended and pair[1].ended and not any(w.waiting for w in pair):
                self.end(pair, False)
        if self.left is not None and self.left <= 0:
            self.left = None
            self.end_all(True)

    def wait(self, seconds):
        """Until something may be done: no turn without a reason."""
        poll = selectors.DefaultSelector()
        wanted = {}
        for pair in self.pairs:
            for name, way in zip(("up", "down"), pair):
                if self.frozen[name]:
                    continue
                if not way.ended and way.bytes < AHEAD:
                    wanted[way.source] = wanted.get(way.source, 0) | selectors.EVENT_READ
                if way.waiting:
                    if self.rate or self.latency or self.left is not None:
                        seconds = min(seconds, 0.005)
                    else:
                        wanted[way.sink] = wanted.get(way.sink, 0) | selectors.EVENT_WRITE
        for key in self.poll.get_map().values():
            poll.register(key.fileobj, selectors.EVENT_READ, key.data)
        for s, mask in wanted.items():
            poll.register(s, mask)
        for key, _ in poll.select(seconds):
            if key.data:
                key.data()
        poll.close()

    def run(self):
        print(self.listener.getsockname()[1], flush=True)
        last = time.monotonic()
        while True:
            self.wait(0.5)
            now = time.monotonic()
            self.turn(now - last)
            last = now


if __name__ == "__main__":
    Proxy(int(sys.argv[1])).run()
