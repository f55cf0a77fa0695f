//! `portcullis-gateway doctor`: whether this gateway is set up and kept as it should be, with the
//! remedy for each thing that is not. It changes nothing, and may run beside the gateway.

use std::path::Path;

use portcullis_common::rotation::UnixMillis;
use portcullis_common::secret::locked;
use portcullis_host::clock;
use portcullis_host::doctor::{Diagnosis, examine_host};
use portcullis_tls::Side;

use crate::config::{Config, Dial, WorkerKind};
use crate::connector::secret_file;
use crate::connectors::Connectors;
use crate::journal;
use crate::key_store::{self, KeyStoreError};
use crate::listener::keys::Standing;
use crate::listener::status::{self, Report};
use crate::service::ports;
use crate::state_dir::StateDir;
use crate::worker::processes;

/// Bytes that are to be free beside what the journal may still take.
const LEAST_FREE: u64 = 64 << 20;

/// Looks at all that can be looked at from this host.
pub(crate) fn examine(config: &Config) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    let folder = StateDir::of(config);
    examine_host(&mut diagnosis);
    diagnosis.tried(
        "locked memory",
        locked::check(),
        "keys are never swapped out",
    );
    for (_, folder) in StateDir::all(config) {
        diagnosis.disk("disk", &folder, config.journal.most + LEAST_FREE);
    }
    reached(config, &mut diagnosis);
    if matches!(folder.is_running(), Ok(false)) {
        for fault in ports::faults(config) {
            diagnosis.critical("ports", fault, "");
        }
    }
    // In processes each has a user of its own, and root looks at all of them.
    if config.workers.is_none() {
        let other = diagnosis.other_user("portcullis-gateway", &config.state_dir);
        if other.is_some() {
            return diagnosis;
        }
    }
    let key =
        |path: &Path, longest| secret_file::read_for_owner_of(&config.state_dir, path, longest);
    portcullis_tls::examine(Side::Gateway, config.tls.as_ref(), key, &mut diagnosis);
    let store = key_store::open(config);
    if matches!(store.load(), Err(KeyStoreError::NeverCreated { .. })) {
        not_set_up(&store.location(), &mut diagnosis);
        connectors(config, &mut diagnosis);
        return diagnosis;
    }
    keys(config, &mut diagnosis);
    for (worker, folder) in StateDir::with_journals(config) {
        match journal::show(&folder) {
            Ok(shown) => match shown.and_then(|shown| shown.fault) {
                Some(fault) => diagnosis.critical("journal", fault, ""),
                None => diagnosis.fine("journal", "it takes entries"),
            },
            Err(error) => diagnosis.critical("journal", error.to_string(), ""),
        }
        if let Some(kind) = worker {
            self::worker(config, kind, &folder, &mut diagnosis);
        }
    }
    running(&folder, &mut diagnosis);
    processes(config, &mut diagnosis);
    connectors(config, &mut diagnosis);
    diagnosis
}

fn reached(config: &Config, diagnosis: &mut Diagnosis) {
    match &config.dial {
        Dial::Listen(address) if address.ip().is_unspecified() => diagnosis.note(
            "listening",
            format!("on {address}: every network of this host reaches it"),
            "name one address in [listen], let the firewall pass the server alone, or have the gateway dial ([dial_out])",
        ),
        Dial::Listen(address) => diagnosis.fine("listening", format!("on {address}")),
        Dial::Out { server, .. } => diagnosis.fine(
            "listening",
            format!("nowhere: it dials {server}"),
        ),
    }
    match config.watch.settings.listen {
        Some(address) if !address.ip().is_loopback() => diagnosis.warning(
            "watch port",
            format!("others than this host read health and metrics on {address}, and nobody proves who he is"),
            "listen on 127.0.0.1, or keep it behind a firewall",
        ),
        Some(address) => diagnosis.fine("watch port", format!("{address}, for this host alone")),
        None => diagnosis.fine("watch port", "closed: the server sees the link, and `status --check` the rest"),
    }
}

/// Without keys it cannot run, so that nothing else can be told of it.
fn not_set_up(store: &str, diagnosis: &mut Diagnosis) {
    diagnosis.warning(
        "set-up",
        format!("this gateway is not set up yet: there is no key store ({store})"),
        "`portcullis gateway add NAME` on the server, then `portcullis-gateway enroll` here; where there was one, mount its disk, or restore it",
    );
}

fn keys(config: &Config, diagnosis: &mut Diagnosis) {
    let store = key_store::open(config);
    let standing = match store.load() {
        Ok(record) => Standing::from(&record),
        Err(error) => return diagnosis.critical("key store", error.to_string(), ""),
    };
    diagnosis.fine(
        "key store",
        format!("{} can be read by this user", store.location()),
    );
    if let Some(credential) = &config.key_store {
        diagnosis.fine(
            "key store",
            format!(
                "it is sealed under the credential `{}` of the service",
                credential.name
            ),
        );
    }
    match (standing.active, standing.enrolment) {
        (Some(key), _) => diagnosis.fine("enrolment", format!("it holds the key {key}")),
        (None, Some(_)) => diagnosis.warning(
            "enrolment",
            "it holds a token that the server has not used yet",
            "`portcullis gateway show NAME` on the server says why",
        ),
        (None, None) => diagnosis.critical(
            "enrolment",
            "it holds no key and no token",
            "`portcullis gateway token NAME` on the server, then `portcullis-gateway enroll` here",
        ),
    }
    match standing.pairing_until.filter(|until| *until > clock::now()) {
        Some(until) => diagnosis.warning(
            "pairing",
            format!(
                "it is open until {}: whoever comes first becomes the server",
                clock::text(until)
            ),
            "enrol by token; a restart closes it",
        ),
        None => diagnosis.fine("pairing", "closed"),
    }
}

fn running(folder: &StateDir, diagnosis: &mut Diagnosis) {
    match folder.is_running() {
        Ok(true) => diagnosis.fine("gateway", "it is running"),
        Ok(false) => {
            return diagnosis.warning(
                "gateway",
                "it is not running",
                "`systemctl start portcullis-gateway`; its log says why it ended",
            );
        }
        // Its permissions are wrong, say.
        Err(error) => return diagnosis.critical("permissions", error.to_string(), ""),
    }
    let read = folder.read(status::FILE, status::MAX_LEN).ok().flatten();
    let report = read.and_then(|bytes| Report::read(&bytes).ok());
    let Some(report) = report else {
        return diagnosis.note("link", "the status file cannot be read", "see the log");
    };
    if report.version != env!("CARGO_PKG_VERSION") {
        diagnosis.warning(
            "version",
            format!(
                "version {} runs, and {} is installed",
                report.version,
                env!("CARGO_PKG_VERSION")
            ),
            "restart the gateway",
        );
    }
    match report.sessions.first() {
        Some(session) => {
            let since = clock::text(UnixMillis(session.since_unix_ms));
            diagnosis.fine("link", format!("with {} since {since}", session.server_id));
        }
        None => {
            let error = report
                .last_error
                .map(|error| format!("; the last error: {}", error.message));
            let found = format!("there is none{}", error.unwrap_or_default());
            diagnosis.critical("link", found, "`portcullis gateway show NAME` on the server; OPERATIONS.md, \"When a link does not come up\"");
        }
    }
    let Some(reload) = report.reload else {
        return;
    };
    let holds = match reload.partly {
        true => "what held before holds on there; the other processes have reloaded",
        false => "what held before holds on",
    };
    for problem in reload.problems {
        diagnosis.warning(
            "configuration",
            format!("{problem}; {holds}"),
            "mend that, then `portcullis-gateway reload`",
        );
    }
}

/// Whether what faces the servers has rights that only a connector needs.
fn processes(config: &Config, diagnosis: &mut Diagnosis) {
    if config.workers.is_some() && StateDir::of(config).is_roots() {
        diagnosis.warning(
            "processes",
            "what faces the servers runs as root, which its workers are there to spare",
            "have it run as the user of workers.user, as its unit does, and give that user its state_dir",
        );
    }
    let privileged = config.connectors.of(WorkerKind::Privileged).connectors;
    if config.workers.is_none() && !privileged.is_empty() {
        diagnosis.note(
            "processes",
            "one process faces the servers and has the rights that its connectors need",
            "`in-processes on` divides it: OPERATIONS.md, \"A gateway in processes\"",
        );
    }
}

fn worker(config: &Config, kind: WorkerKind, folder: &StateDir, diagnosis: &mut Diagnosis) {
    if kind == WorkerKind::Networked && folder.is_roots() {
        diagnosis.warning(
            "worker",
            format!("`{kind}` runs as root, and who breaks into it through a directory or a database has the host"),
            "have it run as a user without rights, as its unit does (portcullis-networked), and give that user its state_dir",
        );
    }
    let unit = kind.unit(&config.instance);
    let socket = config
        .workers
        .as_ref()
        .map(|workers| &workers.of(kind).socket);
    match folder.is_running() {
        Ok(true) => match socket.and_then(|socket| processes::silence(socket)) {
            None => diagnosis.fine("worker", format!("`{kind}` is running, and answers")),
            Some(why) => diagnosis.critical(
                "worker",
                format!("`{kind}` is running, and {why}: calls of its connectors fail"),
                &format!("`systemctl restart {unit}`; its log says what it does"),
            ),
        },
        Ok(false) => diagnosis.critical(
            "worker",
            format!("`{kind}` is not running: calls of its connectors fail, and nothing of them is begun"),
            &format!("`systemctl start {unit}`; its log says why it ended"),
        ),
        Err(error) => diagnosis.critical("worker", error.to_string(), ""),
    }
}

fn connectors(config: &Config, diagnosis: &mut Diagnosis) {
    let connectors = match Connectors::from_config(&config.connectors) {
        Ok(connectors) => connectors,
        Err(problems) => {
            for problem in &problems {
                diagnosis.critical("configuration", problem.to_string(), "");
            }
            return;
        }
    };
    let found = connectors.inspect_of(config);
    if found.faults.is_empty() {
        diagnosis.fine(
            "connectors",
            "nothing is known that keeps them from their work",
        );
    }
    for fault in found.faults {
        diagnosis.critical("connectors", fault, "");
    }
    for note in found.notes {
        diagnosis.note("connectors", note, "see OPERATIONS.md");
    }
}
