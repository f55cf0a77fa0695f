"""Servers, gateways and a Prometheus as processes in a folder, all of them killed at the end."""

import json
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path

# How long anything may take that is awaited, in seconds.
PATIENCE = 60

# Laid before the programs' own libraries, it shows a clock that is two minutes ahead.
CLOCK_AHEAD = """
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec += 120;
    return failed;
}
"""
RECORD = "#!/bin/sh\ncat >/dev/null\n"
SLOW = "#!/bin/sh\ncat >/dev/null\nsleep 31\n"
HANG = "#!/bin/sh\necho begun >\"$0.begun\"\nexec sleep 600\n"
GET = '#!/bin/sh\ncat >/dev/null\necho \'{"object":{"id":"1","name":"ada"}}\'\n'
CREATE = '#!/bin/sh\ncat >/dev/null\necho \'{"error":{"kind":"rejected","message":"nobody is made here"}}\'\n'
TEST = '#!/bin/sh\ncat >/dev/null\necho \'{"report":"it is there"}\'\n'


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def until(what, probe, patience=PATIENCE):
    """Asks again and again until `probe` gives something."""
    deadline = time.monotonic() + patience
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise SystemExit(f"FOUND: waited {patience} s in vain for {what}")
        time.sleep(0.1)


class Process:
    """One program, and the file with what it says."""

    def __init__(self, log, command, **how):
        self.log = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out, **how
            )

    def kill(self):
        self.process.kill()
        self.process.wait()


class Site:
    """The folder, and the programs that are tried."""

    def __init__(self, folder, programs):
        self.folder, self.programs, self.running = Path(folder), Path(programs), []

    def path(self, name):
        return self.folder / name

    def write(self, name, text, mode=0o600):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def start(self, name, command, **how):
        process = Process(self.path(f"{name}.log"), command, **how)
        self.running.append(process)
        return process

    def clock_ahead(self):
        """What is put before a command whose clock is ahead."""
        source, library = self.write("ahead.c", CLOCK_AHEAD), self.path("ahead.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", library, source], check=True)
        return ["env", f"LD_PRELOAD={library}"]

    def tls(self, name, own, side, others):
        """`[tls]` with a certificate for `name` that ends tomorrow, under authorities of this site."""
        authorities = self.path("tls")
        command = [self.programs / "portcullis", "tls"]
        if not authorities.exists():
            subprocess.run([*command, "init", "--dir", authorities], check=True, capture_output=True)
        out = self.path(f"tls.{side}")
        out.mkdir()
        subprocess.run([*command, side, name, "--dir", authorities, "--out", out, "--days", "1"], check=True, capture_output=True)
        return (
            f'[tls]\ncertificate = "{out}/{name}.pem"\nkey = "{out}/{name}.key"\n'
            f'{own} = "{authorities}/{others}-ca.pem"\nrequire = false\n'
        )

    def disk(self, name, mib):
        """A folder on a disk of its own."""
        folder = self.path(name)
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "tmpfs", folder], check=True)
        return folder

    def end(self):
        for process in self.running:
            if process.process.poll() is None:
                process.kill()


class Server:
    def __init__(self, site, name, more="", data=None, init=()):
        self.site, self.name = site, name
        self.data = data or site.path(name)
        self.socket = site.path(f"{name}.run") / "admin.sock"
        self.socket.parent.mkdir(mode=0o700)
        self.watch, self.dial_out = free_port(), free_port()
        # Beside the repository lies the audit log's head file, which no other site shares.
        self.config = site.write(
            f"{name}.toml",
            f'data_dir = "{self.data}"\n[admin]\nsocket = "{self.socket}"\n'
            f'[dial_out]\nlisten = "127.0.0.1:{self.dial_out}"\n[links]\nbackoff_min = "100ms"\nbackoff_max = "1s"\n'
            f'[watch]\nlisten = "127.0.0.1:{self.watch}"\n{more}',
        )
        self.process = None
        self.program("init", *init)

    def command(self, *words):
        return [self.site.programs / "portcullis-server", "--config", self.config, *words]

    def program(self, *words):
        subprocess.run(self.command(*words), check=True, capture_output=True)

    def start(self, before=()):
        self.process = self.site.start(self.name, [*before, *self.command("serve")])
        until(f"{self.name} to answer", lambda: self.asked("status").returncode in (0, 1, 2) and self.socket.exists())
        self.cli("status", "--wait", "30s")

    def asked(self, *words, **how):
        command = [self.site.programs / "portcullis", *words, "--socket", self.socket]
        return subprocess.run([str(word) for word in command], capture_output=True, text=True, **how)

    def cli(self, *words):
        done = self.asked(*words)
        if done.returncode != 0:
            raise SystemExit(f"FOUND: portcullis {' '.join(map(str, words))}: {done.stderr}")
        return done.stdout

    def background(self, *words):
        """A call that nobody waits for."""
        self.site.start(f"{self.name}.call", [self.site.programs / "portcullis", *words, "--socket", self.socket])

    def gateway(self, name):
        return json.loads(self.cli("gateway", "show", name, "--output", "json"))


class Gateway:
    """One that dials `server`, with a connector of scripts."""

    def __init__(self, site, server, name, more="", state=None, before=()):
        self.site, self.name, self.before = site, name, before
        self.state = state or site.path(f"{name}.state")
        self.state.mkdir(mode=0o700, exist_ok=True)
        scripts = site.path(f"{name}.scripts")
        scripts.mkdir()
        for script, text in {
            "run-record": RECORD, "run-slow": SLOW, "run-hang": HANG, "get": GET, "create": CREATE, "test": TEST,
        }.items():
            site.write(f"{name}.scripts/{script}", text, 0o700)
        self.scripts = scripts
        self.watch = free_port()
        self.config = site.write(
            f"{name}.toml",
            f'state_dir = "{self.state}"\n[dial_out]\nserver = "127.0.0.1:{server.dial_out}"\nname = "{name}"\n'
            f'[watch]\nlisten = "127.0.0.1:{self.watch}"\nlink_within = "1s"\n'
            f'[connectors.scripts]\ntype = "script"\nfolder = "{scripts}"\ntimeout = "50s"\nserialize_changes = false\n{more}',
        )
        self.process = None

    def command(self, *words):
        return [self.site.programs / "portcullis-gateway", "--config", self.config, *words]

    def program(self, *words, **how):
        return subprocess.run([str(word) for word in self.command(*words)], capture_output=True, text=True, **how)

    def enrol(self, token):
        done = self.program("enroll", input=token)
        if done.returncode != 0:
            raise SystemExit(f"FOUND: {self.name} does not enrol: {done.stderr}")

    def start(self):
        self.process = self.site.start(self.name, [*self.before, *self.command("run")])


def enrolled(site, server, name, **how):
    """A gateway with its link, and the resource NAME-scripts on it."""
    gateway = Gateway(site, server, name, **how)
    added = json.loads(server.cli("gateway", "add", name, "--dial-out", "--output", "json"))
    gateway.enrol(added["token"])
    gateway.start()
    server.cli("gateway", "ping", name, "--wait", "30s")
    until(f"{name} to hold the key", lambda: server.gateway(name)["synchronized"])
    server.cli("resource", "add", f"{name}-scripts", "--gateway", name, "--connector", "scripts")
    return gateway


class Prometheus:
    def __init__(self, site, rules):
        self.site, self.port = site, free_port()
        site.write("rules.yml", rules)
        jobs = "".join(
            f"  - {{job_name: portcullis-{job}, file_sd_configs: [{{files: [{job}.json]}}]}}\n" for job in ("server", "gateway")
        )
        config = site.write(
            "prometheus.yml",
            "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
            f"rule_files: [rules.yml]\nscrape_configs:\n{jobs}",
        )
        self.scrape([], [])
        site.start("prometheus", [
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={site.path('tsdb')}",
            f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn",
        ])
        until("Prometheus", lambda: self.asked("/api/v1/rules"))

    def scrape(self, servers, gateways):
        """From now on these are asked."""
        for job, those in (("server", servers), ("gateway", gateways)):
            targets = [f"127.0.0.1:{one.watch}" for one in those]
            # Renamed into place: half a file is never read.
            self.site.write(f"{job}.json.new", json.dumps([{"targets": targets}])).rename(self.site.path(f"{job}.json"))

    def asked(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    def rules(self):
        groups = self.asked("/api/v1/rules")["groups"]
        return [rule["name"] for group in groups for rule in group["rules"]]

    def firing(self):
        alerts = self.asked("/api/v1/alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def has_data(self, query):
        return bool(self.asked("/api/v1/query", query=query)["result"])

