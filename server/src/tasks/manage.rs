//! Several commands about keys as one task, in the order in which they make sense. Each step is
//! audited like the command alone; a step that was cut off is done again, and finds what it had
//! done.

use portcullis_common::id::{KeyId, KeyKind};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::re_encrypt::{self, Plan};
use super::{
    JobError, Progress, Reporter, Step, StepState, TaskError, TypeProgress, Work, delete_unused,
    verify,
};
use crate::audit::{Outcome, Subject};
use crate::fleet::{Push, Rotation, SyncCounts};
use crate::repository::{ProtectedType, RepositoryError};

/// Which steps are to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Make a server key, of this kind (`None`: that of the current one), and make it current.
    pub server_key: Option<Option<KeyKind>>,
    /// Encrypt everything anew that is not under the current server key.
    pub re_encrypt: bool,
    /// Replace the gateway key.
    pub gateway_key: bool,
    /// Push the current gateway key to the gateways that have not proved it.
    pub sync: bool,
    /// Open everything.
    pub verify: bool,
    /// Delete each key that is not current and on which nothing depends.
    pub delete_unused: bool,
}

/// What [`Job::Manage`](super::Job::Manage) is to do. The keys are chosen beforehand, so that a
/// step that is done again makes no second one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manage {
    /// The id of the server key to be made.
    server_key: Option<String>,
    re_encrypt: bool,
    /// The id of the gateway key to be replaced.
    gateway_key: Option<String>,
    sync: bool,
    verify: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    delete_unused: bool,
}

#[derive(Clone, Copy)]
enum Do {
    Generate(KeyId),
    SetCurrent(KeyId),
    ReEncrypt,
    Rotate(KeyId),
    Sync,
    Verify,
    DeleteUnused,
}

impl Manage {
    /// The steps of `choice`, as the keys stand now.
    ///
    /// # Errors
    /// [`TaskError::Empty`] where no step is chosen; [`RepositoryError`].
    pub async fn new(choice: &Choice, work: &Work) -> Result<Self, TaskError> {
        let current = work.repository.gateway_keys().current().await?;
        let manage = Self {
            server_key: choice
                .server_key
                .map(|kind| work.keys.fresh_id(kind).to_string()),
            re_encrypt: choice.re_encrypt,
            gateway_key: current
                .filter(|_| choice.gateway_key)
                .map(|id| id.to_string()),
            sync: choice.sync,
            verify: choice.verify,
            delete_unused: choice.delete_unused,
        };
        if manage.steps().is_empty() {
            return Err(TaskError::Empty);
        }
        Ok(manage)
    }

    /// What would be done, as things stand now, and how many values of each type would be encrypted
    /// anew.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn plan(
        &self,
        work: &Work,
    ) -> Result<(Vec<Step>, Vec<TypeProgress>), RepositoryError> {
        let keyring = work.keys.keyring();
        let database = work.repository.database();
        let under = match &self.server_key {
            Some(_) => None,
            None => Some(keyring.current()),
        };
        let mut types = Vec::new();
        let mut steps = Vec::new();
        for step in self.steps() {
            let note = match step {
                Do::Generate(id) => format!("would make a {} key", id.kind().name()),
                Do::SetCurrent(_) => {
                    format!("would take the place of {}", keyring.current())
                }
                Do::ReEncrypt => {
                    let all = ProtectedType::ALL;
                    types = Plan::under(database, keyring, &all, under).await?.types;
                    let values: u64 = types.iter().map(|kind| kind.total).sum();
                    format!("{values} values")
                }
                Do::Rotate(id) => format!("would replace {id}"),
                Do::Sync => {
                    let gateways = work.repository.gateways().list().await?;
                    let keys = work.repository.gateway_keys().list().await?;
                    let keys: Vec<_> = keys.into_iter().map(|row| row.info).collect();
                    let enrolled = gateways.iter().filter(|gateway| {
                        gateway.registration.last_proved.is_some()
                            && (self.gateway_key.is_some()
                                || !gateway.registration.synchronized(&keys))
                    });
                    format!("{} gateways", enrolled.count())
                }
                Do::Verify => {
                    let counts = database.sealed_values().counts().await?;
                    let values: u64 = counts.iter().map(|count| count.values).sum();
                    format!("{values} values")
                }
                Do::DeleteUnused => {
                    let (server, gateway) = delete_unused::count(&work.repository).await?;
                    let server = server + usize::from(self.server_key.is_some());
                    let gateway = gateway + usize::from(self.gateway_key.is_some());
                    format!(
                        "of {server} server keys and {gateway} gateway keys that will not be current, those on which nothing depends by then"
                    )
                }
            };
            steps.push(Step {
                name: step.name().to_owned(),
                state: StepState::Waiting,
                note,
            });
        }
        Ok((steps, types))
    }

    pub(super) async fn run(&self, work: &Work, reporter: &mut Reporter) -> Result<(), JobError> {
        let steps = self.steps();
        let first = |step: &Do| Step {
            name: step.name().to_owned(),
            state: StepState::Waiting,
            note: String::new(),
        };
        reporter
            .store(|progress| {
                if progress.steps.len() != steps.len() {
                    progress.steps = steps.iter().map(first).collect();
                }
            })
            .await?;
        for (index, step) in steps.into_iter().enumerate() {
            let stands = reporter.progress().steps.get(index).map(|step| step.state);
            if stands == Some(StepState::Done) {
                continue;
            }
            reporter
                .store(|progress| {
                    if stands == Some(StepState::Waiting) {
                        progress.types.clear();
                        progress.clear_findings();
                    }
                    tell(progress, index, StepState::Running, "");
                })
                .await?;
            let note = step.audited(index, work, reporter).await?;
            reporter
                .store(|progress| tell(progress, index, StepState::Done, &note))
                .await?;
        }
        Ok(())
    }

    fn steps(&self) -> Vec<Do> {
        let id = |text: &Option<String>| text.as_ref().and_then(|id| id.parse::<KeyId>().ok());
        let server_key = id(&self.server_key);
        let steps = [
            server_key.map(Do::Generate),
            server_key.map(Do::SetCurrent),
            self.re_encrypt.then_some(Do::ReEncrypt),
            id(&self.gateway_key).map(Do::Rotate),
            self.sync.then_some(Do::Sync),
            self.verify.then_some(Do::Verify),
            self.delete_unused.then_some(Do::DeleteUnused),
        ];
        steps.into_iter().flatten().collect()
    }
}

impl Do {
    /// The command that does the same alone.
    const fn name(self) -> &'static str {
        match self {
            Self::Generate(_) => "generate-server",
            Self::SetCurrent(_) => "set-current",
            Self::ReEncrypt => "re-encrypt",
            Self::Rotate(_) => "rotate-gateway",
            Self::Sync => "sync-gateways",
            Self::Verify => "verify",
            Self::DeleteUnused => "delete",
        }
    }

    /// The method that does the same alone, and what it is about.
    fn audit_entry(self) -> (&'static str, String) {
        match self {
            Self::Generate(id) => ("Keys/GenerateServer", format!("server key {id}")),
            Self::SetCurrent(id) => ("Keys/SetCurrent", format!("server key {id}")),
            Self::ReEncrypt => ("Keys/ReEncrypt", "values".to_owned()),
            Self::Rotate(id) => ("Keys/RotateGateway", format!("gateway key {id}")),
            Self::Sync => ("Keys/SyncGateways", "gateway key".to_owned()),
            Self::Verify => ("Keys/Verify", "values".to_owned()),
            Self::DeleteUnused => ("Keys/Delete", "unused keys".to_owned()),
        }
    }

    async fn audited(
        self,
        index: usize,
        work: &Work,
        reporter: &mut Reporter,
    ) -> Result<String, JobError> {
        let (action, object) = self.audit_entry();
        let object = format!("{object}, by task {}", reporter.id());
        let subject = Subject::written(&reporter.subject());
        let begun = work.audit.begin(subject, action, &object).await?;
        let result = self.run(index, work, reporter).await;
        match &result {
            Ok(note) => begun.end(Outcome::Done, note).await,
            Err(error) if error.resumes_by_itself() => {
                begun.end(Outcome::Unknown, error.goes_on()).await;
            }
            Err(error) => begun.end(Outcome::Failed, &error.to_string()).await,
        }
        result
    }

    async fn run(
        self,
        index: usize,
        work: &Work,
        reporter: &mut Reporter,
    ) -> Result<String, JobError> {
        match self {
            Self::Generate(id) => {
                work.keys.ensure(id).await?;
                Ok(format!("made {id}"))
            }
            Self::SetCurrent(id) => {
                // Every server is to have it before anything is sealed under it, and to seal under
                // it before what is sealed under others is sealed anew.
                reporter.seen_everywhere().await?;
                work.keys.set_current(id).await?;
                reporter.seen_everywhere().await?;
                Ok(format!("{id} is current"))
            }
            Self::ReEncrypt => {
                re_encrypt::run(work, &ProtectedType::ALL, reporter).await?;
                Ok(format!("{} values", reporter.progress().total()))
            }
            Self::Rotate(expected) => rotate(expected, work).await,
            Self::Sync => synchronize(index, work, reporter).await,
            Self::Verify => {
                verify::run(work, reporter).await?;
                Ok(format!("{} values open", reporter.progress().done()))
            }
            Self::DeleteUnused => delete_unused::run(work, reporter).await,
        }
    }
}

async fn rotate(expected: KeyId, work: &Work) -> Result<String, JobError> {
    let current = work.repository.gateway_keys().current().await?;
    if let Some(current) = current.filter(|current| *current != expected) {
        return Ok(format!(
            "{expected} was replaced already: {current} is current"
        ));
    }
    let rotation = Rotation {
        expected_current: Some(expected),
        ..Rotation::default()
    };
    let (new, _) = work.fleet.rotate(rotation).await?;
    Ok(format!("{new} is current"))
}

async fn synchronize(
    index: usize,
    work: &Work,
    reporter: &mut Reporter,
) -> Result<String, JobError> {
    let (reports, mut reported) = mpsc::channel(16);
    let fleet = work.fleet.clone();
    let push = fleet.push(Push::default(), reports);
    tokio::pin!(push);
    loop {
        tokio::select! {
            last = &mut push => return Ok(standing(&last?.counts)),
            Some(Ok(progress)) = reported.recv() => {
                let note = standing(&progress.counts);
                reporter
                    .update(|progress| tell(progress, index, StepState::Running, &note))
                    .await?;
            }
            interrupted = reporter.interrupted() => return Err(interrupted),
        }
    }
}

fn standing(counts: &SyncCounts) -> String {
    let mut text = format!(
        "{} of {} gateways have proved the current key",
        counts.synchronized, counts.total
    );
    for (count, what) in [
        (counts.away, "away"),
        (counts.pending, "pending"),
        (counts.refused, "refused it"),
        (counts.must_enrol, "must enrol again"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

fn tell(progress: &mut Progress, index: usize, state: StepState, note: &str) {
    if let Some(step) = progress.steps.get_mut(index) {
        step.state = state;
        note.clone_into(&mut step.note);
    }
}
