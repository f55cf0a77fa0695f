//! A script connector that leaves traces: which calls were really carried out, and how often.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use portcullis_proto::gateway::v1 as pb;

use super::{OrFail as _, PATIENCE, Site};

/// Appends the id of its call to the journal. Whose gateway died before it had asked its question
/// does nothing.
const RECORD: &str = r#"#!/bin/sh
call=$(sed 's/.*"call":"\([^"]*\)".*/\1/')
[ -n "$call" ] || exit 1
echo "$call" >>"$JOURNAL"
"#;

/// As `record`, of whoever only asks for an account.
const GET: &str = r#"#!/bin/sh
call=$(sed 's/.*"call":"\([^"]*\)".*/\1/')
[ -n "$call" ] || exit 1
echo "$call" >>"$JOURNAL"
echo '{"object":{"id":"1","name":"ada"}}'
"#;

/// As `record`, then says through a pipe that it has begun, and waits at another until the test
/// lets go.
const WAIT: &str = r#"#!/bin/sh
call=$(sed 's/.*"call":"\([^"]*\)".*/\1/')
echo "$call" >>"$JOURNAL"
echo begun >"$BEGUN"
exec cat "$GATE" >/dev/null
"#;

/// Writes without end.
const FLOOD: &str = "#!/bin/sh\nexec cat /dev/zero\n";
/// Fails.
const FAIL: &str =
    "#!/bin/sh\ncat >/dev/null\necho 'the resource is closed on Sundays' >&2\nexit 3\n";
/// Never ends by itself.
const HANG: &str = "#!/bin/sh\nexec tail -f /dev/null\n";
/// Ready.
const TEST: &str = "#!/bin/sh\ncat >/dev/null\necho '{\"report\":\"the journal is there\"}'\n";

/// The connector's folder, its journal and its pipes.
#[derive(Clone, Debug)]
pub struct Scripts {
    folder: PathBuf,
    journal: PathBuf,
    begun: PathBuf,
    gate: PathBuf,
    /// Held open both ways: while it is, who waits at the gate waits; when the last clone goes, all
    /// of them are let go.
    _held: Arc<fs::File>,
}

impl Scripts {
    /// The connector's name in the configuration.
    pub const CONNECTOR: &'static str = "journal";

    /// Writes the scripts into a folder of the site.
    pub fn new(site: &Site, name: &str) -> Self {
        let folder = site.folder(name);
        for (file, text) in [
            ("run-record", RECORD),
            ("run-wait", WAIT),
            ("run-flood", FLOOD),
            ("run-fail", FAIL),
            ("run-hang", HANG),
            ("test", TEST),
            ("get", GET),
        ] {
            site.file(&format!("{name}/{file}"), 0o700, text);
        }
        let traces = site.folder(&format!("{name}-traces"));
        let (begun, gate) = (traces.join("begun"), traces.join("gate"));
        let mut mkfifo = Command::new("mkfifo");
        mkfifo.arg(&begun).arg(&gate);
        super::run(mkfifo);
        let held = OpenOptions::new().read(true).write(true).open(&gate);
        Self {
            folder,
            journal: traces.join("journal"),
            begun,
            gate,
            _held: Arc::new(held.or_fail("open the gate")),
        }
    }

    /// What to add to the gateway's configuration.
    pub fn config(&self) -> String {
        let Self {
            folder,
            journal,
            begun,
            gate,
            ..
        } = self;
        format!(
            "[connectors.journal]\ntype = \"script\"\nfolder = {folder:?}\ntimeout = \"20s\"\nmax_output = 65536\nserialize_changes = false\n\
             [connectors.journal.environment]\nJOURNAL = {journal:?}\nBEGUN = {begun:?}\nGATE = {gate:?}\n"
        )
    }

    /// A call of one of the actions.
    pub fn call(action: &str, call_id: &str) -> pb::Call {
        pb::Call {
            call_id: call_id.to_owned(),
            verb: Some(pb::call::Verb::Run(pb::Run {
                action: action.to_owned(),
                arguments: Vec::new(),
            })),
            ..pb::Call::default()
        }
    }

    /// A call that leaves its mark although its verb only reads.
    pub fn recording_get(call_id: &str) -> pb::Call {
        let object = pb::ObjectRef {
            object_class: pb::ObjectClass::Account.into(),
            by: Some(pb::object_ref::By::Name("ada".to_owned())),
            ..pb::ObjectRef::default()
        };
        pb::Call {
            call_id: call_id.to_owned(),
            verb: Some(pb::call::Verb::Get(pb::Get {
                object: Some(object),
                ..pb::Get::default()
            })),
            ..pb::Call::default()
        }
    }

    /// How often each call was carried out, all attempts together: the gateway knows the second one
    /// of `ID` as `ID~2`.
    pub fn executed(&self) -> BTreeMap<String, usize> {
        let text = match fs::read_to_string(&self.journal) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            other => other.or_fail("read the journal"),
        };
        let mut counts = BTreeMap::new();
        for line in text.lines() {
            let id = line.split_once('~').map_or(line, |(id, _)| id);
            *counts.entry(id.to_owned()).or_default() += 1;
        }
        counts
    }

    /// Waits until a call of the action `wait` has begun.
    pub async fn begun(&self) {
        let begun = self.begun.clone();
        let reading = tokio::task::spawn_blocking(move || fs::read(begun));
        let read = tokio::time::timeout(PATIENCE, reading).await;
        let read = read.or_fail("wait for the script to begin");
        read.unwrap().or_fail("read that the script has begun");
    }
}
