//! What differs from one kind of directory to another.
//!
//! [`Directory`](super::connector::Directory) carries out the verbs; a dialect says how that kind
//! of directory names its objects, keeps passwords and states, and what its refusals mean.
//! Everything has a default, that of RFC 4511 and its companions, but what no standard says.

use std::fmt;

use tonic::async_trait;

use super::dn;
use super::fault::{Error, code};
use super::filter::Filter;
use super::message::{Answer, Change, ChangeKind, Control, Entry, Operation, wipe};
use super::session::Session;
use super::settings::ClassSettings;
use crate::connector::{Changes, Context};
use crate::model::{
    AttributeRole, CallError, Evidence, Failure, LockoutLimit, Object, ObjectClass, Password,
    Standings, SyncToken, Touched, Value, Verb,
};

/// Where an object is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "which of them there are, each dialect says")]
pub(crate) enum Place {
    /// An entry of this name, which need not be that of its place: `<GUID=…>`.
    At(String),
    /// The one entry below the base of its class that meets this.
    Where(Filter),
}

/// What a directory's answer to a bind with somebody's password says. Whether the account is
/// unknown or the password wrong, nobody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is right.
    Right,
    /// It is wrong, or there is no such account.
    Wrong,
    /// The account is locked after too many wrong ones.
    Locked,
    /// The account may not log in.
    Disabled,
    /// It may log in, but not now or not from here.
    NotNow,
    /// The password or the account has expired.
    Expired,
    /// It is right, and has to be changed before it is of use.
    MustChange,
    /// The directory could not tell.
    Unavailable,
}

/// What a new entry needs beside what the call gives it. It may hold a password, and so is never
/// shown.
#[derive(Default)]
pub(crate) struct Finishing {
    /// Further attributes of the add itself.
    pub(crate) attributes: Vec<(String, Vec<Vec<u8>>)>,
    /// Its password is set afterwards, by [`Dialect::set_password`]. Where that is refused, the
    /// entry is taken back.
    pub(crate) password_later: bool,
    /// What is changed after the password was set. Where that is refused, the entry is taken back.
    pub(crate) changes_later: Vec<Change>,
}

impl Drop for Finishing {
    fn drop(&mut self) {
        self.attributes
            .iter_mut()
            .for_each(|(_, values)| wipe(values));
    }
}

/// How one kind of directory differs from others. Each connector on this driver has one.
#[async_trait]
pub(crate) trait Dialect: fmt::Debug + Send + Sync + 'static {
    /// The connector's name in the configuration.
    fn kind(&self) -> &'static str;

    /// The attribute that holds the id which never changes.
    fn id_attribute(&self) -> &str;

    /// The id as text; `None` where the value is none.
    fn id_text(&self, value: &[u8]) -> Option<String> {
        std::str::from_utf8(value).ok().map(str::to_lowercase)
    }

    /// Where the object of an id is; `None`: nothing can have such an id.
    fn place_of_id(&self, id: &str) -> Option<Place> {
        Some(Place::Where(Filter::equal(self.id_attribute(), id)))
    }

    /// What the entry of this name meets, for those that are asked for many at once.
    fn dn_filter(&self, dn: &str) -> Filter {
        Filter::equal("entryDN", dn)
    }

    /// The roles of attributes beside those that every directory has: members of groups,
    /// `memberOf`, `userPassword`, `uidNumber`, `gidNumber`.
    fn roles(&self) -> Vec<AttributeRole> {
        Vec::new()
    }

    /// Attributes that no call reads or writes, in lower case: those that hold passwords, or what
    /// is as good as one.
    fn hidden(&self) -> &'static [&'static str] {
        &[
            "userpassword",
            "authpassword",
            "pwdhistory",
            "passwordhistory",
            "sambantpassword",
            "sambalmpassword",
            "sambapasswordhistory",
            "ipanthash",
            "krbprincipalkey",
        ]
    }

    /// Whether a rename is more than one request.
    fn renames_in_steps(&self) -> bool {
        false
    }

    /// Whether the classes of its schema name all attributes that their entries may have: content
    /// rules add others (RFC 4512, section 4.1.6).
    fn schema_is_whole(&self) -> bool {
        true
    }

    /// Refuses an attribute that no call may write.
    fn check_writable(&self, _attribute: &str) -> Result<(), Failure> {
        Ok(())
    }

    /// Refuses a name that the directory would not take, or not everywhere.
    fn check_name(&self, _class: ObjectClass, _name: &str) -> Result<(), Failure> {
        Ok(())
    }

    /// The attribute that has another value after each change of an entry; `None`: there is none
    /// that a change could be made to depend on.
    fn version_attribute(&self) -> Option<&'static str> {
        None
    }

    /// Whether who makes an entry has to give an attribute that the schema demands.
    fn is_required(&self, _attribute: &str) -> bool {
        true
    }

    /// The numeric id of an object, where it has one.
    fn number_of(&self, object: &Object) -> Option<u64> {
        let attribute = match object.identity.class {
            ObjectClass::Account => "uidNumber",
            _ => "gidNumber",
        };
        let mut attributes = object.attributes.iter();
        let found = attributes.find(|found| found.name.as_str().eq_ignore_ascii_case(attribute))?;
        found.values.first()?.as_id()
    }

    /// The names of the attributes of [`derived`](Self::derived), which are true or false.
    fn derived_names(&self, _class: ObjectClass) -> &'static [&'static str] {
        &[]
    }

    /// Attributes that the gateway makes of those that it reads.
    fn derived(&self, _class: ObjectClass, _entry: &Entry) -> Vec<(&'static str, Value)> {
        Vec::new()
    }

    /// A value as a call has it, where the schema does not tell.
    fn to_model(&self, _attribute: &str, _value: &[u8]) -> Option<Value> {
        None
    }

    /// A value as the directory has it, where its type does not tell.
    fn to_directory(&self, _attribute: &str, _value: &Value) -> Option<Vec<u8>> {
        None
    }

    /// Whether the gateway works memberships out by a search; otherwise `memberOf` is read.
    fn searches_memberships(&self) -> bool {
        true
    }

    /// The attributes that [`is_enabled`](Self::is_enabled) and
    /// [`switch`](Self::switch) read.
    fn state_attributes(&self) -> Vec<String>;

    /// Whether the account may log in; `None`: this directory does not tell.
    fn is_enabled(&self, entry: &Entry) -> Option<bool>;

    /// What accounts meet that are enabled, or those that are not; `None`: they cannot be searched
    /// for.
    fn enabled_filter(&self, enabled: bool) -> Option<Filter>;

    /// What makes the account such that it may log in, or may not; nothing where it is so already.
    fn switch(&self, entry: &Entry, enable: bool) -> Result<Vec<Change>, Failure>;

    /// What a new entry needs beside what the call gives it.
    fn finish(
        &self,
        class: ObjectClass,
        name: &str,
        password: Option<&Password>,
        enabled: bool,
    ) -> Result<Finishing, Failure>;

    /// The attribute that holds a further name that an account logs in by.
    fn log_in_attribute(&self) -> Option<&'static str> {
        None
    }

    /// Refuses names that a log-in could take for those of another account, where the directory
    /// itself takes them. `own`: the entry that gets them, `None`: a new one; `name`: its name from
    /// then on; `log_ins`: the values that [`log_in_attribute`](Self::log_in_attribute) gets.
    async fn check_log_ins(
        &self,
        _: &Session<'_>,
        _own: Option<&Entry>,
        _name: &str,
        _log_ins: &[String],
    ) -> Result<(), CallError> {
        Ok(())
    }

    /// Gives an account a password, in one request.
    async fn set_password(
        &self,
        session: &Session<'_>,
        entry: &Entry,
        password: &Password,
    ) -> Result<(), Error>;

    /// The name of the gateway's own entry, where it binds by another one.
    async fn own_dn(&self, session: &Session<'_>) -> Result<String, Error> {
        Ok(session.identity.dn.clone())
    }

    /// Gives the gateway's own entry a new password, in one request, with the old one as proof
    /// where the directory takes that.
    async fn renew_password(
        &self,
        session: &Session<'_>,
        dn: &str,
        old: &Password,
        new: &Password,
    ) -> Result<(), Error>;

    /// The name that somebody binds with: that of the entry.
    fn bind_name(&self, entry: &Entry) -> String {
        entry.dn.clone()
    }

    /// Controls of a bind with somebody's password.
    fn bind_controls(&self) -> Vec<Control> {
        Vec::new()
    }

    /// What the answer to such a bind says.
    fn verdict(&self, answer: &Answer) -> Verdict;

    /// The attributes of an account that [`lockout_limit`](Self::lockout_limit) reads.
    fn lockout_attributes(&self) -> Vec<String> {
        Vec::new()
    }

    /// When an account is locked; `None`: never, or nobody knows. Which server told is none of its
    /// concern.
    async fn lockout_limit(
        &self,
        _: &Session<'_>,
        _entry: &Entry,
    ) -> Result<Option<LockoutLimit>, Error> {
        Ok(None)
    }

    /// Controls of a change, beside those of the driver. `supported`: those that the directory
    /// lists.
    fn controls(&self, _verb: Verb, _supported: &[String]) -> Vec<Control> {
        Vec::new()
    }

    /// What a refusal means; `None`: what the standard says it does.
    fn failure(&self, _verb: Verb, _answer: &Answer) -> Option<Failure> {
        None
    }

    /// Reads what the directory left out of an entry, such as values beyond the first 1,500.
    async fn complete(&self, _: &Session<'_>, _entry: &mut Entry) -> Result<(), Error> {
        Ok(())
    }

    /// What gives an entry another name, in this order. After the first one that is carried out,
    /// one that is not leaves the object half renamed, and the caller is told.
    fn renaming(&self, entry: &Entry, class: &ClassSettings, new_name: &str) -> Vec<Operation> {
        let (own, parent) = dn::split_first(&entry.dn);
        let names = entry.values(&class.naming).iter();
        let mut names = names.filter_map(|name| std::str::from_utf8(name).ok());
        // An entry whose name was not made of the object's keeps it.
        let made = names.any(|name| dn::has_all_of(own, &class.rdn(name)));
        let named = dn::first_value(own, &class.naming).is_some();
        let new_rdn = match (made, named) {
            (true, _) => Some(class.rdn(new_name)),
            (false, true) => Some(format!("{}={}", class.naming, dn::escape(new_name))),
            (false, false) => None,
        };
        let mut steps = Vec::new();
        let mut dn = entry.dn.clone();
        if let Some(new_rdn) = new_rdn.map(|new| dn::renamed(own, &new)) {
            let renamed = format!("{new_rdn},{parent}");
            steps.push(Operation::ModifyDn {
                dn: std::mem::replace(&mut dn, renamed),
                new_rdn,
                delete_old: true,
                new_superior: None,
            });
        }
        if dn::first_value(&dn, &class.naming).as_deref() != Some(new_name) {
            let name = Change {
                kind: ChangeKind::Replace,
                attribute: class.naming.clone(),
                values: vec![new_name.as_bytes().to_vec()],
            };
            steps.push(Operation::Modify {
                dn,
                changes: vec![name],
            });
        }
        steps
    }

    /// Whether a modification was refused because what it asks for is so already, and is to be
    /// worked out again from the entry as it now is.
    fn is_already_so(&self, kind: ChangeKind, answer: &Answer) -> bool {
        match kind {
            ChangeKind::Add => answer.code == code::ATTRIBUTE_OR_VALUE_EXISTS,
            ChangeKind::Delete => answer.code == code::NO_SUCH_ATTRIBUTE,
            ChangeKind::Replace => false,
        }
    }

    /// Notes what tells later whether a create was carried out: where the directory's history
    /// stands.
    async fn note_history(
        &self,
        session: &Session<'_>,
        evidence: &mut Evidence,
    ) -> Result<(), Error>;

    /// Whether an entry was made after [`note_history`](Self::note_history); `None`: nobody can
    /// tell.
    async fn was_made_after(
        &self,
        session: &Session<'_>,
        entry: &Entry,
        evidence: &Evidence,
    ) -> Result<Option<bool>, Error>;

    /// Whether the directory knows that the object of an id was deleted; `None`: it keeps no record
    /// of that.
    async fn is_deleted(&self, _: &Session<'_>, _id: &str) -> Result<Option<bool>, Error> {
        Ok(None)
    }

    /// How the objects that a call touches stand to one another; `None`: as members and numbers
    /// tell.
    async fn standings(
        &self,
        _: &Session<'_>,
        _touched: &Touched<'_>,
    ) -> Result<Option<Standings>, Error> {
        Ok(None)
    }

    /// The attributes that [`was_made_after`](Self::was_made_after) reads.
    fn history_attributes(&self) -> Vec<String> {
        Vec::new()
    }

    /// As [`Connector::sync`](crate::connector::Connector::sync).
    async fn sync(
        &self,
        session: &Session<'_>,
        cx: &Context,
        class: &ClassSettings,
        token: &SyncToken,
        changes: &mut Changes,
    ) -> Result<SyncToken, CallError>;
}
