//! Reads the sections of the configuration, each in a function of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_common::crypto::suites::Suite;
use portcullis_common::stream::ChannelLimits;
use portcullis_host::config::{Problems, Section};
use portcullis_host::log::Log;
use portcullis_host::names::{host_port, is_name};
use portcullis_tls::{Settings, Side};
use portcullis_watch::traces::TraceSettings;

use super::{
    Config, ConnectorConfig, ConnectorsConfig, Credential, DEFAULT_PORT, Dial, JournalSettings,
    Limits, Proxy, Watch, WorkerConfig, WorkerKind, WorkersConfig, platform,
};

/// The whole file; the caller finishes the root.
pub(super) fn root(root: &mut Section<'_>, problems: &Problems) -> Config {
    let instance = root.text("instance").unwrap_or("default").to_owned();
    if !is_name(&instance) {
        root.problem("instance", NAME_RULE);
    }
    let state_dir = root
        .text("state_dir")
        .map_or_else(platform::default_state_dir, PathBuf::from);
    if !state_dir.is_absolute() {
        root.problem("state_dir", "an absolute path is allowed");
    }
    let dial = dial(root);
    let tls = tls(root);
    let key_store = key_store(root, &instance);
    let (suites, channel) = channel(root);
    let (limits, journal) = (limits(root), journal(root));
    let (watch, traces) = (watch(root), traces(root));
    let (log, log_for_server) = log(root);
    let workers = workers(root, &instance);
    Config {
        instance,
        state_dir,
        dial,
        tls,
        key_store,
        suites,
        channel,
        limits,
        journal,
        watch,
        traces,
        log,
        log_for_server,
        connectors: connectors(root, problems, workers.is_some()),
        workers,
        source: None,
    }
}

fn dial(root: &mut Section<'_>) -> Dial {
    let default = Dial::Listen(SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT)));
    let both = root.has("listen") && root.has("dial_out");
    let listen = root.section("listen").map(|mut section| {
        let address = section.text("address").and_then(|text| {
            // With port 0 the system would choose another one at each start.
            let parsed = text.parse().ok().filter(|address: &SocketAddr| address.port() != 0);
            if parsed.is_none() {
                section.problem("address", format!("`{text}`: IP:PORT is allowed, such as \"0.0.0.0:{DEFAULT_PORT}\" or \"[::]:{DEFAULT_PORT}\""));
            }
            parsed
        });
        section.finish();
        address.map_or_else(|| default.clone(), Dial::Listen)
    });
    let dial_out = root.section("dial_out").map(dial_out);
    if both {
        root.problem(
            "dial_out",
            "either [listen] (the server dials this gateway) or [dial_out] (this gateway dials the server) is allowed, not both",
        );
    }
    dial_out.or(listen).unwrap_or(default)
}

fn dial_out(mut section: Section<'_>) -> Dial {
    let server = section.text("server").unwrap_or_default().to_owned();
    if !section.has("server") {
        section.problem(
            "server",
            "missing: give the server's HOST:PORT, such as \"central.example.com:9279\"",
        );
    } else if host_port(&server, None).is_err() {
        section.problem("server", format!("`{server}`: HOST:PORT is allowed, such as \"central.example.com:9279\" or \"[2001:db8::1]:9279\""));
    }
    let others = section.list("others", |text| {
        host_port(text, None)
            .map(|_| text.to_owned())
            .map_err(|_| "HOST:PORT is allowed".to_owned())
    });
    let name = section.text("name").map(str::to_owned);
    if name.as_deref().is_some_and(|name| !is_name(name)) {
        section.problem("name", NAME_RULE);
    }
    let proxy = proxy(&mut section);
    section.finish();
    Dial::Out {
        server,
        others: others.unwrap_or_default(),
        name,
        proxy,
    }
}

fn proxy(section: &mut Section<'_>) -> Option<Proxy> {
    let credentials = section.text("proxy_credentials").map(PathBuf::from);
    if credentials.as_ref().is_some_and(|file| !file.is_absolute()) {
        section.problem("proxy_credentials", "an absolute path is allowed");
    }
    let Some(url) = section.text("proxy") else {
        if credentials.is_some() {
            section.problem("proxy_credentials", "without `proxy` it is of no use");
        }
        return None;
    };
    let rest = url.strip_prefix("http://");
    let rest = rest.map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    match rest.map(|rest| host_port(rest, None)) {
        Some(Ok(address)) => {
            return Some(Proxy {
                address,
                credentials,
            });
        }
        // A password is not shown again.
        Some(Err(_)) if url.contains('@') => section.problem(
            "proxy",
            "no name and password may stand here: `proxy_credentials` names the file with them",
        ),
        _ => section.problem(
            "proxy",
            format!(
                "`{url}`: http://HOST:PORT is allowed, such as \"http://proxy.example.com:3128\""
            ),
        ),
    }
    None
}

fn tls(root: &mut Section<'_>) -> Option<Settings> {
    let mut section = root.section("tls")?;
    let settings = Settings::read(&mut section, Side::Gateway);
    section.finish();
    settings
}

fn key_store(root: &mut Section<'_>, instance: &str) -> Option<Credential> {
    let mut section = root.section("key_store")?;
    let name = section.text("secret_credential").map(str::to_owned);
    let name = name.filter(|name| !name.is_empty());
    if name.as_deref().is_some_and(|name| !is_name(name)) {
        section.problem("secret_credential", NAME_RULE);
    }
    if name.is_some() && !platform::HAS_CREDENTIALS {
        section.problem(
            "secret_credential",
            "systemd alone hands credentials to its services: on Windows the keys are under the system's own protection",
        );
    }
    section.finish();
    Some(Credential {
        name: name?,
        unit: match instance {
            "default" => "portcullis-gateway.service".to_owned(),
            other => format!("portcullis-gateway@{other}.service"),
        },
    })
}

fn channel(root: &mut Section<'_>) -> (Vec<Suite>, ChannelLimits) {
    let mut suites = Suite::ALL.to_vec();
    let mut limits = ChannelLimits::default();
    if let Some(mut section) = root.section("channel") {
        if let Some(list) = section.list("suites", |text| {
            text.parse::<Suite>().map_err(|error| error.to_string())
        }) {
            if list.is_empty() {
                section.problem(
                    "suites",
                    "empty: at least one of `TDES-CTR-HMAC-SHA256` and `AES-256-GCM` is needed",
                );
            }
            suites = list;
        }
        if let Some(timeout) = section.duration("handshake_timeout", seconds(1)..=seconds(60)) {
            limits.handshake = timeout;
        }
        if let Some(age) = section.duration("epoch_age", seconds(1)..=seconds(600)) {
            limits.epoch_age = age;
        }
        section.finish();
    }
    (suites, limits)
}

fn limits(root: &mut Section<'_>) -> Limits {
    let mut limits = Limits::default();
    let Some(mut section) = root.section("limits") else {
        return limits;
    };
    let mut count = |key, most, limit: &mut usize| {
        if let Some(number) = section.integer(key, 1..=most) {
            *limit = usize::try_from(number).unwrap_or(usize::MAX);
        }
    };
    count("half_open", 4096, &mut limits.half_open);
    count(
        "half_open_per_address",
        4096,
        &mut limits.half_open_per_address,
    );
    count("calls", 4096, &mut limits.calls);
    if let Some(timeout) = section.duration("call_timeout", seconds(1)..=seconds(3600)) {
        limits.call_timeout = timeout;
    }
    section.finish();
    limits
}

fn journal(root: &mut Section<'_>) -> JournalSettings {
    let mut journal = JournalSettings::default();
    let Some(mut section) = root.section("journal") else {
        return journal;
    };
    if let Some(most) = section.integer("most_mib", 1..=4096) {
        journal.most = most << 20;
    }
    if let Some(kept) = section.duration("kept", seconds(3600)..=seconds(10 * 365 * 86_400)) {
        journal.kept = kept;
    }
    section.finish();
    journal
}

fn watch(root: &mut Section<'_>) -> Watch {
    let mut watch = Watch::default();
    let Some(mut section) = root.section("watch") else {
        return watch;
    };
    watch.settings = portcullis_watch::Settings::read(&mut section);
    if let Some(within) = section.duration("link_within", seconds(1)..=seconds(86_400)) {
        watch.link_within = within;
    }
    section.finish();
    watch
}

fn traces(root: &mut Section<'_>) -> TraceSettings {
    let Some(mut section) = root.section("traces") else {
        return TraceSettings::default();
    };
    let traces = TraceSettings::read(&mut section);
    section.finish();
    traces
}

/// How it is logged, and whether it is for servers, too.
fn log(root: &mut Section<'_>) -> (Log, bool) {
    let Some(mut section) = root.section("log") else {
        return (Log::default(), true);
    };
    let log = Log::read(&mut section);
    let for_server = section.boolean("for_server").unwrap_or(true);
    section.finish();
    (log, for_server)
}

fn workers(root: &mut Section<'_>, instance: &str) -> Option<WorkersConfig> {
    if root.has("workers") && !platform::HAS_WORKERS {
        root.problem(
            "workers",
            "on Windows the gateway is one process: leave this section out",
        );
    }
    let mut section = root.section("workers")?;
    let user = section.text("user").unwrap_or("portcullis-gateway");
    let user = user.to_owned();
    let privileged = worker(&mut section, WorkerKind::Privileged, instance);
    let networked = worker(&mut section, WorkerKind::Networked, instance);
    section.finish();
    Some(WorkersConfig {
        user,
        privileged,
        networked,
    })
}

fn worker(section: &mut Section<'_>, kind: WorkerKind, instance: &str) -> WorkerConfig {
    // As the units have it.
    let name = match instance {
        "default" => format!("portcullis-worker-{kind}"),
        other => format!("portcullis-worker-{kind}-{other}"),
    };
    let mut config = WorkerConfig {
        socket: Path::new("/run").join(&name).join("socket"),
        state_dir: Path::new("/var/lib").join(&name),
    };
    if let Some(mut own) = section.section(kind.name()) {
        for (key, path) in [
            ("socket", &mut config.socket),
            ("state_dir", &mut config.state_dir),
        ] {
            let Some(given) = own.text(key).map(PathBuf::from) else {
                continue;
            };
            if !given.is_absolute() {
                own.problem(key, "an absolute path is allowed");
            }
            *path = given;
        }
        own.finish();
    }
    config
}

fn connectors(root: &mut Section<'_>, problems: &Problems, in_processes: bool) -> ConnectorsConfig {
    let mut connectors = Vec::new();
    if let Some(mut section) = root.section("connectors") {
        for (name, table) in section.named_tables() {
            if !is_name(name) {
                section.problem(name, NAME_RULE);
            }
            let mut own = Section::new(format!("connectors.{name}"), table, problems);
            if !own.has("type") {
                own.problem("type", "missing: it says which connector this is");
            }
            let kind = own.text("type").unwrap_or_default().to_owned();
            let worker = WorkerKind::of_type(&kind)
                .or_else(|| own.text("worker").and_then(WorkerKind::named));
            if in_processes && worker.is_none() && !own.has("worker") {
                own.problem(
                    "worker",
                    "missing: with [workers], \"privileged\" or \"networked\" says which of them runs the scripts",
                );
            }
            connectors.push(ConnectorConfig {
                name: name.to_owned(),
                kind,
                worker,
                table: table.clone(),
            });
        }
    }
    ConnectorsConfig {
        file: problems.file().to_owned(),
        connectors,
    }
}

const NAME_RULE: &str = "1 to 64 of the characters A-Z a-z 0-9 . _ - are allowed, the first of them a letter or a digit";

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
