//! Reads the sections of the configuration, each in a function of its own.

use std::path::Path;

use portcullis_host::config::{Problems, Section};
use portcullis_host::log::Log;
use portcullis_host::names::host_port;
use portcullis_tls::{Settings, Side};
use portcullis_watch::traces::TraceSettings;

use super::capabilities::Warning;
use super::sections::{Admin, Audit, Calls, Channel, DialOut, Keys, Links, Peers, Server};
use super::{Capabilities, Config, Engine, Forward, SecretSource, default_secret, values};

/// The whole file.
pub(super) fn root(mut root: Section<'_>, problems: &Problems) -> Config {
    let default = Config::default();
    let data_dir = values::absolute_path(&mut root, "data_dir").unwrap_or(default.data_dir);
    let secret = secret(&mut root, &data_dir, problems);
    let engine = repository(&mut root, problems);
    let server = server(&mut root);
    let mut warnings = Vec::new();
    let admin = admin(&mut root, &mut warnings);
    let group_is_sound = problems.none_of("admin.socket_group") && warnings.is_empty();
    let capabilities = capabilities(&mut root, &mut warnings);
    if admin.socket_group.is_none() && group_is_sound && !capabilities.is_empty() {
        contradiction(
            problems,
            "[capabilities] names users who cannot open the socket: set [admin] socket_group to a group that they are all in",
        );
    }
    let peers = peers(&mut root, &engine, problems);
    let config = Config {
        secret,
        engine,
        server,
        peers,
        admin,
        capabilities,
        audit: audit(&mut root, &data_dir),
        dial_out: dial_out(&mut root),
        tls: tls(&mut root),
        channel: channel(&mut root),
        links: links(&mut root, problems),
        keys: keys(&mut root),
        calls: calls(&mut root),
        forward: forward(&mut root, problems),
        watch: watch(&mut root),
        traces: traces(&mut root),
        log: log(&mut root),
        warnings: warnings
            .iter()
            .map(|warning| told(warning, problems))
            .collect(),
        data_dir,
    };
    finish(root);
    config
}

/// A warning as it is told: where it stands, and what it is.
fn told(warning: &Warning, problems: &Problems) -> String {
    let Warning { line, key, message } = warning;
    format!(
        "{}, line {line}: {key}: {message}",
        problems.file().display()
    )
}

fn secret(root: &mut Section<'_>, data_dir: &Path, problems: &Problems) -> SecretSource {
    let file = values::absolute_path(root, "secret_file");
    let credential = values::credential(root, "secret_credential");
    let prompt = root.boolean("secret_prompt").unwrap_or(false);
    match (file, credential, prompt) {
        (None, None, false) => return default_secret(data_dir),
        (Some(path), None, false) => return SecretSource::File(path),
        (None, Some(name), false) => return SecretSource::Credential(name),
        (None, None, true) => return SecretSource::Prompt,
        (Some(_), Some(_), _) => contradiction(
            problems,
            "secret_file and secret_credential are both given: leave one of them out",
        ),
        (Some(_), None, true) => contradiction(
            problems,
            "secret_file is given and secret_prompt is true: leave one of them out",
        ),
        (None, Some(_), true) => contradiction(
            problems,
            "secret_credential is given and secret_prompt is true: leave one of them out",
        ),
    }
    default_secret(data_dir)
}

fn repository(root: &mut Section<'_>, problems: &Problems) -> Engine {
    let Some(mut section) = root.section("repository") else {
        return Engine::default();
    };
    let engine = super::repository::read(&mut section, problems);
    finish(section);
    engine
}

fn server(root: &mut Section<'_>) -> Server {
    let mut server = Server::default();
    if let Some(mut section) = root.section("server") {
        server.name = values::server_name(&mut section, "name");
        finish(section);
    }
    server
}

fn admin(root: &mut Section<'_>, warnings: &mut Vec<Warning>) -> Admin {
    let mut admin = Admin::default();
    if let Some(mut section) = root.section("admin") {
        set(
            &mut admin.socket,
            values::absolute_path(&mut section, "socket"),
        );
        admin.socket_group = super::capabilities::socket_group(&mut section, warnings);
        set(&mut admin.second_person, section.boolean("second_person"));
        finish(section);
    }
    admin
}

fn capabilities(root: &mut Section<'_>, warnings: &mut Vec<Warning>) -> Capabilities {
    let Some(mut section) = root.section("capabilities") else {
        return Capabilities::default();
    };
    let capabilities = Capabilities::read(&mut section, warnings);
    finish(section);
    capabilities
}

fn audit(root: &mut Section<'_>, data_dir: &Path) -> Audit {
    let mut audit = Audit::beside(data_dir);
    if let Some(mut section) = root.section("audit") {
        set(
            &mut audit.head_file,
            values::absolute_path(&mut section, "head_file"),
        );
        set(&mut audit.calls, section.boolean("calls"));
        finish(section);
    }
    audit
}

fn dial_out(root: &mut Section<'_>) -> DialOut {
    let mut dial_out = DialOut::default();
    if let Some(mut section) = root.section("dial_out") {
        set(
            &mut dial_out.listen,
            values::optional_address(&mut section, "listen"),
        );
        for (key, limit) in [
            ("half_open", &mut dial_out.half_open),
            ("half_open_per_address", &mut dial_out.half_open_per_address),
        ] {
            let given = section.integer(key, 1..=65_536);
            set(limit, given.and_then(|given| given.try_into().ok()));
        }
        finish(section);
    }
    dial_out
}

/// The port that [`Peers::advertise`] has where it names none.
const PEERS_PORT: u16 = 9282;

fn peers(root: &mut Section<'_>, engine: &Engine, problems: &Problems) -> Option<Peers> {
    let mut section = root.section("peers")?;
    let listen = values::optional_address(&mut section, "listen").flatten();
    let advertise = section.text("advertise").map(str::to_owned);
    let advertise = advertise.and_then(|text| {
        let address = host_port(&text, Some(PEERS_PORT));
        let problem = address.as_ref().err().map(|why| {
            format!("no address to dial ({why}): give HOST:PORT by which the other servers reach this one, like `server1.example.com:{PEERS_PORT}`")
        });
        if let Some(problem) = problem {
            section.problem("advertise", problem);
        }
        address.ok()
    });
    let sound = section.is_sound("listen") && section.is_sound("advertise");
    finish(section);
    if sound && (listen.is_none() || advertise.is_none()) {
        contradiction(
            problems,
            "[peers] needs both: `listen`, where this server awaits the others, and `advertise`, where they dial it; without the section there are no links between servers",
        );
    }
    if matches!(engine, Engine::Sqlite) {
        contradiction(
            problems,
            "[peers] is for servers that share a repository in PostgreSQL: leave the section out, or set [repository] engine = \"postgres\"",
        );
    }
    Some(Peers {
        listen: listen?,
        advertise: advertise?,
    })
}

fn tls(root: &mut Section<'_>) -> Option<Settings> {
    let mut section = root.section("tls")?;
    let settings = Settings::read(&mut section, Side::Server);
    finish(section);
    settings
}

fn channel(root: &mut Section<'_>) -> Channel {
    let mut channel = Channel::default();
    if let Some(mut section) = root.section("channel") {
        set(&mut channel.suites, values::suites(&mut section, "suites"));
        set(
            &mut channel.handshake_timeout,
            values::short_duration(&mut section, "handshake_timeout"),
        );
        set(
            &mut channel.epoch_age,
            values::duration(&mut section, "epoch_age"),
        );
        set(
            &mut channel.max_session_age,
            values::duration(&mut section, "max_session_age"),
        );
        finish(section);
    }
    channel
}

fn links(root: &mut Section<'_>, problems: &Problems) -> Links {
    let mut links = Links::default();
    if let Some(mut section) = root.section("links") {
        set(
            &mut links.keep_alive_interval,
            values::duration(&mut section, "keep_alive_interval"),
        );
        set(
            &mut links.keep_alive_timeout,
            values::short_duration(&mut section, "keep_alive_timeout"),
        );
        set(
            &mut links.backoff_min,
            values::duration(&mut section, "backoff_min"),
        );
        set(
            &mut links.backoff_max,
            values::duration(&mut section, "backoff_max"),
        );
        let sound = section.is_sound("backoff_min") && section.is_sound("backoff_max");
        if sound && links.backoff_min > links.backoff_max {
            contradiction(
                problems,
                "[links] backoff_min is longer than backoff_max: give the same or a shorter time",
            );
        }
        finish(section);
    }
    links
}

fn keys(root: &mut Section<'_>) -> Keys {
    let mut keys = Keys::default();
    if let Some(mut section) = root.section("keys") {
        set(
            &mut keys.token_lifetime,
            values::duration(&mut section, "token_lifetime"),
        );
        set(
            &mut keys.pairing_lifetime,
            values::duration(&mut section, "pairing_lifetime"),
        );
        set(
            &mut keys.retired_key_grace,
            values::grace(&mut section, "retired_key_grace"),
        );
        finish(section);
    }
    keys
}

fn calls(root: &mut Section<'_>) -> Calls {
    let mut calls = Calls::default();
    if let Some(mut section) = root.section("calls") {
        let limit = section.integer("queue_limit", 0..=u32::MAX.into());
        set(
            &mut calls.queue_limit,
            limit.and_then(|limit| limit.try_into().ok()),
        );
        set(
            &mut calls.queue_lifetime,
            values::duration(&mut section, "queue_lifetime"),
        );
        set(
            &mut calls.results_kept,
            values::duration(&mut section, "results_kept"),
        );
        finish(section);
    }
    calls
}

fn forward(root: &mut Section<'_>, problems: &Problems) -> Vec<Forward> {
    let Some(mut section) = root.section("forward") else {
        return Vec::new();
    };
    super::forward::read(&mut section, problems)
}

fn watch(root: &mut Section<'_>) -> portcullis_watch::Settings {
    let Some(mut section) = root.section("watch") else {
        return portcullis_watch::Settings::default();
    };
    let watch = portcullis_watch::Settings::read(&mut section);
    finish(section);
    watch
}

fn traces(root: &mut Section<'_>) -> TraceSettings {
    let Some(mut section) = root.section("traces") else {
        return TraceSettings::default();
    };
    let traces = TraceSettings::read_with_share(&mut section);
    finish(section);
    traces
}

fn log(root: &mut Section<'_>) -> Log {
    let Some(mut section) = root.section("log") else {
        return Log::default();
    };
    let log = Log::read(&mut section);
    finish(section);
    log
}

/// Takes a value that was given; what is absent or wrong leaves the default.
fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *place = value;
    }
}

/// Notes that values do not go together.
fn contradiction(problems: &Problems, message: &str) {
    problems.add(None, "", message);
}

pub(super) fn finish(section: Section<'_>) {
    section.finish_with(|key, allowed| format!("unknown field `{key}`, expected one of {allowed}"));
}
