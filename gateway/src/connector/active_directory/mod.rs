//! Microsoft's Active Directory, and Samba as its controller.
//!
//! An object's id is its objectGUID, its name the sAMAccountName. Passwords go into `unicodePwd`;
//! whether an account may log in is a bit of `userAccountControl`, and no other bit is touched.
//! Accounts and groups are known to the guard rails by the last number of their SIDs (the RID):
//! those below 1000 are Windows's own in every language.
//!
//! ```toml
//! [connectors.office]
//! type = "active-directory"
//! servers = ["ldaps://dc1.example.com", "ldaps://dc2.example.com"]   # in this order
//! ca_file = "/etc/portcullis/ad-ca.pem"
//! bind_dn = "portcullis@example.com"
//! bind_password_file = "/etc/portcullis/ad-password"
//! domain = "example.com"              # userPrincipalName of new accounts: NAME@example.com
//!
//! [connectors.office.accounts]
//! base = "OU=Staff,DC=example,DC=com"
//!
//! [connectors.office.groups]
//! base = "OU=Groups,DC=example,DC=com"
//! ```

mod codes;
mod control;
mod identity;
mod lockout;
mod names;
mod namesakes;
mod ranges;
mod standing;
mod sync;
mod times;

use std::sync::Arc;

use tonic::async_trait;
use zeroize::Zeroizing;

use crate::config::Section;
use crate::connector::directory::connector::Directory;
use crate::connector::directory::dialect::{Dialect, Finishing, Place, Verdict};
use crate::connector::directory::dn;
use crate::connector::directory::fault::{Error, Fault, FaultKind, code};
use crate::connector::directory::filter::Filter;
use crate::connector::directory::message::{Answer, Change, ChangeKind, Control, Entry, Operation};
use crate::connector::directory::session::Session;
use crate::connector::directory::settings::{ClassSettings, Defaults, Settings};
use crate::connector::{Changes, Connector, Context};
use crate::model::{
    AttributeRole, CallError, Evidence, Failure, GuardDefaults, LockoutLimit, NameComparison,
    Object, ObjectClass, Password, Role, Standings, SyncToken, Touched, Value, Verb,
};
use control::CONTROL;
use identity::{GUID, SID};
use sync::Way;

/// What is protected where the configuration is silent. The names are those of an English Windows;
/// in every language the ids are the same.
pub const GUARD_DEFAULTS: GuardDefaults = GuardDefaults {
    protected_accounts: &["administrator", "guest", "krbtgt"],
    protected_groups: &[
        "administrators",
        "account operators",
        "backup operators",
        "cert publishers",
        "dnsadmins",
        "domain admins",
        "domain controllers",
        "enterprise admins",
        "enterprise key admins",
        "group policy creator owners",
        "key admins",
        "print operators",
        "read-only domain controllers",
        "replicator",
        "schema admins",
        "server operators",
    ],
    protected_ids_below: 1000,
    harmless_groups: &[],
    compare_names: NameComparison::Normalized,
};

/// Accounts are users: a computer has the class of one as well, and another type
/// (SAM_NORMAL_USER_ACCOUNT, MS-SAMR 2.2.1.9).
const USERS: (&str, &str) = ("sAMAccountType", "805306368");

/// Deletes what is below an entry along with it (MS-ADTS 3.1.1.3.4.1.15).
const TREE_DELETE: &str = "1.2.840.113556.1.4.805";

/// Shows what was deleted (MS-ADTS 3.1.1.3.4.1.14).
const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";

/// What is particular to Active Directory.
#[derive(Debug)]
struct ActiveDirectory {
    /// The domain's root: where accounts and groups are known from, whatever their base.
    root: String,
    sync: Way,
    /// Whether a deletion takes what lies below the entry along.
    tree_delete: bool,
    /// Whether an account is made in steps: disabled, then its password, then enabled.
    in_steps: bool,
}

/// Reads the connector's own keys; what is wrong becomes a problem of the section.
pub fn configure(name: &str, section: &mut Section<'_>) -> Option<Arc<dyn Connector>> {
    let defaults = Defaults {
        account_classes: &["user"],
        account_naming: names::ACCOUNT_NAME,
        account_rdn: "CN",
        account_filter: Some(Filter::equal(USERS.0, USERS.1)),
        group_classes: &["group"],
        group_naming: names::ACCOUNT_NAME,
        group_rdn: "CN",
        computer_classes: &["computer"],
        computer_naming: names::ACCOUNT_NAME,
    };
    let settings = Settings::read(section, &defaults);
    let domain = section.text("domain").map(str::to_owned);
    let tree_delete = section.boolean("delete_below").unwrap_or(false);
    let in_steps = section.boolean("create_in_steps").unwrap_or(false);
    let sync = match section.text("sync") {
        None | Some("dirsync") => Some(Way::DirSync),
        Some("usn") => Some(Way::Usn),
        Some(other) => {
            let allowed = format!("`{other}`: `dirsync` and `usn` are allowed");
            section.problem("sync", allowed);
            None
        }
    };
    let mut settings = settings?;
    let root = domain_root(&settings.accounts.base);
    if root.is_none() {
        section.problem(
            "accounts",
            "`base` lies in no domain: it ends with the steps of one, such as \"DC=example,DC=com\"",
        );
    }
    if let Some(domain) = domain {
        let defaults = &mut settings.accounts.defaults;
        let principal = names::PRINCIPAL_NAME;
        if !defaults
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(principal))
        {
            defaults.push((principal.to_owned(), format!("{{name}}@{domain}")));
        }
    }
    let dialect = ActiveDirectory {
        root: root?,
        sync: sync?,
        tree_delete,
        in_steps,
    };
    Some(Arc::new(Directory::new(name, Box::new(dialect), settings)))
}

/// The steps of a base that name its domain: from the first `DC=` on.
fn domain_root(base: &str) -> Option<String> {
    let mut rest = base.trim();
    while !rest.is_empty() {
        let (first, parent) = dn::split_first(rest);
        let attribute = first.split_once('=').map_or("", |(attribute, _)| attribute);
        if attribute.trim().eq_ignore_ascii_case("dc") {
            return Some(rest.to_owned());
        }
        rest = parent.trim();
    }
    None
}

/// The value of `unicodePwd` that sets this password: it stands in quotes, in UTF-16
/// (MS-ADTS 3.1.1.3.1.5).
fn quoted(password: &Password) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let text = std::str::from_utf8(password.expose()).map_err(|_| {
        Failure::invalid("the password is no UTF-8: Active Directory takes text alone")
    })?;
    let units = "\""
        .encode_utf16()
        .chain(text.encode_utf16())
        .chain("\"".encode_utf16());
    // All room at once: what is moved to more room leaves a copy behind.
    let mut value = Zeroizing::new(Vec::with_capacity(2 * (text.len() + 2)));
    for unit in units {
        value.extend_from_slice(&unit.to_le_bytes());
    }
    Ok(value)
}

const PASSWORD: &str = "unicodePwd";

/// A password that cannot be sent is as one that was refused.
fn unfit(failure: Failure) -> Error {
    Error::refused(Answer {
        code: code::INVALID_ATTRIBUTE_SYNTAX,
        text: failure.message,
        ..Answer::default()
    })
}

#[async_trait]
impl Dialect for ActiveDirectory {
    fn kind(&self) -> &'static str {
        "active-directory"
    }

    fn renames_in_steps(&self) -> bool {
        true
    }

    fn schema_is_whole(&self) -> bool {
        false
    }

    fn id_attribute(&self) -> &str {
        GUID
    }

    fn id_text(&self, value: &[u8]) -> Option<String> {
        identity::guid_text(value)
    }

    fn place_of_id(&self, id: &str) -> Option<Place> {
        let bytes = identity::guid_bytes(id)?;
        Some(Place::Where(Filter::Equal(GUID.to_owned(), bytes.to_vec())))
    }

    fn dn_filter(&self, dn: &str) -> Filter {
        Filter::equal("distinguishedName", dn)
    }

    fn roles(&self) -> Vec<AttributeRole> {
        let role = |class, attribute, role| AttributeRole::new(class, attribute, role);
        let mut roles = vec![role(
            ObjectClass::Account,
            "primaryGroupID",
            Role::GroupNumber,
        )];
        roles.push(role(
            ObjectClass::Account,
            names::PRINCIPAL_NAME,
            Role::LogInName,
        ));
        for attribute in control::DERIVED {
            roles.push(role(ObjectClass::Account, attribute, Role::Computed));
        }
        roles
    }

    fn hidden(&self) -> &'static [&'static str] {
        &[
            "unicodepwd",
            "userpassword",
            "dbcspwd",
            "lmpwdhistory",
            "ntpwdhistory",
            "supplementalcredentials",
            "unixuserpassword",
            "mssfu30password",
            "msds-managedpassword",
            "ms-mcs-admpwd",
            "mslaps-password",
            "mslaps-encryptedpassword",
            "mslaps-encryptedpasswordhistory",
            "msfve-recoverypassword",
        ]
    }

    fn check_writable(&self, attribute: &str) -> Result<(), Failure> {
        control::check_writable(attribute)
    }

    fn is_required(&self, attribute: &str) -> bool {
        !names::MADE_BY_ITSELF
            .iter()
            .any(|own| own.eq_ignore_ascii_case(attribute))
    }

    fn number_of(&self, object: &Object) -> Option<u64> {
        let sid = object.values(SID).first()?;
        match sid {
            Value::Text(text) => identity::protected_rid(identity::rid_of_text(text)?),
            _ => None,
        }
    }

    fn state_attributes(&self) -> Vec<String> {
        control::READ.map(str::to_owned).to_vec()
    }

    fn is_enabled(&self, entry: &Entry) -> Option<bool> {
        Some(control::flags(entry)? & control::DISABLED == 0)
    }

    fn enabled_filter(&self, enabled: bool) -> Option<Filter> {
        let disabled = Filter::Matches {
            rule: control::BITS,
            attribute: CONTROL.to_owned(),
            value: control::DISABLED.to_string().into_bytes(),
        };
        Some(if enabled {
            Filter::Not(Box::new(disabled))
        } else {
            disabled
        })
    }

    fn switch(&self, entry: &Entry, enable: bool) -> Result<Vec<Change>, Failure> {
        control::switch(entry, enable)
    }

    fn derived_names(&self, class: ObjectClass) -> &'static [&'static str] {
        match class {
            ObjectClass::Account => &control::DERIVED,
            _ => &[],
        }
    }

    fn derived(&self, class: ObjectClass, entry: &Entry) -> Vec<(&'static str, Value)> {
        match class {
            ObjectClass::Account => control::derived(entry),
            _ => Vec::new(),
        }
    }

    fn to_model(&self, attribute: &str, value: &[u8]) -> Option<Value> {
        identity::to_model(attribute, value).or_else(|| times::to_model(attribute, value))
    }

    fn to_directory(&self, attribute: &str, value: &Value) -> Option<Vec<u8>> {
        times::to_directory(attribute, value)
    }

    fn finish(
        &self,
        class: ObjectClass,
        name: &str,
        password: Option<&Password>,
        enabled: bool,
    ) -> Result<Finishing, Failure> {
        names::check(class, name)?;
        let mut finishing = Finishing::default();
        let mut add = |name: &str, value: Vec<u8>| {
            finishing.attributes.push((name.to_owned(), vec![value]));
        };
        if class != ObjectClass::Account {
            return Ok(finishing);
        }
        let normal = |disabled| control::normal(disabled).to_string().into_bytes();
        let Some(password) = password.filter(|_| self.in_steps) else {
            add(CONTROL, normal(!enabled));
            if let Some(password) = password {
                add(PASSWORD, quoted(password)?.to_vec());
            }
            return Ok(finishing);
        };
        // A value that cannot be sent is refused before there is an entry.
        quoted(password)?;
        add(CONTROL, normal(true));
        finishing.password_later = true;
        if enabled {
            finishing.changes_later.push(Change {
                kind: ChangeKind::Replace,
                attribute: CONTROL.to_owned(),
                values: vec![normal(false)],
            });
        }
        Ok(finishing)
    }

    fn check_name(&self, class: ObjectClass, name: &str) -> Result<(), Failure> {
        names::check(class, name)
    }

    fn log_in_attribute(&self) -> Option<&'static str> {
        Some(names::PRINCIPAL_NAME)
    }

    async fn check_log_ins(
        &self,
        session: &Session<'_>,
        own: Option<&Entry>,
        name: &str,
        log_ins: &[String],
    ) -> Result<(), CallError> {
        namesakes::check(session, &self.root, own, name, log_ins).await
    }

    async fn set_password(
        &self,
        session: &Session<'_>,
        entry: &Entry,
        password: &Password,
    ) -> Result<(), Error> {
        let value = quoted(password).map_err(unfit)?;
        let modify = Operation::Modify {
            dn: entry.dn.clone(),
            changes: vec![Change {
                kind: ChangeKind::Replace,
                attribute: PASSWORD.to_owned(),
                values: vec![value.to_vec()],
            }],
        };
        session.write(&modify, &[]).await.map(drop)
    }

    /// The gateway binds by the name of its entry, or as people do: `NAME@DOMAIN`, `DOMAIN\NAME`.
    async fn own_dn(&self, session: &Session<'_>) -> Result<String, Error> {
        let own = &session.identity.dn;
        let Some(filter) = names::of_login(own) else {
            return Ok(own.clone());
        };
        let wanted = [names::ACCOUNT_NAME.to_owned()];
        let found = session.entries(&self.root, filter, &wanted, 2).await?;
        match <[Entry; 1]>::try_from(found) {
            Ok([entry]) => Ok(entry.dn),
            Err(found) => {
                let count = found.len();
                let text = format!(
                    "{count} entries of the domain have the gateway's name: give the name of its entry as `bind_dn`"
                );
                Err(Error::NotBegun(Fault::new(FaultKind::Bind, text)))
            }
        }
    }

    /// A change, which proves the old one: it takes no right to reset passwords.
    async fn renew_password(
        &self,
        session: &Session<'_>,
        dn: &str,
        old: &Password,
        new: &Password,
    ) -> Result<(), Error> {
        let change = |kind, password: &Password| {
            let value = quoted(password).map_err(unfit)?;
            Ok::<_, Error>(Change {
                kind,
                attribute: PASSWORD.to_owned(),
                values: vec![value.to_vec()],
            })
        };
        let modify = Operation::Modify {
            dn: dn.to_owned(),
            changes: vec![
                change(ChangeKind::Delete, old)?,
                change(ChangeKind::Add, new)?,
            ],
        };
        session.write(&modify, &[]).await.map(drop)
    }

    fn lockout_attributes(&self) -> Vec<String> {
        lockout::attributes()
    }

    async fn lockout_limit(
        &self,
        session: &Session<'_>,
        entry: &Entry,
    ) -> Result<Option<LockoutLimit>, Error> {
        lockout::limit(session, &self.root, entry).await
    }

    fn verdict(&self, answer: &Answer) -> Verdict {
        codes::verdict(answer)
    }

    fn controls(&self, verb: Verb, _: &[String]) -> Vec<Control> {
        match verb {
            Verb::Delete if self.tree_delete => vec![Control::new(TREE_DELETE, None).critical()],
            _ => Vec::new(),
        }
    }

    fn failure(&self, verb: Verb, answer: &Answer) -> Option<Failure> {
        codes::failure(verb, answer)
    }

    async fn complete(&self, session: &Session<'_>, entry: &mut Entry) -> Result<(), Error> {
        ranges::complete(session, entry).await
    }

    fn renaming(&self, entry: &Entry, class: &ClassSettings, new_name: &str) -> Vec<Operation> {
        names::renaming(entry, class, new_name)
    }

    /// A member that is there already is an entry that exists, and one that is not is something
    /// that the directory is unwilling to take away.
    fn is_already_so(&self, kind: ChangeKind, answer: &Answer) -> bool {
        match kind {
            ChangeKind::Add => matches!(
                answer.code,
                code::ATTRIBUTE_OR_VALUE_EXISTS | code::ENTRY_ALREADY_EXISTS
            ),
            ChangeKind::Delete => matches!(
                answer.code,
                code::NO_SUCH_ATTRIBUTE | code::UNWILLING_TO_PERFORM
            ),
            ChangeKind::Replace => false,
        }
    }

    async fn note_history(
        &self,
        session: &Session<'_>,
        evidence: &mut Evidence,
    ) -> Result<(), Error> {
        if let Some(stand) = sync::Stand::of(session).await? {
            evidence.note(INVOCATION, &stand.invocation);
            evidence.note(HIGHEST_USN, stand.usn.to_string());
        }
        Ok(())
    }

    async fn was_made_after(
        &self,
        session: &Session<'_>,
        entry: &Entry,
        evidence: &Evidence,
    ) -> Result<Option<bool>, Error> {
        let Some(stand) = sync::Stand::of(session).await? else {
            return Ok(None);
        };
        let before = evidence
            .fact(HIGHEST_USN)
            .and_then(|text| text.parse::<u64>().ok());
        let made = entry
            .text(USN_CREATED)
            .and_then(|text| text.parse::<u64>().ok());
        let (Some(before), Some(made)) = (before, made) else {
            return Ok(None);
        };
        // Each controller counts for itself, and anew after it was put back to a backup.
        let same = evidence.fact(INVOCATION) == Some(stand.invocation.as_str());
        Ok(same.then_some(made > before))
    }

    fn history_attributes(&self) -> Vec<String> {
        vec![USN_CREATED.to_owned()]
    }

    async fn is_deleted(&self, session: &Session<'_>, id: &str) -> Result<Option<bool>, Error> {
        sync::is_deleted(session, id).await.map(Some)
    }

    async fn standings(
        &self,
        session: &Session<'_>,
        touched: &Touched<'_>,
    ) -> Result<Option<Standings>, Error> {
        standing::stand(session, &self.root, touched)
            .await
            .map(Some)
    }

    async fn sync(
        &self,
        session: &Session<'_>,
        _: &Context,
        class: &ClassSettings,
        token: &SyncToken,
        changes: &mut Changes,
    ) -> Result<SyncToken, CallError> {
        sync::sync(session, self.sync, &self.root, class, token, changes).await
    }
}

/// The facts of the evidence that say where the history of the controller stood.
const INVOCATION: &str = "invocationId";
const HIGHEST_USN: &str = "highestCommittedUSN";

/// The number that an object's creation has in the history of its controller.
const USN_CREATED: &str = "uSNCreated";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_stands_in_quotes_in_utf_16() {
        let value = quoted(&Password::new(b"p\xc3\xa9".to_vec()).unwrap()).unwrap();
        assert_eq!(value[..], *b"\"\0p\0\xe9\0\"\0");
        assert!(quoted(&Password::new(b"\xff".to_vec()).unwrap()).is_err());
    }

    #[test]
    fn the_domain_is_the_end_of_a_base() {
        for (base, root) in [
            ("OU=a,DC=example,DC=com", Some("DC=example,DC=com")),
            ("OU=DC\\,DC=x,dc=example,dc=com", Some("dc=example,dc=com")),
            ("DC=example", Some("DC=example")),
            ("OU=a,O=b", None),
        ] {
            assert_eq!(domain_root(base).as_deref(), root, "{base}");
        }
    }
}
