# SPDX-License-Identifier: MIT
"""The peers, set up as their users set them up, and as fast as their settings
allow where that is common advice ("mux": over one shared ssh connection)."""

import os
import shlex
import shutil
import subprocess

from lab import Failed, wait_until

# --- programs that copy once ---------------------------------------------------


def _run(argv, ok=(0,)):
    p = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                       text=True, errors="replace")
    if p.returncode not in ok:
        raise Failed(f"{argv[0]} ended with {p.returncode}: {p.stderr[:300]}")


def rsync(lab, source, target, *options, ssh=()):
    _run(["rsync", "-a", "--exclude=/.drover", *options,
          "-e", shlex.join(lab.ssh(*ssh)), source + "/", "lab:" + target + "/"])


def tar(lab, source, target, ssh=(), sync=False):
    there = f"tar -C {shlex.quote(target)} -xf -" + (
        f" && sync -f {shlex.quote(target)}" if sync else "")
    _run(["sh", "-c", f"tar -C {shlex.quote(source)} --exclude=./.drover -cf - . | "
          f"{shlex.join(lab.ssh(*ssh, 'lab'))} {shlex.quote(there)}"])


def unison(lab, source, target):
    _run(["unison", source, f"ssh://lab/{target}", "-batch", "-silent", "-ui", "text",
          "-sshargs", "-F " + lab.path("ssh/config"), "-ignore", "Path .drover",
          "-force", source], ok=(0, 1))


def copiers(lab):
    """name -> (durability in words, function(source, target))."""
    if not lab.peers:
        return {}
    return {
        "rsync -a": ("none", lambda s, t: rsync(lab, s, t)),
        "rsync -a --fsync": ("each file", lambda s, t: rsync(lab, s, t, "--fsync")),
        "tar | ssh tar": ("none", lambda s, t: tar(lab, s, t)),
        "tar | ssh tar, sync": ("at the end", lambda s, t: tar(lab, s, t, sync=True)),
    }


# --- programs that follow changes ----------------------------------------------


class InotifyRsync:
    """The loop of many a blog: inotifywait, then rsync of what was named."""
    durability = "none"

    def __init__(self, lab, source, target, mux=True):
        self.lab, self.process = lab, None
        ssh = lab.ssh(*(lab.open_master() if mux else []))
        self.script = f"""
cd {shlex.quote(source)}
inotifywait -q -m -r -e close_write,moved_to,delete --exclude '^./[.]drover' \
    --format '%w%f' . |
while read -r name; do
    names=$name
    while read -r -t 0.001 name; do names="$names
$name"; done
    printf '%s\\n' "$names" | sort -u |
        rsync -a --files-from=- --ignore-missing-args -e {shlex.quote(shlex.join(ssh))} ./ lab:{target}/
done
"""

    def start(self):
        self.process = self.lab.spawn(["bash", "-c", self.script])
        return self

    def stop(self):
        self.lab.end(self.process)


class Lsyncd:
    """delay=0; rsync over a shared connection, or as shipped."""
    durability = "none"

    def __init__(self, lab, source, target, mux=True):
        self.lab, self.process = lab, None
        ssh = lab.ssh(*(lab.open_master() if mux else []))
        self.conf = lab.path("lsyncd.lua")
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(f"""settings {{ nodaemon = true, inotifyMode = "CloseWrite or Modify" }}
sync {{ default.rsync, source = "{source}", target = "lab:{target}", delay = 0,
       exclude = {{ "/.drover" }},
       rsync = {{ archive = true, rsh = "{shlex.join(ssh)}" }} }}
""")

    def start(self):
        self.process = self.lab.spawn(["lsyncd", "-nodaemon", self.conf])
        return self

    def stop(self):
        self.lab.end(self.process)


class Syncthing:
    """Two instances on the loopback address, with a watcher delay of 1 s, the
    shortest it takes."""
    durability = "each file"

    def __init__(self, lab, source, target):
        self.lab, self.ids, self.processes = lab, [], []
        self.homes = [lab.empty("st-a"), lab.empty("st-b")]
        self.folders = [source, target]
        for home in self.homes:
            subprocess.run(["syncthing", "generate", "--home", home, "--no-default-folder"],
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.ids.append(subprocess.run(
                ["syncthing", "--home", home, "--device-id"], check=True, text=True,
                stdout=subprocess.PIPE).stdout.strip())
        for i in (0, 1):
            self._configure(i)

    def _configure(self, i):
        other = 1 - i
        kind = ("sendonly", "receiveonly")[i]
        devices = "".join(
            f'<device id="{self.ids[k]}" compression="never" introducer="false">'
            f"<address>tcp://127.0.0.1:{22100 + k}</address></device>" for k in (0, 1))
        with open(os.path.join(self.homes[i], "config.xml"), "w", encoding="utf-8") as f:
            f.write(f"""<configuration version="35">
<folder id="bench" label="bench" path="{self.folders[i]}" type="{kind}" rescanIntervalS="3600"
 fsWatcherEnabled="true" fsWatcherDelayS="1" ignorePerms="true" autoNormalize="false">
<filesystemType>basic</filesystemType><device id="{self.ids[i]}"></device>
<device id="{self.ids[other]}"></device><minDiskFree unit="">0</minDiskFree></folder>
{devices}
<gui enabled="true" tls="false"><address>127.0.0.1:{22200 + i}</address><apikey>bench</apikey></gui>
<options><listenAddress>tcp://127.0.0.1:{22100 + i}</listenAddress>
<globalAnnounceEnabled>false</globalAnnounceEnabled><localAnnounceEnabled>false</localAnnounceEnabled>
<relaysEnabled>false</relaysEnabled><natEnabled>false</natEnabled><urAccepted>-1</urAccepted>
<crashReportingEnabled>false</crashReportingEnabled><autoUpgradeIntervalH>0</autoUpgradeIntervalH>
<startBrowser>false</startBrowser></options></configuration>
""")

    def start(self):
        for home in self.homes:
            self.processes.append(self.lab.spawn(
                ["syncthing", "serve", "--home", home, "--no-browser", "--no-restart"],
                env=dict(os.environ, STNODEFAULTFOLDER="1")))
        return self

    def stop(self):
        for p in self.processes:
            self.lab.end(p)
        for folder in self.folders:
            shutil.rmtree(os.path.join(folder, ".stfolder"), ignore_errors=True)


def followers(lab):
    """name -> class or function that makes one for (source, target)."""
    if not lab.peers:
        return {}
    return {
        "inotifywait + rsync, mux": lambda s, t: InotifyRsync(lab, s, t),
        "lsyncd, delay 0, mux": lambda s, t: Lsyncd(lab, s, t),
        "lsyncd, delay 0": lambda s, t: Lsyncd(lab, s, t, mux=False),
        "Syncthing": lambda s, t: Syncthing(lab, s, t),
    }


def wait_follows(lab, data, source, target):
    """Until a change that is made now arrives: the peer is at work."""
    def arrives():
        rows = lab.tool("latency", source, target, 1, 1000, 1000, *data)
        return rows and rows[0]["us"] >= 0
    wait_until("the peer follows changes", arrives, seconds=120)
