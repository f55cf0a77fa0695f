//! The accounts and groups of this host, through the programs of shadow-utils.
//!
//! An object's id is its uid or gid, its name the login or group name. Files are read directly,
//! changes are made by the programs, which know the host's own rules and locks. Passwords are
//! hashed here and go to `chpasswd` on standard input: never an argument, never the environment.
//!
//! To *disable* an account locks its password and sets its expiry day, so that neither a password
//! nor an SSH key lets anybody in. To *enable* it takes back both: the former expiry day is
//! remembered (see `expiry`). An account without a password is disabled and enabled by its expiry
//! day alone.
//!
//! ```toml
//! [connectors.local]
//! type = "unix"
//! prefix = "/"                    # the root of the account files; a scratch root to try things
//! home_base = "/home"             # every home directory lies directly in it
//! create_home = true              # a new account gets its home directory
//! remove_home = false             # a deleted account loses it, with all that is in it
//! password_hash = "yescrypt"      # or "sha512", for hosts whose C library is older
//! # Default: those in etc/shells, and nologin.
//! # allowed_shells = ["/bin/bash", "/usr/sbin/nologin"]
//!
//! [connectors.local.guard_rails]  # what any server may do here
//! read_only = false
//! # allowed_verbs = ["test", "schema", "get", "search"]   # default: all of them
//! # Beside root and the system's own, and the privileged groups, which always are; patterns
//! # with * and ?.
//! protected_accounts = []
//! protected_groups = []
//! # Accounts and groups with lower ids are protected, and accounts in such a group.
//! protected_ids_below = 1000
//! # But for those in these groups; default: those of people at the host's own screen.
//! # harmless_groups = ["users", "audio"]
//! # Ids that may be asked for; default: as etc/login.defs has them. Never one that subuid or
//! # subgid give away.
//! # allowed_ids = ["1000-59999"]
//! # Groups whose membership may change; default: those that are not protected. A protected group
//! # is opened by its full name only, never by a pattern.
//! # allowed_groups = ["users", "team-*"]
//! max_search_results = 10000
//! max_deletes_per_hour = 100
//! ```

mod account_create;
mod account_fields;
mod accounts;
mod ageing;
mod asked;
mod attributes;
mod belongings;
mod configure;
mod database;
mod deleted;
mod exit_codes;
mod expiry;
mod faults;
mod files;
mod find;
mod groups;
mod homes;
mod id_ranges;
mod lines;
mod listing;
mod login;
mod look;
mod marker;
mod membership;
mod name;
mod obstacle;
mod password;
mod password_field;
mod policy;
mod protected;
mod rights;
mod rooted;
mod rule_files;
mod scratch;
mod search;
mod standing;
mod subordinate;
mod sync;
mod text;
mod tools;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::async_trait;

use crate::connector::{Changes, Connector, Context, Found, Inspecting, Inspection, Lane};
use crate::model::{
    CallError, ClassSchema, Cookie, Create, Evidence, Failure, Get, IdRanges, Look, Object,
    ObjectClass, ObjectName, ObjectRef, Password, Request, Roles, Schema, Search, Standings,
    SyncToken, Touched, Update, Verb,
};
use belongings::Owned;
use database::{Account, Database, Group};
use faults::Faults;
use find::{find_account, find_group};
use listing::Kept;
use membership::Stopped;
use password::{Hashing, Scheme, Verifier};
use policy::Policy;
use tools::Tools;

pub use configure::configure;
pub use protected::GUARD_DEFAULTS;
pub use scratch::create_scratch_root;

/// What taking back a failed change may take, beyond the call's own time.
const WAY_BACK: Duration = Duration::from_secs(15);

/// The connector of type `unix`.
#[derive(Debug)]
pub struct Unix {
    policy: Policy,
    scheme: Scheme,
    hashing: Hashing,
    verifier: Arc<Verifier>,
    tools: Tools,
    /// Faults of the account files that were warned of already.
    warned: Mutex<Faults>,
    /// What searches go through.
    kept: Kept,
    /// A hash that no password is known for: what a password of an unknown account is compared
    /// with.
    decoy: String,
    /// The prefix, spelled the same by every connector that works under it.
    root: String,
}

impl Unix {
    fn new(policy: Policy, scheme: Scheme) -> Result<Self, Failure> {
        let secret: [u8; 32] = rand::random();
        let secret = secret.map(|byte| byte | 0x40);
        let decoy = Password::new(secret.to_vec())
            .ok_or_else(|| Failure::internal("no decoy password"))
            .and_then(|decoy| scheme.hash(&decoy))?;
        Ok(Self {
            tools: Tools::new(&policy.prefix),
            root: policy.root(),
            policy,
            scheme,
            hashing: Hashing::new(),
            verifier: Arc::new(Verifier::new()),
            warned: Mutex::default(),
            kept: Kept::default(),
            decoy: decoy.to_string(),
        })
    }

    async fn read(&self) -> Result<Database, Failure> {
        let prefix = self.policy.prefix.clone();
        let database = blocking(move || Database::read(&prefix)).await?;
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if *warned != database.faults {
            if !database.faults.is_empty() {
                tracing::warn!(prefix = %self.policy.prefix.display(), "the account files have faults: {}", database.faults);
            }
            warned.clone_from(&database.faults);
        }
        drop(warned);
        Ok(database)
    }

    /// What is left on the host of accounts that are gone, by their numbers.
    async fn ownerless(&self, database: &Database) -> Result<Vec<Owned>, Failure> {
        let (prefix, base) = (self.policy.prefix.clone(), self.policy.home_base.clone());
        let database = database.clone();
        blocking(move || Ok(belongings::ownerless(&prefix, &base, &database))).await
    }

    /// What a failed program left: a failure if nothing, else what nobody knows. A program that
    /// wrote nothing leaves nothing, whatever others change meanwhile.
    async fn after_failure<T: PartialEq>(
        &self,
        Stopped { done, error }: Stopped,
        what: &str,
        before: &T,
        view: impl Fn(&Database) -> T,
    ) -> CallError {
        if done == 0 && error.wrote_nothing() {
            return error.into_failure().into();
        }
        match self.read().await {
            Ok(now) if view(&now) == *before => error.into_failure().into(),
            Ok(_) => CallError::Indeterminate(format!(
                "{error}; {what} has changed, perhaps in part: look at it before you try again"
            )),
            Err(failure) => CallError::Indeterminate(format!(
                "{error}; and what came of it cannot be seen: {}",
                failure.message
            )),
        }
    }
}

/// Work that would hold up the other calls.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    // Boxed: a task of its own type for each piece of work makes the program larger.
    let work: Box<dyn FnOnce() -> _ + Send> = Box::new(work);
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Failure::internal("the gateway failed; its log says more")))
}

#[async_trait]
impl Connector for Unix {
    fn kind(&self) -> &'static str {
        "unix"
    }

    fn verbs(&self, class: ObjectClass) -> Vec<Verb> {
        let both = [
            Verb::Create,
            Verb::Get,
            Verb::Update,
            Verb::Delete,
            Verb::Rename,
            Verb::Search,
            Verb::Sync,
        ];
        let account = [
            Verb::Enable,
            Verb::Disable,
            Verb::SetPassword,
            Verb::Authenticate,
        ];
        match class {
            ObjectClass::Account => [both.as_slice(), account.as_slice()].concat(),
            ObjectClass::Group => both.to_vec(),
            ObjectClass::Other(_) => Vec::new(),
        }
    }

    fn roles(&self) -> Roles<'_> {
        Roles::new(attributes::ROLES)
    }

    /// The programs lock whole files, and rewrite them: one change a root, through however many
    /// connectors.
    fn lanes(&self, _: &Request) -> BTreeSet<Lane> {
        [Lane::Shared(self.root.clone())].into()
    }

    fn inspect(&self, how: Inspecting<'_>) -> Inspection {
        obstacle::inspect(&self.policy, &self.tools, how.changes)
    }

    async fn test(&self, _: &Context) -> Result<String, CallError> {
        if let Some(missing) = obstacle::not_installed(&self.tools) {
            return Err(Failure::unavailable(missing).into());
        }
        let database = self.read().await?;
        self.policy.check_privilege()?;
        if let Some(obstacle) = obstacle::find(&self.policy.prefix) {
            return Err(obstacle.into());
        }
        if let Some(obstacle) = obstacle::of_homes(&self.policy) {
            return Err(obstacle.into());
        }
        let count = |count: usize, what| {
            let plural = if count == 1 { "" } else { "s" };
            format!("{count} {what}{plural}")
        };
        let mut report = format!(
            "{} and {} under {}",
            count(database.accounts.len(), "account"),
            count(database.groups.len(), "group"),
            self.policy.prefix.display()
        );
        if !database.faults.is_empty() {
            report += &format!(". Look at the account files: {}", database.faults);
        }
        Ok(report)
    }

    async fn schema(&self, _: &Context) -> Result<Schema, CallError> {
        let class = |class| ClassSchema {
            class,
            attributes: attributes::of(class).iter().map(Into::into).collect(),
            verbs: self.verbs(class),
        };
        Ok(Schema {
            classes: vec![class(ObjectClass::Account), class(ObjectClass::Group)],
            ..Schema::default()
        })
    }

    async fn create(&self, cx: &Context, create: Create) -> Result<Object, CallError> {
        match create.class {
            ObjectClass::Account => self.create_account(cx, create).await,
            ObjectClass::Group => self.create_group(cx, create).await,
            class @ ObjectClass::Other(_) => Err(self.lacks(Verb::Create, class)),
        }
    }

    async fn get(&self, _: &Context, get: &Get) -> Result<Object, CallError> {
        attributes::check_names(get.object.class, &get.attributes)?;
        let database = self.read().await?;
        let mut object = match get.object.class {
            ObjectClass::Account => {
                self.account_object(&database, find_account(&database, &get.object)?)?
            }
            ObjectClass::Group => groups::object(find_group(&database, &get.object)?)?,
            class @ ObjectClass::Other(_) => return Err(self.lacks(Verb::Get, class)),
        };
        object.retain(&get.attributes);
        Ok(object)
    }

    async fn update(&self, cx: &Context, update: Update) -> Result<Object, CallError> {
        match update.object.class {
            ObjectClass::Account => self.update_account(cx, &update).await,
            ObjectClass::Group => self.update_group(cx, &update).await,
            class @ ObjectClass::Other(_) => Err(self.lacks(Verb::Update, class)),
        }
    }

    async fn delete(&self, cx: &Context, object: ObjectRef) -> Result<Option<String>, CallError> {
        match object.class {
            ObjectClass::Account => self.delete_account(cx, &object).await,
            ObjectClass::Group => self.delete_group(cx, &object).await.map(|()| None),
            class @ ObjectClass::Other(_) => Err(self.lacks(Verb::Delete, class)),
        }
    }

    async fn enable(&self, cx: &Context, object: ObjectRef) -> Result<Option<Object>, CallError> {
        self.enable_account(cx, &object).await.map(Some)
    }

    async fn disable(&self, cx: &Context, object: ObjectRef) -> Result<Option<Object>, CallError> {
        self.disable_account(cx, &object).await.map(Some)
    }

    async fn set_password(
        &self,
        cx: &Context,
        object: ObjectRef,
        password: Password,
    ) -> Result<(), CallError> {
        self.set_account_password(cx, &object, password).await
    }

    async fn authenticate(
        &self,
        _: &Context,
        object: ObjectRef,
        password: Password,
    ) -> Result<(), CallError> {
        self.authenticate_account(&object, password).await
    }

    async fn rename(
        &self,
        cx: &Context,
        object: ObjectRef,
        new_name: ObjectName,
    ) -> Result<Object, CallError> {
        let new_name = name::check(&new_name)?;
        match object.class {
            ObjectClass::Account => self.rename_account(cx, &object, new_name).await,
            ObjectClass::Group => self.rename_group(cx, &object, new_name).await,
            class @ ObjectClass::Other(_) => Err(self.lacks(Verb::Rename, class)),
        }
    }

    async fn search(
        &self,
        _: &Context,
        search: &Search,
        found: &mut Found,
    ) -> Result<Cookie, CallError> {
        self.search_objects(search, found).await
    }

    async fn evidence(&self, cx: &Context, change: &Request) -> Result<Evidence, CallError> {
        self.seen_before(cx, change).await
    }

    async fn look(
        &self,
        cx: &Context,
        change: &Request,
        before: &Evidence,
    ) -> Result<Look, CallError> {
        self.look_at(cx, change, before).await
    }

    async fn sync(
        &self,
        _: &Context,
        class: ObjectClass,
        token: &SyncToken,
        changes: &mut Changes,
    ) -> Result<SyncToken, CallError> {
        self.sync_objects(class, token, changes).await
    }

    async fn standings(&self, _: &Context, touched: &Touched<'_>) -> Result<Standings, CallError> {
        let asked = standing::Asked::new(touched);
        let database = self.read().await?;
        Ok(blocking(move || Ok(standing::find(&database, &asked))).await?)
    }

    async fn id_ranges(&self, _: &Context) -> Result<IdRanges, CallError> {
        let prefix = self.policy.prefix.clone();
        Ok(blocking(move || id_ranges::read(&prefix)).await?)
    }
}

/// When the way back from a failed change has to have ended.
fn way_back() -> Instant {
    Instant::now() + WAY_BACK
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
