//! What waits for a second person.

use std::time::Duration;

use portcullis_proto::admin::v1 as proto;

use super::context::Context;
use super::convert::millis;
use super::error::AdminError;
use super::request::{About, Front, Method, Request, Shown, own, read};
use crate::access::Caller;
use crate::approvals::{Approval, ApprovalError, Passage};
use crate::audit::{Draft, Outcome, Subject};
use crate::config::Capability::{Auditor, SecurityAdministrator};
use crate::services::Services;

/// By so much the repository's clock may run behind.
const BEHIND: Duration = Duration::from_secs(1);

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<proto::ListApprovalsRequest>();
    front.offer::<proto::ApproveRequest>();
}

/// Lets a request pass for which a second person is needed, or says whom it waits for. All of it is
/// in the audit log, which may be in dispute: the entries are written then once it is not.
///
/// # Errors
/// [`AdminError`]: it is not to be carried out now.
pub(super) async fn pass(
    services: &Services,
    caller: &Caller,
    method: &'static str,
    shown: &Shown,
    contents: Vec<u8>,
) -> Result<(), AdminError> {
    note_expired(services).await;
    let approvals = &services.approvals;
    let passage = approvals.pass(&caller.subject, method, &shown.object, contents);
    match passage.await? {
        Passage::Free => Ok(()),
        Passage::Approved(approval) => {
            note(services, &caller.subject, "Approvals/Use", &approval).await;
            Ok(())
        }
        Passage::Waits { approval, new } => {
            if new {
                note(services, &caller.subject, "Approvals/Ask", &approval).await;
                expire_later(services.clone());
            }
            let (id, minutes) = (&approval.id, services.approvals.lifetime().as_secs() / 60);
            Err(AdminError::Precondition(format!(
                "nothing was done: {method} needs a second person, and waits as {id}; another user with the capability {SecurityAdministrator} gives `portcullis approve {id}`, then give the same command again, both within {minutes} minutes of the first time"
            )))
        }
    }
}

/// Writes into the log, once its time has come, that nobody made use of it.
fn expire_later(services: Services) {
    tokio::spawn(async move {
        tokio::time::sleep(services.approvals.lifetime() + BEHIND).await;
        note_expired(&services).await;
    });
}

/// Writes into the log what nobody made use of in time, whichever server it was asked of.
async fn note_expired(services: &Services) {
    // Where this fails, the next one to ask finds them.
    for approval in services.approvals.expire().await.unwrap_or_default() {
        note(services, &Subject::server(), "Approvals/Expire", &approval).await;
    }
}

async fn note(services: &Services, subject: &Subject, action: &str, approval: &Approval) {
    let draft = Draft::new(subject.clone(), action, &object(approval), Outcome::Done);
    services.audit.record(draft.detail(&detail(approval))).await;
}

fn object(approval: &Approval) -> String {
    let Approval {
        id, method, object, ..
    } = approval;
    match object.as_str() {
        "" => format!("approval {id}, {method}"),
        object => format!("approval {id}, {method}: {object}"),
    }
}

fn detail(approval: &Approval) -> String {
    match &approval.approved_by {
        None => format!("asked for by {}", approval.asked_by),
        Some(second) => format!("asked for by {}, approved by {second}", approval.asked_by),
    }
}

impl From<ApprovalError> for AdminError {
    fn from(error: ApprovalError) -> Self {
        let message = error.to_string();
        match error {
            ApprovalError::Unknown(_) => Self::NotFound(message),
            ApprovalError::Own(_) => Self::Refused(message),
            ApprovalError::TooMany => Self::Exhausted(message),
            ApprovalError::TooLarge => Self::Malformed(message),
            ApprovalError::Repository(error) => error.into(),
        }
    }
}

impl Request for proto::ListApprovalsRequest {
    type Answer = proto::ListApprovalsResponse;

    const METHOD: Method = read("Approvals/List", &[SecurityAdministrator, Auditor]);

    fn about(&self) -> About {
        About::server("")
    }

    async fn run(self, context: &Context) -> Result<proto::ListApprovalsResponse, AdminError> {
        let all = context.services.approvals.list().await?;
        let approvals = all.into_iter().map(message).collect();
        Ok(proto::ListApprovalsResponse { approvals })
    }
}

impl Request for proto::ApproveRequest {
    type Answer = proto::Approval;

    /// While the log is in dispute nothing is begun, and somebody has to approve that it is
    /// accepted.
    const METHOD: Method = own("Approvals/Approve", &[SecurityAdministrator]);

    fn about(&self) -> About {
        About::server(format!("approval {}", self.id))
    }

    async fn run(self, context: &Context) -> Result<proto::Approval, AdminError> {
        let (services, subject) = (&*context.services, &context.caller.subject);
        match services.approvals.approve(&self.id, subject).await {
            Ok(approval) => {
                note(services, subject, Self::METHOD.name, &approval).await;
                Ok(message(approval))
            }
            Err(error) => {
                let (_, shown) = self.about().into_parts();
                let action = Self::METHOD.name;
                let failed = Draft::new(subject.clone(), action, &shown.object, Outcome::Failed);
                services
                    .audit
                    .record(failed.detail(&error.to_string()))
                    .await;
                Err(error.into())
            }
        }
    }
}

fn message(approval: Approval) -> proto::Approval {
    proto::Approval {
        id: approval.id,
        method: approval.method,
        object: approval.object,
        asked_by: approval.asked_by.to_string(),
        asked_unix_ms: millis(approval.asked),
        expires_unix_ms: millis(approval.expires),
        approved_by: approval
            .approved_by
            .map(|second| second.to_string())
            .unwrap_or_default(),
    }
}
