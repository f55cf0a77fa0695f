//! Directories that keep to the standards: OpenLDAP, 389 Directory Server, FreeIPA and their like.
//!
//! An object's id is its entryUUID (RFC 4530), its name the value of one attribute. Passwords are
//! set by the Password Modify request (RFC 3062), so that the directory hashes them by its own
//! rules.
//!
//! ```toml
//! [connectors.people]
//! type = "ldap"
//! servers = ["ldaps://ldap1.example.org", "ldaps://ldap2.example.org"]   # in this order
//! ca_file = "/etc/portcullis/ldap-ca.pem"     # left out: the host's own authorities
//! bind_dn = "cn=gateway,dc=example,dc=org"
//! bind_password_file = "/etc/portcullis/ldap-password"
//!
//! [connectors.people.accounts]
//! base = "ou=people,dc=example,dc=org"
//! object_classes = ["inetOrgPerson"]
//! name = "uid"
//! dn = "uid={name},ou=people,dc=example,dc=org"
//! defaults = { cn = "{name}", sn = "{name}" }
//!
//! [connectors.people.groups]
//! base = "ou=groups,dc=example,dc=org"
//! object_classes = ["groupOfNames"]
//! members = "member"
//! placeholder = "cn=nobody,dc=example,dc=org"
//! ```

mod lockout;
mod policy;
mod powers;
mod state;
mod sync;

use std::sync::Arc;

use tokio::time::timeout_at;
use tonic::async_trait;
use zeroize::Zeroizing;

use crate::config::Section;
use crate::connector::directory::ber::{SEQUENCE, Writer};
use crate::connector::directory::connector::Directory;
use crate::connector::directory::dialect::{Dialect, Finishing, Place, Verdict};
use crate::connector::directory::fault::{Error, Fault, FaultKind, code};
use crate::connector::directory::filter::Filter;
use crate::connector::directory::message::{Answer, Change, ChangeKind, Control, Entry, Operation};
use crate::connector::directory::session::Session;
use crate::connector::directory::settings::{ClassSettings, Defaults, Settings};
use crate::connector::directory::together::Together;
use crate::connector::{Changes, Connector, Context};
use crate::model::{
    CallError, Evidence, Failure, GuardDefaults, LockoutLimit, NameComparison, ObjectClass,
    Password, SyncToken, Verb,
};
use policy::PASSWORD_POLICY;
use state::State;

/// RFC 3062.
const PASSWORD_MODIFY: &str = "1.3.6.1.4.1.4203.1.11.1";

/// Where the history of a directory stands, in its suffix or database.
const CONTEXT_CSN: &str = "contextCSN";

/// The fact of the evidence that holds it.
const HISTORY: &str = "contextCSN";

/// What is protected where the configuration is silent: what the directory's own administrators and
/// services are called.
pub const GUARD_DEFAULTS: GuardDefaults = GuardDefaults {
    protected_accounts: &["root", "admin", "administrator", "manager"],
    protected_groups: &["admins", "administrators", "wheel", "sudo"],
    protected_ids_below: 1000,
    harmless_groups: &[],
    compare_names: NameComparison::Normalized,
};

const DEFAULTS: Defaults = Defaults {
    account_classes: &["inetOrgPerson"],
    account_naming: "uid",
    account_rdn: "uid",
    account_filter: None,
    group_classes: &["groupOfNames"],
    group_naming: "cn",
    group_rdn: "cn",
    computer_classes: &["device"],
    computer_naming: "cn",
};

/// What is particular to such a directory.
#[derive(Debug)]
struct Ldap {
    id: String,
    state: Option<State>,
    password: PasswordWay,
    suffix: String,
    /// Where the history stands, with the name of who read it.
    history: Together<(String, Option<String>)>,
}

/// How a password is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PasswordWay {
    /// By the request that is made for it (RFC 3062).
    Request,
    /// By putting it into `userPassword`: for directories without that request, which hash what
    /// comes.
    Replace,
}

/// Reads the connector's own keys; what is wrong becomes a problem of the section.
pub fn configure(name: &str, section: &mut Section<'_>) -> Option<Arc<dyn Connector>> {
    let settings = Settings::read(section, &DEFAULTS);
    let id = section.text("id").unwrap_or("entryUUID").to_owned();
    let state = State::read(section);
    let password = match section.text("password") {
        None | Some("request") => Some(PasswordWay::Request),
        Some("replace") => Some(PasswordWay::Replace),
        Some(other) => {
            let allowed = format!("`{other}`: `request` and `replace` are allowed");
            section.problem("password", allowed);
            None
        }
    };
    let suffix = section.text("suffix").map(str::to_owned);
    let settings = settings?;
    let dialect = Ldap {
        id,
        state: state?,
        password: password?,
        suffix: suffix.unwrap_or_else(|| suffix_of(&settings.accounts.base)),
        history: Together::default(),
    };
    Some(Arc::new(Directory::new(name, Box::new(dialect), settings)))
}

/// The steps of a base that name the whole directory: those of its domain, or the last one.
fn suffix_of(base: &str) -> String {
    use crate::connector::directory::dn;
    let mut rest = base;
    loop {
        let (first, parent) = dn::split_first(rest);
        let is_domain = first
            .trim()
            .get(..3)
            .is_some_and(|begin| begin.eq_ignore_ascii_case("dc="));
        if is_domain || parent.is_empty() {
            return rest.to_owned();
        }
        rest = parent;
    }
}

impl Ldap {
    /// What gives an entry a password, with the old one where it is known.
    fn new_password(&self, dn: &str, old: Option<&Password>, new: &Password) -> Operation {
        match self.password {
            PasswordWay::Request => Operation::Extended {
                oid: PASSWORD_MODIFY,
                value: Some(password_modify(dn, old, new)),
            },
            PasswordWay::Replace => Operation::Modify {
                dn: dn.to_owned(),
                changes: vec![Change {
                    kind: ChangeKind::Replace,
                    attribute: "userPassword".to_owned(),
                    values: vec![new.expose().to_vec()],
                }],
            },
        }
    }
}

#[async_trait]
impl Dialect for Ldap {
    fn kind(&self) -> &'static str {
        "ldap"
    }

    fn id_attribute(&self) -> &str {
        &self.id
    }

    fn place_of_id(&self, id: &str) -> Option<Place> {
        let digits = |c: char| c.is_ascii_hexdigit() || c == '-';
        let is_uuid = id.len() == 36 && id.chars().all(digits);
        let any = !self.id.eq_ignore_ascii_case("entryUUID");
        (any || is_uuid).then(|| Place::Where(Filter::equal(&self.id, id)))
    }

    fn check_writable(&self, attribute: &str) -> Result<(), Failure> {
        powers::check_writable(attribute)
    }

    fn state_attributes(&self) -> Vec<String> {
        self.state
            .iter()
            .map(|state| state.attribute.clone())
            .collect()
    }

    fn is_enabled(&self, entry: &Entry) -> Option<bool> {
        self.state.as_ref().map(|state| !state.is_disabled(entry))
    }

    fn enabled_filter(&self, enabled: bool) -> Option<Filter> {
        let disabled = self.state.as_ref()?.filter();
        Some(if enabled {
            Filter::Not(Box::new(disabled))
        } else {
            disabled
        })
    }

    fn switch(&self, entry: &Entry, enable: bool) -> Result<Vec<Change>, Failure> {
        let state = self.state.as_ref().ok_or_else(no_state)?;
        if state.is_disabled(entry) != enable {
            return Ok(Vec::new());
        }
        Ok(vec![state.change(enable)])
    }

    fn finish(
        &self,
        _: ObjectClass,
        _: &str,
        password: Option<&Password>,
        enabled: bool,
    ) -> Result<Finishing, Failure> {
        let mut finishing = Finishing::default();
        match (password, self.password) {
            (Some(_), PasswordWay::Request) => finishing.password_later = true,
            (Some(password), PasswordWay::Replace) => {
                let value = vec![password.expose().to_vec()];
                finishing
                    .attributes
                    .push(("userPassword".to_owned(), value));
            }
            (None, _) => {}
        }
        if !enabled {
            let state = self.state.as_ref().ok_or_else(no_state)?;
            // In the same request: it never is one that anybody could log in to.
            let mut change = state.change(false);
            let values = std::mem::take(&mut change.values);
            let attribute = std::mem::take(&mut change.attribute);
            finishing.attributes.push((attribute, values));
            if finishing.password_later && state.is_lifted_by_password() {
                finishing.changes_later.push(state.change(false));
            }
        }
        Ok(finishing)
    }

    fn version_attribute(&self) -> Option<&'static str> {
        Some("entryCSN")
    }

    async fn set_password(
        &self,
        session: &Session<'_>,
        entry: &Entry,
        password: &Password,
    ) -> Result<(), Error> {
        let operation = self.new_password(&entry.dn, None, password);
        let controls = self.controls(Verb::SetPassword, &[]);
        session.write(&operation, &controls).await?;
        let state = self.state.as_ref();
        match state.filter(|state| state.is_lifted_by_password() && state.is_disabled(entry)) {
            Some(state) => disable_again(session, entry, state).await,
            None => Ok(()),
        }
    }

    async fn renew_password(
        &self,
        session: &Session<'_>,
        dn: &str,
        old: &Password,
        new: &Password,
    ) -> Result<(), Error> {
        let operation = self.new_password(dn, Some(old), new);
        let controls = self.controls(Verb::SetPassword, &[]);
        session.write(&operation, &controls).await.map(drop)
    }

    fn bind_controls(&self) -> Vec<Control> {
        vec![Control::new(PASSWORD_POLICY, None)]
    }

    fn lockout_attributes(&self) -> Vec<String> {
        lockout::attributes()
    }

    async fn lockout_limit(
        &self,
        session: &Session<'_>,
        entry: &Entry,
    ) -> Result<Option<LockoutLimit>, Error> {
        lockout::limit(session, &self.suffix, entry).await
    }

    fn verdict(&self, answer: &Answer) -> Verdict {
        policy::verdict(answer)
    }

    fn controls(&self, verb: Verb, _: &[String]) -> Vec<Control> {
        match verb {
            Verb::Create | Verb::Update | Verb::SetPassword => self.bind_controls(),
            _ => Vec::new(),
        }
    }

    fn failure(&self, verb: Verb, answer: &Answer) -> Option<Failure> {
        policy::failure(verb, answer)
    }

    async fn note_history(
        &self,
        session: &Session<'_>,
        evidence: &mut Evidence,
    ) -> Result<(), Error> {
        let read = async || {
            let wanted = [CONTEXT_CSN.to_owned()];
            let found = session.entry(&self.suffix, &wanted).await?;
            Ok::<_, Error>(found.as_ref().and_then(newest))
        };
        // It stands where it does for all calls that ask at the same time.
        let reading = self
            .history
            .read(async { Ok::<_, Error>((session.identity.dn.clone(), read().await?)) });
        let late = |_| {
            let text = "where its history stands was not told in time";
            Error::NotBegun(Fault::new(FaultKind::Silent, text))
        };
        let (whose, stands) = timeout_at(session.deadline, reading)
            .await
            .map_err(late)??;
        let stands = match whose == session.identity.dn {
            true => stands,
            false => read().await?,
        };
        if let Some(stands) = stands {
            evidence.note(HISTORY, stands);
        }
        Ok(())
    }

    async fn was_made_after(
        &self,
        _: &Session<'_>,
        entry: &Entry,
        evidence: &Evidence,
    ) -> Result<Option<bool>, Error> {
        // A create's time has a grain of a second, that of the history of a millionth.
        let second = |text: Option<&str>| Some(text?.get(..14)?.to_owned());
        let before = second(evidence.fact(HISTORY));
        let created = second(entry.text("createTimestamp"));
        Ok(created
            .zip(before)
            .map(|(created, before)| created >= before))
    }

    fn history_attributes(&self) -> Vec<String> {
        vec!["createTimestamp".to_owned()]
    }

    async fn sync(
        &self,
        session: &Session<'_>,
        _: &Context,
        class: &ClassSettings,
        token: &SyncToken,
        changes: &mut Changes,
    ) -> Result<SyncToken, CallError> {
        sync::sync(session, &self.suffix, class, token, changes).await
    }
}

/// The newest of the change numbers of a directory's servers.
fn newest(entry: &Entry) -> Option<String> {
    let values = entry.values(CONTEXT_CSN).iter();
    let texts = values.filter_map(|value| std::str::from_utf8(value).ok());
    texts.max().map(str::to_owned)
}

/// Locks an account that its new password has unlocked.
async fn disable_again(session: &Session<'_>, entry: &Entry, state: &State) -> Result<(), Error> {
    let lock = Operation::Modify {
        dn: entry.dn.clone(),
        changes: vec![state.change(false)],
    };
    let locked = session.write(&lock, &[]).await;
    locked.map(drop).map_err(|error| {
        let kind = match &error {
            Error::NotBegun(fault) | Error::Unknown(fault) => fault.kind,
            Error::Refused(_) => FaultKind::Closed,
        };
        let text = "the password was set, by which the directory enabled the account, and whether it is disabled again is not known";
        Error::Unknown(Fault::new(kind, text))
    })
}

fn no_state() -> Failure {
    Failure::unsupported(
        "nothing says how an account is disabled in this directory: give `disable` in the connector's configuration",
    )
}

/// RFC 3062, section 2.
fn password_modify(dn: &str, old: Option<&Password>, new: &Password) -> Zeroizing<Vec<u8>> {
    let mut value = Writer::default();
    value.constructed(SEQUENCE, |inner| {
        inner.primitive(0x80, dn.as_bytes());
        if let Some(old) = old {
            inner.primitive(0x81, old.expose());
        }
        inner.primitive(0x82, new.expose());
    });
    value.into_bytes()
}

/// What keeps a directory's words from being believed.
fn garbled(text: &str) -> Error {
    Error::Unknown(Fault::new(FaultKind::Garbled, text))
}

/// Whether an answer says that the directory lacks what was asked for.
fn lacks(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(code::UNAVAILABLE_CRITICAL_EXTENSION | code::PROTOCOL_ERROR)
    )
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
