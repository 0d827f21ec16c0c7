# SPDX-License-Identifier: MIT
"""Drover as it is installed: an agent with replicas over ssh or as children."""

import json
import os
import shutil
import subprocess

import lab as lab_module
from lab import Failed, wait_until


class Drover:
    def __init__(self, lab, source, replicas, link="ssh", durability="durable",
                 name="agent", keep_state=False):
        self.lab, self.source, self.name = lab, source, name
        self.replicas = dict(replicas)  # name -> directory
        self.socket = lab.path(name + ".sock")
        self.state = lab.path("state-" + name)
        if not keep_state:
            shutil.rmtree(self.state, ignore_errors=True)
        self.conf = lab.path(name + ".conf")
        self.process = None
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(f"[database]\nname = {name}\npath = {source}\n"
                    f"state-dir = {self.state}\nsocket = {self.socket}\n")
            for replica, path in self.replicas.items():
                f.write(self._replica(replica, path, link, durability))

    def _replica(self, replica, path, link, durability):
        receive = f"{self.lab.program('drover-replica')} receive {path}"
        text = f"[replica {replica}]\n"
        if durability != "durable":
            text += f"durability = {durability}\n"
        if link == "ssh":
            text += (f"host = 127.0.0.1\nport = {self.lab.port}\n"
                     f"user = {self.lab.user}\n"
                     f"identity = {self.lab.path('ssh/id_ed25519')}\n"
                     f"known-hosts = {self.lab.path('ssh/known_hosts')}\n"
                     f"command = {receive}\n")
        elif link == "openssh":
            ssh = " ".join(self.lab.ssh("-c", "aes128-gcm@openssh.com", "lab"))
            text += f"command = {ssh} {receive}\n"
        else:
            text += f"command = {receive}\n"
        return text

    def ctl(self, *args, ok=(0,), timeout=900):
        p = subprocess.run([self.lab.program("drover"), "--socket", self.socket,
                            *args], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=timeout)
        if p.returncode not in ok:
            raise Failed(f"drover {' '.join(args)}: {p.returncode}: {p.stdout[:300]}")
        return p.stdout

    def start(self):
        self.process = self.lab.spawn(
            [self.lab.program("drover"), "agent", "--config", self.conf])
        wait_until("the agent answers", lambda: os.path.exists(self.socket), every=0.002)
        return self

    def wait(self, timeout="900s"):
        self.ctl("wait", "--timeout", timeout)

    def status(self):
        return json.loads(self.ctl("status", "--json", ok=(0, 1)))

    def pids(self):
        """The agent and its receivers on this host: {"agent": [..], ...}."""
        found = {"agent": [self.process.pid], "receiver": []}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                exe = os.readlink(f"/proc/{pid}/exe")
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    line = f.read().split(b"\0")
            except OSError:
                continue
            if os.path.basename(exe) == "drover-replica" and any(
                    path.encode() in line for path in self.replicas.values()):
                found["receiver"].append(int(pid))
        return found

    def peaks_mib(self):
        """Peak resident memory of agent and of the largest receiver."""
        pids = self.pids()
        return {who: max([lab_module.status_of(p, "VmHWM") / 1024 for p in some],
                         default=0) for who, some in pids.items()}

    def stop(self):
        if self.process is not None:
            self.lab.end(self.process)
            self.process = None
            wait_until("the receivers end", self._gone)
            if os.path.exists(self.socket):
                os.unlink(self.socket)

    def _gone(self):
        class Nobody:
            pid = 0
        self.process = Nobody
        gone = not self.pids()["receiver"]
        self.process = None
        return gone
