//! `portcullis server …`: the servers of a repository.

use std::time::{Duration, SystemTime};

use clap::Subcommand;
use portcullis_proto::admin::v1::servers_client::ServersClient;
use portcullis_proto::admin::v1::{DrainServerRequest, ListServersRequest, Server};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::CliError;
use crate::time::{age, rfc3339, rough};
use crate::view::{Listed, View, facts};

#[derive(Debug, Subcommand)]
pub(crate) enum ServerCommand {
    /// List the servers that are at work on the repository; the one that answers is marked with *
    List,
    /// Have a server hand its links over, and begin no queued call and no task, until it starts
    /// again or this is undone; it goes on answering
    Drain {
        /// The server, or its instance
        name: String,
        /// Put it to work again
        #[arg(long, conflicts_with = "force")]
        undo: bool,
        /// Even where no other server could take over: its links stay then
        #[arg(long)]
        force: bool,
    },
}

impl ServerCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut servers = context.client(ServersClient::new).await?;
        match self {
            Self::List => {
                let listed = servers.list(ListServersRequest {}).await?;
                context.print(&listed.into_inner().servers)
            }
            Self::Drain { name, undo, force } => {
                let request = DrainServerRequest { name, undo, force };
                context.print(&servers.drain(request).await?.into_inner())
            }
        }
    }
}

impl Listed for Server {
    const NONE: &'static str = "no server says of itself that it is at work";
    const HEADING: &'static [&'static str] = &[
        "name", "version", "address", "beat", "links", "calls", "started", "state",
    ];

    fn row(&self, now: SystemTime) -> Vec<String> {
        vec![
            format!("{}{}", self.name, if self.answers { " *" } else { "" }),
            self.version.clone(),
            or_none(&self.advertised),
            beat(self),
            self.links.to_string(),
            self.calls.to_string(),
            age(self.started_unix_ms, now).unwrap_or_default(),
            state(self),
        ]
    }
}

impl View for Server {
    fn table(&self, now: SystemTime) -> String {
        facts([
            ("server", Some(self.name.clone())),
            ("instance", Some(self.instance.clone())),
            ("version", Some(self.version.clone())),
            ("address", Some(or_none(&self.advertised))),
            ("beat", Some(beat(self))),
            ("links", Some(self.links.to_string())),
            ("calls", Some(self.calls.to_string())),
            ("started", age(self.started_unix_ms, now)),
            ("state", Some(state(self))),
        ])
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "instance": self.instance,
            "version": self.version,
            "advertised": some(&self.advertised),
            "started": rfc3339(self.started_unix_ms),
            "beat_age_ms": self.beat_age_ms,
            "links": self.links,
            "calls": self.calls,
            "last_error": some(&self.last_error),
            "drained": self.drained,
            "draining": is_draining(self),
            "answers": self.answers,
        })
    }
}

/// For how long its beat stands; a server that is alone has none.
fn beat(server: &Server) -> String {
    let ago = |ms| format!("{} ago", rough(Duration::from_millis(ms)));
    server.beat_age_ms.map_or_else(|| "-".to_owned(), ago)
}

/// Whether it is drained, and has not given everything away yet.
fn is_draining(server: &Server) -> bool {
    server.drained && (server.links > 0 || server.calls > 0)
}

fn state(server: &Server) -> String {
    match (server.drained, server.last_error.is_empty()) {
        (true, _) if is_draining(server) => format!(
            "draining: {} links and {} calls are still there",
            server.links, server.calls
        ),
        (true, _) => "drained".to_owned(),
        (false, true) => "sound".to_owned(),
        (false, false) => format!("last error: {}", server.last_error),
    }
}

fn or_none(text: &str) -> String {
    some(text).unwrap_or("-").to_owned()
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::tests::{NOW_MS, now};

    #[test]
    fn a_server_is_shown_with_the_age_of_its_beat_and_what_went_wrong_last() {
        let alone = Server {
            name: "one".to_owned(),
            version: "1.2.3".to_owned(),
            started_unix_ms: NOW_MS - 60_000,
            links: 7,
            answers: true,
            ..Server::default()
        };
        let row = alone.row(now());
        assert_eq!(
            row,
            ["one *", "1.2.3", "-", "-", "7", "0", "1 min ago", "sound"]
        );
        assert_eq!(alone.json()["beat_age_ms"], Value::Null);
        let other = Server {
            beat_age_ms: Some(4_000),
            advertised: "host:9280".to_owned(),
            last_error: "the database is away".to_owned(),
            answers: false,
            ..alone
        };
        let row = other.row(now());
        assert_eq!(row[0], "one");
        assert_eq!(row[2..4], ["host:9280", "4 s ago"]);
        assert_eq!(row[7], "last error: the database is away");
        assert_eq!(other.json()["beat_age_ms"], 4_000);
        let drained = Server {
            drained: true,
            ..other
        };
        let row = drained.row(now());
        assert_eq!(row[7], "draining: 7 links and 0 calls are still there");
        assert_eq!(drained.json()["draining"], true);
        let drained = Server {
            links: 0,
            ..drained
        };
        assert_eq!(drained.row(now())[7], "drained");
        assert_eq!(drained.json()["draining"], false);
    }
}
