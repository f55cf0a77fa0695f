//! What the `doctor` of a program finds: each check with what was found, and what to do.

mod arguments;
mod host;
#[cfg(unix)]
#[path = "unix.rs"]
mod system;
#[cfg(not(unix))]
#[path = "other.rs"]
mod system;

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

pub use arguments::Arguments;
pub use host::examine_host;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Fine,
    /// To be known, or it could not be found out.
    Note,
    /// It needs a look.
    Warning,
    /// It does not work, or is open to others.
    Critical,
}

/// Bytes free below which a disk is as good as full.
const NOTHING: u64 = 1 << 20;

/// Bytes that users without privileges may still write on the disk of `folder`; `None`: the system
/// does not tell.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    system::free_bytes(folder)
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Note => "note",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }
}

/// As whom a program runs, where somebody else looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// The user as whom it runs: whose its folder is.
    pub user: u32,
    /// Whether who looks may look at everything.
    pub seen: bool,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, the same at each run.
    pub check: &'static str,
    /// How bad it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Shown<'a> {
    state: State,
    findings: &'a [Finding],
}

impl Diagnosis {
    /// As it should be.
    pub fn fine(&mut self, check: &'static str, found: impl Into<String>) {
        self.add(check, State::Fine, found.into(), None);
    }

    /// To be known.
    pub fn note(&mut self, check: &'static str, found: impl Into<String>, remedy: &str) {
        self.add(check, State::Note, found.into(), Some(remedy.to_owned()));
    }

    /// It needs a look.
    pub fn warning(&mut self, check: &'static str, found: impl Into<String>, remedy: &str) {
        self.add(check, State::Warning, found.into(), Some(remedy.to_owned()));
    }

    /// It does not work, or is open to others. A remedy may stand in what was found.
    pub fn critical(&mut self, check: &'static str, found: impl Into<String>, remedy: &str) {
        let remedy = Some(remedy.to_owned()).filter(|remedy| !remedy.is_empty());
        self.add(check, State::Critical, found.into(), remedy);
    }

    /// Fine where it could be done; otherwise critical, with what the error says.
    pub fn tried<E: std::fmt::Display>(
        &mut self,
        check: &'static str,
        tried: Result<(), E>,
        fine: impl Into<String>,
    ) {
        match tried {
            Ok(()) => self.fine(check, fine),
            Err(error) => self.critical(check, error.to_string(), ""),
        }
    }

    /// Whether there is room on the disk of `folder`, or where it is to lie.
    pub fn disk(&mut self, check: &'static str, folder: &Path, least: u64) {
        let there = folder.ancestors().find(|folder| folder.exists());
        self.room(check, folder, free_bytes(there.unwrap_or(folder)), least);
    }

    fn room(&mut self, check: &'static str, folder: &Path, free: Option<u64>, least: u64) {
        let shown = folder.display();
        match free {
            Some(free) if free < NOTHING => self.critical(
                check,
                format!(
                    "{} KiB are free on the disk of {shown}: no change is made, and no call taken that has to be noted there first",
                    free >> 10
                ),
                "make room",
            ),
            Some(free) if free < least => self.warning(
                check,
                format!("{} MiB are free on the disk of {shown}", free >> 20),
                "make room: a full disk stops every change",
            ),
            Some(free) => self.fine(
                check,
                format!("{} MiB are free on the disk of {shown}", free >> 20),
            ),
            None => self.note(
                check,
                format!("nobody says what is free on the disk of {shown}"),
                "look there",
            ),
        }
    }

    /// As whom `program` runs, which keeps what it has in `folder`; `None`: as who looks, or it is
    /// not known. Nobody else is to open its files: he would leave some that it cannot open.
    pub fn other_user(&mut self, program: &str, folder: &Path) -> Option<Service> {
        let (service, looks) = system::users(folder).filter(|(owner, user)| owner != user)?;
        let remedy = match system::user_name(service) {
            Some(name) => format!("`runuser -u {name} -- {program} doctor`"),
            None => format!("`sudo -u '#{service}' {program} doctor`"),
        };
        self.warning(
            "user",
            format!(
                "{program} runs as user {service}, whose {} is, and this doctor as user {looks}: what that one alone opens was not looked at",
                folder.display()
            ),
            &remedy,
        );
        Some(Service {
            user: service,
            seen: looks == 0,
        })
    }

    /// Whether something is older than it should become.
    pub fn age(
        &mut self,
        check: &'static str,
        what: &str,
        age: Duration,
        most_days: u64,
        remedy: &str,
    ) {
        let days = age.as_secs() / 86_400;
        let found = format!("{what} is {days} days old");
        if days > most_days {
            self.warning(check, found, remedy);
        } else {
            self.fine(check, found);
        }
    }

    /// Every check.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The worst of all.
    pub fn state(&self) -> State {
        let states = self.findings.iter().map(|finding| finding.state);
        states.max().unwrap_or(State::Fine)
    }

    /// 0: nothing needs a look; 1: something does; 2: something does not work.
    pub fn exit_code(&self) -> u8 {
        match self.state() {
            State::Fine | State::Note => 0,
            State::Warning => 1,
            State::Critical => 2,
        }
    }

    /// For people: the worst first.
    pub fn text(&self) -> String {
        let mut findings: Vec<_> = self.findings.iter().collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.state));
        let lines = findings.into_iter().map(|finding| {
            let Finding {
                check,
                state,
                found,
                remedy,
            } = finding;
            let remedy = remedy
                .as_ref()
                .map(|remedy| format!("\n{:<28}-> {remedy}", ""));
            let state = state.word();
            format!(
                "{state:<9} {check:<17} {found}{}\n",
                remedy.unwrap_or_default()
            )
        });
        lines.collect()
    }

    /// One JSON object.
    pub fn json(&self) -> String {
        let shown = Shown {
            state: self.state(),
            findings: &self.findings,
        };
        // Texts alone: this cannot fail.
        serde_json::to_string_pretty(&shown).unwrap_or_default() + "\n"
    }

    fn add(&mut self, check: &'static str, state: State, found: String, remedy: Option<String>) {
        self.findings.push(Finding {
            check,
            state,
            found,
            remedy,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_a_failure_and_one_with_little_needs_a_look() {
        for (free, state) in [
            (Some(0), State::Critical),
            (Some(NOTHING - 1), State::Critical),
            (Some(NOTHING), State::Warning),
            (Some(2 * NOTHING), State::Fine),
            (None, State::Note),
        ] {
            let mut diagnosis = Diagnosis::default();
            diagnosis.room("disk", Path::new("/data"), free, 2 * NOTHING);
            assert_eq!(diagnosis.state(), state, "{free:?}");
        }
        let mut diagnosis = Diagnosis::default();
        diagnosis.disk("disk", Path::new("/not/there/yet"), 0);
        assert!(!diagnosis.text().contains("nobody says"));
    }

    #[test]
    fn the_worst_comes_first_and_gives_the_exit_code() {
        let mut diagnosis = Diagnosis::default();
        assert_eq!(diagnosis.exit_code(), 0);
        diagnosis.fine("one", "well");
        diagnosis.note("two", "unknown", "ask");
        assert_eq!(diagnosis.exit_code(), 0);
        diagnosis.warning("three", "old", "renew it");
        assert_eq!(diagnosis.exit_code(), 1);
        diagnosis.tried("four", Err("shut: open it"), "open");
        assert_eq!(diagnosis.exit_code(), 2);
        let text = diagnosis.text();
        assert!(text.starts_with("CRITICAL  four"), "{text}");
        assert!(text.contains("-> renew it\n"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&diagnosis.json()).unwrap();
        assert_eq!(json["state"], "critical");
        assert_eq!(json["findings"][2]["remedy"], "renew it");
    }
}
