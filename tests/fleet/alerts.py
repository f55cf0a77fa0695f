"""Provokes every alert of deploy/monitoring and asks every query of its dashboard, of a real Prometheus that scrapes real
servers and gateways:  python3 -B tests/fleet/alerts.py PROGRAMS FOLDER

What is otherwise than at a site, so that it takes a minute and not a day (SUBSTITUTED below): `for` is one second, the window of
a rate 15 s, a day lasts a millisecond, and a place that lacks 10 audit entries lacks many. All else is as it is shipped.
"""

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import sys
import threading
import time
from pathlib import Path

from sites import Gateway, Prometheus, Server, Site, enrolled, free_port, until

MONITORING = Path(__file__).resolve().parents[2] / "deploy" / "monitoring"
SUBSTITUTED = [
    (r"^( *for: ).*$", r"\g<1>1s"),
    (r"\[1[05]m\]", "[15s]"),
    (r"\b86400\b", "0.001"),
    (r"(portcullis_forward_behind > )10000", r"\g<1>10"),
]
# These hold at a sound site, too, where a day lasts a millisecond or the machine's disk is small.
ALWAYS = {"PortcullisServerKeyOld", "PortcullisGatewayKeyOld", "PortcullisDiskFilling", "PortcullisGatewayDiskFilling"}


def rules():
    text = (MONITORING / "alerts.yml").read_text()
    for pattern, place in SUBSTITUTED:
        text, count = re.subn(pattern, place, text, flags=re.MULTILINE)
        assert count, f"nothing in alerts.yml is like {pattern}"
    return text


def queries():
    """Every query of the dashboard."""

    def walk(node):
        if isinstance(node, dict):
            if isinstance(node.get("expr"), str):
                yield node["expr"]
            for value in node.values():
                yield from walk(value)
        elif isinstance(node, list):
            for value in node:
                yield from walk(value)

    return list(walk(json.loads((MONITORING / "dashboard.json").read_text())))


class Provoked:
    """The faults, each at a site of its own or where it spoils nothing else."""

    def __init__(self, site):
        self.site, self.stop = site, threading.Event()
        # Sound to begin with; in the end both are killed.
        self.sound = Server(site, "sound")
        self.sound.start()
        self.worker = enrolled(site, self.sound, "worker")
        # Without protection, on a small disk, and its audit entries go nowhere.
        nowhere = f'[forward.nowhere]\ntype = "syslog"\nto = "tcp://127.0.0.1:{free_port()}"\n'
        # Its certificate ends tomorrow, and so does that of a gateway.
        nowhere += site.tls("127.0.0.1", "gateway_ca", "server", "gateways")
        self.bare = Server(site, "bare", nowhere, data=site.disk("bare", 200), init=["--protection", "default"])
        self.bare.start()
        self.lost = enrolled(site, self.bare, "lost")
        # Whose repository is tampered with, and put back.
        self.tampered = Server(site, "tampered")
        self.tampered.start(before=["prlimit", "--nofile=96:96"])
        self.restored = Server(site, "restored")
        self.restored.start()
        self.ahead = enrolled(site, self.restored, "ahead")
        small = site.disk("full.state", 24)
        more = '[connectors.none]\ntype = "script"\nfolder = "/nonexistent/scripts"\n[journal]\nmost_mib = 1\n'
        self.full = enrolled(site, self.sound, "full", more=more, state=small)
        self.damaged = enrolled(site, self.sound, "damaged")
        ends = site.tls("pairing", "server_ca", "gateway", "servers")
        self.pairing = Gateway(site, self.bare, "pairing", more=ends)
        # Its clock is two minutes ahead.
        self.early = enrolled(site, self.bare, "early", before=site.clock_ahead())

    def servers(self):
        return [self.sound, self.bare, self.tampered, self.restored]

    def gateways(self):
        return [self.worker, self.lost, self.ahead, self.full, self.damaged, self.pairing, self.early]

    def work(self):
        """Calls as there are at a sound site, for the dashboard."""
        for _ in range(3):
            self.sound.cli("run", "worker-scripts", "record")
            self.sound.cli("account", "get", "worker-scripts", "ada")

    def begin_slow(self):
        self.sound.background("run", "worker-scripts", "slow")

    def journals(self):
        """A journal nearly as large as it may be."""
        # One server's entries fill four fifths at the most.
        journal, largest = self.full.state / "journal", (1 << 20) * 73 // 100
        for part in range(24):
            names = "\n".join(f"{'n' * 180}{number:05}" for number in range(200 * part, 200 * (part + 1)))
            people = self.site.write(f"people{part}.csv", f"name\n{names}\n")
            self.sound.asked("account", "import", "full-scripts", people)
            if journal.stat().st_size > largest:
                break

    def damage(self):
        """A journal that somebody has changed."""
        for _ in range(3):
            self.sound.cli("run", "damaged-scripts", "record")
        self.damaged.process.kill()
        journal = self.damaged.state / "journal"
        content = bytearray(journal.read_bytes())
        content[len(content) // 2] ^= 1
        journal.write_bytes(content)
        self.damaged.start()

    def others(self):
        """All that is quickly done."""
        bare, tampered = self.bare, self.tampered
        # Pairing is open, and nobody comes.
        bare.cli("gateway", "add", "pairing", "--dial-out")
        self.pairing.program("pair", "--for", "10m")
        self.pairing.start()
        # One token, two hosts.
        first, second = (Gateway(self.site, bare, name) for name in ("first", "second"))
        token = json.loads(bare.cli("gateway", "add", "twice", "--dial-out", "--output", "json"))["token"]
        first.enrol(token)
        second.enrol(token)
        first.start()
        bare.cli("gateway", "ping", "twice", "--wait", "30s")
        until("the first to hold its key", lambda: bare.gateway("twice")["synchronized"])
        first.process.kill()
        second.start()
        # A gateway that is away while the key is replaced.
        self.lost.process.kill()
        bare.asked("key", "rotate-gateway", "--wait", "1s")
        # A record changed by hand, and a task that finds it.
        tampered.cli("gateway", "add", "victim", "--dial-out")
        with sqlite3.connect(tampered.data / "portcullis.db") as database:
            database.execute("UPDATE gateways SET created_ms = created_ms + 1")
        tampered.asked("key", "verify")
        # Configurations that are wrong.
        for at in (bare, self.full):
            at.config.write_text(at.config.read_text() + "\nnonsense = [\n")
            os.kill(at.process.process.pid, signal.SIGHUP)
        # Connections that nobody closes.
        self.held = []
        for _ in range(96):
            held = socket.socket(socket.AF_UNIX)
            held.settimeout(1)
            try:
                held.connect(str(tampered.socket))
            except OSError:
                break
            self.held.append(held)
            if len(os.listdir(f"/proc/{tampered.process.process.pid}/fd")) >= 90:
                break

    def put_back(self):
        """A server that is put back to before a rotation."""
        at = self.restored
        at.process.kill()
        copy = self.site.path("copy")
        shutil.copytree(at.data, copy)
        at.start()
        at.cli("gateway", "ping", "ahead", "--wait", "30s")
        at.cli("key", "rotate-gateway", "--wait", "30s")
        until("the key to be proved", lambda: at.gateway("ahead")["synchronized"])
        at.process.kill()
        shutil.rmtree(at.data)
        shutil.copytree(copy, at.data)
        at.start()

    def killed_at_work(self):
        """A gateway that is killed in the middle of a call of which nobody can tell what came."""
        self.sound.background("run", "worker-scripts", "hang")
        until("the script to begin", lambda: (self.worker.scripts / "run-hang.begun").exists())
        self.worker.process.kill()
        self.worker.start()

    def again_and_again(self):
        """Strangers who dial, and calls to a gateway that is away."""

        def strangers():
            while not self.stop.is_set():
                for _ in range(10):
                    try:
                        with socket.create_connection(("127.0.0.1", self.bare.dial_out), timeout=1) as stranger:
                            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n" * 8)
                    except OSError:
                        pass
                time.sleep(0.5)

        def calls():
            while not self.stop.is_set():
                self.bare.asked("account", "get", "lost-scripts", "ada")
                time.sleep(0.2)

        for work in (strangers, calls):
            threading.Thread(target=work, daemon=True).start()


def within(seconds, probe):
    """Waits for it; what did not come is told in the end."""
    deadline = time.monotonic() + seconds
    while not probe() and time.monotonic() < deadline:
        time.sleep(0.2)


def main(programs, folder):
    site = Site(folder, programs)
    try:
        run(site)
    finally:
        site.end()


def run(site):
    began = time.monotonic()
    prometheus = Prometheus(site, rules())
    wanted = set(prometheus.rules())
    provoked = Provoked(site)
    provoked.work()
    prometheus.scrape([provoked.sound], [provoked.worker])
    until("a first look at the sound site", lambda: prometheus.has_data("portcullis_gateway_ready") and prometheus.has_data("portcullis_ready"))
    time.sleep(3)
    early = prometheus.firing() - ALWAYS
    print("ok: a sound site is silent" if not early else f"FOUND: these fire where nothing is wrong: {sorted(early)}")
    prometheus.scrape(provoked.servers(), [one for one in provoked.gateways() if one is not provoked.pairing])
    print(f"{len(wanted)} alerts, set up in {time.monotonic() - began:.0f} s", flush=True)

    seen = set()

    def look():
        while not provoked.stop.is_set():
            seen.update(prometheus.firing())
            time.sleep(0.3)

    threading.Thread(target=look, daemon=True).start()
    provoked.begin_slow()
    provoked.others()
    provoked.damage()
    prometheus.scrape(provoked.servers(), provoked.gateways())
    provoked.put_back()
    provoked.again_and_again()
    provoked.journals()
    within(10, lambda: "PortcullisGatewayJournalFilling" in seen)
    print(f"provoked after {time.monotonic() - began:.0f} s", flush=True)
    last = {"PortcullisServerDown", "PortcullisGatewayDown", "PortcullisCallsIndeterminate"}
    within(45, lambda: wanted - last <= seen)
    provoked.killed_at_work()
    within(20, lambda: "PortcullisCallsIndeterminate" in seen)
    ask_dashboard(prometheus)
    provoked.worker.process.kill()
    provoked.sound.process.kill()
    within(15, lambda: wanted <= seen)
    provoked.stop.set()
    for name in sorted(wanted):
        print(f"ok: {name} fires" if name in seen else f"FOUND: {name} was provoked and does not fire")
    print(f"took {time.monotonic() - began:.0f} s")


def ask_dashboard(prometheus):
    for query in queries():
        if prometheus.has_data(query):
            print(f"ok: the dashboard has data for {query}")
        else:
            print(f"FOUND: the dashboard has no data for {query}")


if __name__ == "__main__":
    main(*sys.argv[1:])
