//! Allow-listed executables in one folder, one per verb: JSON on standard input, JSON on standard
//! output.
//!
//! What a script is asked and what it answers stands in `PROTOCOL.md` beside this file.
//!
//! ```toml
//! [connectors.hr]
//! type = "script"
//! folder = "/etc/portcullis/scripts/hr"   # root's, and nobody else's to write
//! timeout = "30s"                         # for each run; the call's own limit still holds
//! max_output = 1048576                    # bytes
//! serialize_changes = true                # one change at a time
//! worker = "networked"                    # or "privileged", where the gateway is in processes
//! user = "hr-scripts"                     # who they run as; left out: who the gateway runs as
//! settings = []                           # names of the settings that a resource may give
//!
//! [connectors.hr.environment]             # beside PATH and LC_ALL; never a secret
//! # HR_URL = "https://hr.example.com"
//!
//! [connectors.hr.guard_rails]
//! # as for type "unix", but nothing is protected by default
//! ```

mod ask;
mod folder;
mod look;
mod protocol;
mod said;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use tonic::async_trait;

use crate::config::{Section, WorkerKind};
use crate::connector::process;
use crate::connector::{Changes, Connector, Context, Found, Inspecting, Inspection, Lane};
use crate::model::{
    AttributeRole, CallError, ClassSchema, Cookie, Create, Evidence, Failure, Get, Look, Object,
    ObjectClass, ObjectName, ObjectRef, Password, Request, Role, Roles, Run, RunResult, Schema,
    Search, SyncToken, Update, Verb,
};
use folder::{Folder, Task, base_environment};
use protocol::Question;

/// Changes that a script is asked for at a time.
const MAX_CHANGES: usize = 10_000;

/// The attributes that every script has to call so, if the guard rails are to see them.
const ROLES: &[AttributeRole] = &[
    AttributeRole::new(ObjectClass::Account, "groups", Role::NamesGroups),
    AttributeRole::new(ObjectClass::Account, "primary_group", Role::NamesGroups),
    AttributeRole::new(ObjectClass::Account, "uid", Role::NumericId),
    AttributeRole::new(ObjectClass::Account, "gid", Role::GroupNumber),
    AttributeRole::new(ObjectClass::Group, "members", Role::NamesAccounts),
    AttributeRole::new(ObjectClass::Group, "uid", Role::NumericId),
    AttributeRole::new(ObjectClass::Group, "gid", Role::NumericId),
];

/// The connector of type `script`.
#[derive(Debug)]
pub struct Script {
    name: String,
    folder: Folder,
    timeout: Duration,
    max_output: usize,
    serialize_changes: bool,
    settings: Vec<String>,
    environment: Vec<(String, OsString)>,
    /// Who the scripts run as; `None`: who the gateway runs as.
    user: Option<process::RunAs>,
}

/// Reads the connector's own keys; what is wrong becomes a problem of the section.
pub fn configure(name: &str, section: &mut Section<'_>) -> Option<Arc<dyn Connector>> {
    let folder = Folder::configure(section);
    let range = Duration::from_secs(1)..=Duration::from_secs(3600);
    let timeout = section.duration("timeout", range);
    let max_output = section.integer("max_output", 1024..=64 * 1024 * 1024);
    let serialize_changes = section.boolean("serialize_changes");
    let worker = section.text("worker");
    if let Some(worker) = worker.filter(|worker| WorkerKind::named(worker).is_none()) {
        section.problem(
            "worker",
            format!("`{worker}`: \"privileged\" or \"networked\" is allowed"),
        );
    }
    let user =
        section.text("user").map(str::to_owned).and_then(|name| {
            match process::RunAs::named(&name) {
                Ok(user) => Some(user),
                Err(problem) => {
                    section.problem("user", problem);
                    None
                }
            }
        });
    let settings = section.list("settings", |name| {
        if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
            return Err("a name of 1 to 64 bytes is allowed".to_owned());
        }
        Ok(name.to_owned())
    });
    let mut environment = Vec::new();
    if let Some(mut own) = section.section("environment") {
        for (key, value) in own.named_texts() {
            if key.is_empty() || key.contains(['=', '\0']) || value.contains('\0') {
                own.problem(
                    key,
                    "no variable of an environment: `=` and NUL are not allowed",
                );
            }
            environment.push((key.to_owned(), value.into()));
        }
        own.finish();
    }
    Some(Arc::new(Script {
        name: name.to_owned(),
        folder: folder?,
        timeout: timeout.unwrap_or(Duration::from_secs(30)),
        max_output: max_output.map_or(1024 * 1024, |most| {
            usize::try_from(most).unwrap_or(usize::MAX)
        }),
        serialize_changes: serialize_changes.unwrap_or(true),
        settings: settings.unwrap_or_default(),
        environment,
        user,
    }))
}

impl Script {
    fn has(&self, verb: Verb) -> bool {
        self.folder.seen().has(&Task::Verb(verb))
    }

    /// Where programs without a path are looked for.
    fn search_path(&self) -> OsString {
        let base = base_environment();
        let base = base.iter().map(|(key, value)| (*key, value));
        let own = self.environment.iter();
        let mut all = base.chain(own.map(|(key, value)| (key.as_str(), value)));
        let found = all.rfind(|(key, _)| *key == "PATH");
        found.map_or_else(OsString::new, |(_, value)| value.clone())
    }
}

#[async_trait]
impl Connector for Script {
    fn kind(&self) -> &'static str {
        "script"
    }

    fn verbs(&self, class: ObjectClass) -> Vec<Verb> {
        let accounts_only = [
            Verb::Enable,
            Verb::Disable,
            Verb::SetPassword,
            Verb::Authenticate,
        ];
        Verb::ALL
            .into_iter()
            .filter(|verb| !matches!(verb, Verb::Test | Verb::Schema))
            .filter(|verb| self.has(*verb))
            .filter(|_| matches!(class, ObjectClass::Account | ObjectClass::Group))
            .filter(|verb| class == ObjectClass::Account || !accounts_only.contains(verb))
            .collect()
    }

    fn roles(&self) -> Roles<'_> {
        Roles::new(ROLES)
    }

    fn settings(&self) -> Vec<String> {
        self.settings.clone()
    }

    fn actions(&self) -> Vec<String> {
        let action = |task: &Task| match task {
            Task::Action(action) => Some(action.clone()),
            Task::Verb(_) | Task::Look => None,
        };
        self.folder.seen().tasks().filter_map(action).collect()
    }

    fn check_usable(&self) -> Result<(), Failure> {
        match self.folder.seen().fault() {
            Some(fault) => Err(fault.failure()),
            None => Ok(()),
        }
    }

    fn look_again(&self) -> bool {
        self.folder.look_again()
    }

    fn inspect(&self, _: Inspecting<'_>) -> Inspection {
        let seen = self.folder.seen();
        let mut faults: Vec<_> = self
            .folder
            .faults(&self.search_path())
            .iter()
            .map(ToString::to_string)
            .collect();
        let user = self.user.as_ref();
        faults.extend(user.and_then(process::RunAs::fault));
        let mut notes: Vec<_> = seen.unused().iter().map(ToString::to_string).collect();
        if seen.fault().is_none() && seen.tasks().next().is_none() {
            notes.insert(
                0,
                format!("there is no script in {}", seen.path().display()),
            );
        }
        Inspection { faults, notes }
    }

    fn lanes(&self, _: &Request) -> BTreeSet<Lane> {
        let lane = self.serialize_changes.then_some(Lane::Connector);
        lane.into_iter().collect()
    }

    async fn test(&self, cx: &Context) -> Result<String, CallError> {
        let seen = self.folder.seen();
        let inspection = self.inspect(Inspecting::default());
        if let Some(first) = inspection.faults.first() {
            let more = match inspection.faults.len() {
                1 => String::new(),
                count => format!(" (and {} more)", count - 1),
            };
            return Err(Failure::unavailable(format!("{first}{more}")).into());
        }
        let scripts = seen.tasks().count();
        let plural = if scripts == 1 { "" } else { "s" };
        let notes: String = inspection
            .notes
            .iter()
            .map(|note| format!("; {note}"))
            .collect();
        let default = || {
            format!(
                "{scripts} script{plural} in {}{notes}",
                seen.path().display()
            )
        };
        if !self.has(Verb::Test) {
            return Ok(default());
        }
        let question = Question::new(cx, Verb::Test)?;
        let ended = self.ask(cx, &Task::Verb(Verb::Test), question).await?;
        let report = ended.answer.map(|answer| answer.report());
        let report = report.map_err(|error| self.senseless(cx, Verb::Test, &error, &ended.said))?;
        Ok(report.unwrap_or_else(default))
    }

    async fn schema(&self, cx: &Context) -> Result<Schema, CallError> {
        let mut schema = if self.has(Verb::Schema) {
            let question = Question::new(cx, Verb::Schema)?;
            let ended = self.ask(cx, &Task::Verb(Verb::Schema), question).await?;
            ended
                .answer
                .and_then(|answer| answer.schema(|class| self.verbs(class)))
                .map_err(|error| self.senseless(cx, Verb::Schema, &error, &ended.said))?
        } else {
            let class = |class| ClassSchema {
                class,
                attributes: Vec::new(),
                verbs: self.verbs(class),
            };
            Schema {
                classes: vec![class(ObjectClass::Account), class(ObjectClass::Group)],
                ..Schema::default()
            }
        };
        schema.actions = self.actions();
        schema.settings.clone_from(&self.settings);
        Ok(schema)
    }

    async fn create(&self, cx: &Context, create: Create) -> Result<Object, CallError> {
        let class = create.class;
        let question = Question::new(cx, Verb::Create)?.create(create)?;
        self.object(cx, Verb::Create, class, question).await
    }

    async fn get(&self, cx: &Context, get: &Get) -> Result<Object, CallError> {
        let question = Question::new(cx, Verb::Get)?
            .object(&get.object)
            .attribute_names(&get.attributes);
        let mut object = self
            .object(cx, Verb::Get, get.object.class, question)
            .await?;
        object.retain(&get.attributes);
        Ok(object)
    }

    async fn update(&self, cx: &Context, update: Update) -> Result<Object, CallError> {
        let question = Question::new(cx, Verb::Update)?.update(&update)?;
        self.object(cx, Verb::Update, update.object.class, question)
            .await
    }

    async fn delete(&self, cx: &Context, object: ObjectRef) -> Result<Option<String>, CallError> {
        let question = Question::new(cx, Verb::Delete)?.object(&object);
        let ended = self.ask(cx, &Task::Verb(Verb::Delete), question).await?;
        Ok(ended.answer.ok().and_then(|answer| answer.report()))
    }

    async fn enable(&self, cx: &Context, object: ObjectRef) -> Result<Option<Object>, CallError> {
        self.perhaps_object(cx, Verb::Enable, &object).await
    }

    async fn disable(&self, cx: &Context, object: ObjectRef) -> Result<Option<Object>, CallError> {
        self.perhaps_object(cx, Verb::Disable, &object).await
    }

    async fn set_password(
        &self,
        cx: &Context,
        object: ObjectRef,
        password: Password,
    ) -> Result<(), CallError> {
        let question = Question::new(cx, Verb::SetPassword)?
            .object(&object)
            .password(password)?;
        let task = Task::Verb(Verb::SetPassword);
        self.ask(cx, &task, question).await.map(drop)
    }

    async fn authenticate(
        &self,
        cx: &Context,
        object: ObjectRef,
        password: Password,
    ) -> Result<(), CallError> {
        let question = Question::new(cx, Verb::Authenticate)?
            .object(&object)
            .password(password)?;
        let task = Task::Verb(Verb::Authenticate);
        self.ask(cx, &task, question).await.map(drop)
    }

    async fn rename(
        &self,
        cx: &Context,
        object: ObjectRef,
        new_name: ObjectName,
    ) -> Result<Object, CallError> {
        let question = Question::new(cx, Verb::Rename)?
            .object(&object)
            .new_name(&new_name);
        self.object(cx, Verb::Rename, object.class, question).await
    }

    async fn look(
        &self,
        cx: &Context,
        change: &Request,
        before: &Evidence,
    ) -> Result<Look, CallError> {
        self.look_at(cx, change, before).await
    }

    async fn search(
        &self,
        cx: &Context,
        search: &Search,
        found: &mut Found,
    ) -> Result<Cookie, CallError> {
        let question = Question::new(cx, Verb::Search)?.search(search)?;
        let ended = self.ask(cx, &Task::Verb(Verb::Search), question).await?;
        let (objects, cookie) = ended
            .answer
            .and_then(|answer| answer.objects(search.class))
            .map_err(|error| self.senseless(cx, Verb::Search, &error, &ended.said))?;
        for mut object in objects {
            object.retain(&search.attributes);
            found.push(object).await?;
        }
        Ok(cookie)
    }

    async fn sync(
        &self,
        cx: &Context,
        class: ObjectClass,
        token: &SyncToken,
        changes: &mut Changes,
    ) -> Result<SyncToken, CallError> {
        let page_size = changes.room().min(MAX_CHANGES);
        let question = Question::new(cx, Verb::Sync)?.sync(class, token, page_size)?;
        let ended = self.ask(cx, &Task::Verb(Verb::Sync), question).await?;
        let (found, synced) = ended
            .answer
            .and_then(|answer| answer.changes(class))
            .map_err(|error| self.senseless(cx, Verb::Sync, &error, &ended.said))?;
        for change in found {
            changes.push(change).await?;
        }
        if synced.more {
            changes.more();
        }
        Ok(synced.token)
    }

    async fn run(&self, cx: &Context, run: Run) -> Result<RunResult, CallError> {
        let task = Task::Action(run.action.to_string());
        if !self.folder.seen().has(&task) {
            return Err(Failure::not_found(format!(
                "there is no action `{}`; there are {}",
                run.action,
                self.actions().join(", ")
            ))
            .into());
        }
        let action = run.action.as_str();
        let question = Question::new(cx, Verb::Run)?.run(action, &run.arguments)?;
        let ended = self.ask(cx, &task, question).await?;
        let results = ended.answer.and_then(|answer| answer.results());
        Ok(RunResult {
            exit_code: ended.exit_code.unwrap_or_default(),
            results: results.map_err(|error| self.senseless(cx, Verb::Run, &error, &ended.said))?,
        })
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
