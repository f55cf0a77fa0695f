//! `portcullis status`: the server's own state, whether it needs a look, and whether it is there.

use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use portcullis_proto::admin::v1::system_client::SystemClient;
use portcullis_proto::admin::v1::{StatusRequest, StatusResponse, TlsFile};
use serde_json::{Value, json};

use crate::audit::unix_ms;
use crate::context::Context;
use crate::error::CliError;
use crate::gateway::counts_sentence;
use crate::time::{now, rfc3339, time_and_age};
use crate::view::{View, facts};

/// The exit code of a monitoring plugin that cannot tell.
const UNKNOWN: u8 = 3;
/// What of `[tls]` ends within so long needs a look.
const SOON: Duration = Duration::from_hours(30 * 24);
/// How often a server that is not there yet is looked for.
const AGAIN: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Say in one line whether anything needs a look. Exit codes as those of monitoring plugins: 0
    /// nothing does; 1 something does; 2 the server takes no changes; 3 it does not answer
    #[arg(long)]
    check: bool,
    /// Wait until the server answers, for so long at most (`10s`, `2m`)
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
}

impl StatusArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let status = match ask(context, self.wait.unwrap_or_default()).await {
            Ok(status) => status,
            Err(error) if self.check => {
                let line = format!("UNKNOWN: {}", crate::view::printable(&error.to_string()));
                let json = json!({ "state": "unknown", "why": error.to_string() });
                context.say(&line, &json)?;
                return Err(CliError::NeedsLook { code: UNKNOWN });
            }
            Err(error) => return Err(error),
        };
        if !self.check {
            return context.print(&status);
        }
        let found = Check::of(&status, now());
        context.say(&found.line(), &found.json())?;
        match found.worst() {
            0 => Ok(()),
            code => Err(CliError::NeedsLook { code }),
        }
    }
}

/// Asks, and again while there is no server, for `wait` at most.
async fn ask(context: &Context, wait: Duration) -> Result<StatusResponse, CliError> {
    let begun = Instant::now();
    loop {
        let asked = async {
            let mut system = context.client(SystemClient::new).await?;
            Ok(system.status(StatusRequest {}).await?.into_inner())
        };
        match asked.await {
            Err(CliError::NoServer { .. } | CliError::Lost { .. } | CliError::Connect { .. })
                if begun.elapsed() < wait =>
            {
                tokio::time::sleep(AGAIN).await;
            }
            other => return other,
        }
    }
}

/// What needs a look.
struct Check {
    /// Nothing that is audited can be done.
    critical: Vec<String>,
    warnings: Vec<String>,
    gateways: String,
}

impl Check {
    fn of(status: &StatusResponse, now: SystemTime) -> Self {
        let counts = status.gateways.unwrap_or_default();
        let mut warnings: Vec<_> = [
            (counts.down, "down"),
            (counts.behind, "behind with the gateway key"),
            (counts.ahead, "ahead of this server"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", counted(count, "gateway")))
        .collect();
        if counts.alarms > 0 {
            let (alarms, gateways) = (counts.alarms, counts.with_alarms);
            warnings.push(format!(
                "{} of {}",
                counted(alarms, "open alarm"),
                counted(gateways, "gateway")
            ));
        }
        if let Some(changed) = changed_records(status.changed_records) {
            warnings.push(format!("records: {changed}"));
        }
        warnings.extend(
            status
                .failed_tasks
                .iter()
                .map(|task| format!("failed {task}")),
        );
        if status.protection == "default" {
            warnings.push("the server keys are NOT protected".to_owned());
        }
        let configuration = &status.configuration_error;
        if !configuration.is_empty() {
            warnings.push(format!(
                "the configuration is wrong and was not reloaded: {configuration}"
            ));
        }
        warnings.extend(status.configuration_warnings.iter().cloned());
        let soon = |file: &&TlsFile| file.valid_until_unix_ms < unix_ms(now + SOON);
        let soon = status.tls_files.iter().filter(soon);
        warnings.extend(soon.map(|file| format!("TLS {}", tls_file(file, now))));
        let forward = status.forward_faults.iter();
        warnings.extend(forward.map(|place| format!("audit entries are not forwarded to {place}")));
        let critical = match status.audit_error.as_str() {
            "" => Vec::new(),
            // It begins with what the matter is of: the log, or its head file.
            why => vec![format!("nothing that is audited is done: {why}")],
        };
        Self {
            critical,
            warnings,
            gateways: counts_sentence(&counts),
        }
    }

    fn worst(&self) -> u8 {
        match (self.critical.is_empty(), self.warnings.is_empty()) {
            (false, _) => 2,
            (true, false) => 1,
            (true, true) => 0,
        }
    }

    fn word(&self) -> &'static str {
        match self.worst() {
            0 => "OK",
            1 => "WARNING",
            _ => "CRITICAL",
        }
    }

    fn line(&self) -> String {
        let all: Vec<_> = self.critical.iter().chain(&self.warnings).collect();
        let all: Vec<_> = all
            .into_iter()
            .map(|text| crate::view::printable(text))
            .collect();
        match all.as_slice() {
            [] => format!("OK: {}", self.gateways),
            all => format!("{}: {}", self.word(), all.join("; ")),
        }
    }

    fn json(&self) -> Value {
        json!({
            "state": self.word().to_lowercase(),
            "critical": self.critical,
            "warnings": self.warnings,
        })
    }
}

/// `certificate /etc/portcullis/tls/own.pem: until 2027-12-01T00:00:00Z (in 12 days)`
fn tls_file(file: &TlsFile, now: SystemTime) -> String {
    let until = time_and_age(file.valid_until_unix_ms, now).unwrap_or_default();
    format!("{} {}: until {until}", file.what, file.path)
}

/// `1 gateway`, `2 gateways`
fn counted(count: u32, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}

impl View for StatusResponse {
    fn table(&self, now: SystemTime) -> String {
        let counts = self.gateways.unwrap_or_default();
        let alarms = match counts.alarms {
            0 => None,
            alarms => Some(format!(
                "{alarms} open: `portcullis gateway alarms` lists them"
            )),
        };
        let dial_out = if self.dial_out_listen.is_empty() {
            "closed".to_owned()
        } else {
            self.dial_out_listen.clone()
        };
        let calls = format!(
            "{} waiting, {} under way, {} indeterminate",
            self.calls_waiting, self.calls_dispatched, self.calls_indeterminate
        );
        let protection = match self.protection.as_str() {
            "default" => "NONE: whoever gets hold of the repository has everything; `portcullis key protect pbe` protects them".to_owned(),
            other => other.to_owned(),
        };
        let files = self.tls_files.iter().map(|file| tls_file(file, now));
        facts([
            ("server", Some(self.server_id.clone())),
            ("version", Some(self.version.clone())),
            ("started", time_and_age(self.started_unix_ms, now)),
            ("gateways", Some(counts_sentence(&counts))),
            ("alarms", alarms),
            ("queued calls", Some(calls)),
            ("failed tasks", Some(self.failed_tasks.join("\n"))),
            ("gateway key", Some(self.current_gateway_key_id.clone())),
            ("protection of the keys", Some(protection)),
            ("dial-out port", Some(dial_out)),
            ("TLS", Some(files.collect::<Vec<_>>().join("\n"))),
            ("audit log", Some(self.audit_error.clone())),
            ("NOT forwarded to", Some(self.forward_faults.join("\n"))),
            (
                "configuration read",
                time_and_age(self.configuration_read_unix_ms, now),
            ),
            ("NOT reloaded", Some(self.configuration_error.clone())),
            ("warnings", Some(self.configuration_warnings.join("\n"))),
            ("after a restart", Some(self.needs_restart.join(", "))),
            ("records", changed_records(self.changed_records)),
            ("you", Some(self.caller.clone())),
            ("you may act as", Some(self.capabilities.join(", "))),
        ])
    }

    fn json(&self) -> Value {
        let counts = self.gateways.unwrap_or_default();
        json!({
            "server_id": self.server_id,
            "version": self.version,
            "started": rfc3339(self.started_unix_ms),
            "gateways_registered": self.gateways_registered,
            "gateways_connected": self.gateways_connected,
            "gateways": {
                "registered": counts.registered,
                "up": counts.up,
                "down": counts.down,
                "never_enrolled": counts.never_enrolled,
                "shut_out": counts.shut_out,
                "behind": counts.behind,
                "ahead": counts.ahead,
                "with_alarms": counts.with_alarms,
            },
            "alarms": counts.alarms,
            "calls": {
                "waiting": self.calls_waiting,
                "dispatched": self.calls_dispatched,
                "indeterminate": self.calls_indeterminate,
            },
            "failed_tasks": self.failed_tasks,
            "current_gateway_key_id": self.current_gateway_key_id,
            "protection": self.protection,
            "dial_out_listen": self.dial_out_listen,
            "audit_error": self.audit_error,
            "forward_faults": self.forward_faults,
            "configuration": {
                "read": rfc3339(self.configuration_read_unix_ms),
                "error": self.configuration_error,
                "warnings": self.configuration_warnings,
                "needs_restart": self.needs_restart,
            },
            "changed_records": self.changed_records,
            "tls_files": self.tls_files.iter().map(|file| json!({
                "what": file.what,
                "path": file.path,
                "valid_until": rfc3339(file.valid_until_unix_ms),
            })).collect::<Vec<_>>(),
            "caller": self.caller,
            "capabilities": self.capabilities,
        })
    }
}

/// What somebody changed in the repository by hand; `None`: nothing that is known.
fn changed_records(count: u64) -> Option<String> {
    (count > 0).then(|| {
        format!(
            "{count} changed or put in by hand, which decide nothing: `portcullis audit verify` names them"
        )
    })
}

#[cfg(test)]
mod tests {
    use portcullis_proto::admin::v1::GatewayCounts;

    use super::*;
    use crate::time::tests::{NOW_MS, now};

    const KEY: &str = "3des-00112233445566778899aabbccddeeff";

    fn fine() -> StatusResponse {
        StatusResponse {
            version: "0.1.0".to_owned(),
            server_id: "sv-1".to_owned(),
            started_unix_ms: NOW_MS - 1_000,
            gateways_registered: 2,
            gateways_connected: 2,
            gateways: Some(GatewayCounts {
                registered: 2,
                up: 2,
                ..GatewayCounts::default()
            }),
            current_gateway_key_id: KEY.to_owned(),
            protection: "pbe".to_owned(),
            configuration_read_unix_ms: NOW_MS - 1_000,
            caller: "ada (1001)".to_owned(),
            capabilities: vec!["operator".to_owned(), "auditor".to_owned()],
            ..StatusResponse::default()
        }
    }

    #[test]
    fn the_status_as_a_table() {
        assert_eq!(
            fine().table(now()),
            "server                  sv-1\n\
             version                 0.1.0\n\
             started                 2027-01-15T07:59:59Z (1 s ago)\n\
             gateways                2 registered, 2 up\n\
             queued calls            0 waiting, 0 under way, 0 indeterminate\n\
             gateway key             3des-00112233445566778899aabbccddeeff\n\
             protection of the keys  pbe\n\
             dial-out port           closed\n\
             configuration read      2027-01-15T07:59:59Z (1 s ago)\n\
             you                     ada (1001)\n\
             you may act as          operator, auditor"
        );
    }

    #[test]
    fn a_check_tells_the_worst_and_all_of_it() {
        assert_eq!(Check::of(&fine(), now()).line(), "OK: 2 registered, 2 up");
        type Change = fn(&mut StatusResponse);
        let rows: [(Change, u8, &str); 10] = [
            (
                |s| s.gateways.as_mut().unwrap().down = 1,
                1,
                "WARNING: 1 gateway down",
            ),
            (
                |s| s.gateways.as_mut().unwrap().ahead = 3,
                1,
                "3 gateways ahead",
            ),
            (
                |s| s.gateways.as_mut().unwrap().alarms = 4,
                1,
                "4 open alarms",
            ),
            (
                |s| s.changed_records = 2,
                1,
                "WARNING: records: 2 changed or put in by hand",
            ),
            (|s| s.protection = "default".to_owned(), 1, "NOT protected"),
            (
                |s| {
                    s.tls_files = [12, 40]
                        .map(|days| TlsFile {
                            what: "certificate".to_owned(),
                            path: format!("/{days}.pem"),
                            valid_until_unix_ms: NOW_MS + days * 86_400_000,
                        })
                        .to_vec();
                },
                1,
                "WARNING: TLS certificate /12.pem: until 2027-01-27T08:00:00Z (in 12 days)",
            ),
            (
                |s| s.failed_tasks = vec!["task 7 (verify): x".to_owned()],
                1,
                "failed task 7",
            ),
            (
                |s| s.forward_faults = vec!["siem: it answers 500".to_owned()],
                1,
                "WARNING: audit entries are not forwarded to siem: it answers 500",
            ),
            (
                |s| s.configuration_error = "server.toml, line 3".to_owned(),
                1,
                "line 3",
            ),
            (
                |s| s.audit_error = "disk full".to_owned(),
                2,
                "CRITICAL: nothing that is audited is done: disk full",
            ),
        ];
        for (change, code, told) in rows {
            let mut status = fine();
            change(&mut status);
            let check = Check::of(&status, now());
            assert_eq!(check.worst(), code, "{told}");
            assert!(check.line().contains(told), "{}", check.line());
        }
        // What came of calls is history, and what waits is no fault.
        let mut status = fine();
        (status.calls_waiting, status.calls_indeterminate) = (9, 9);
        assert_eq!(Check::of(&status, now()).worst(), 0);
    }
}
