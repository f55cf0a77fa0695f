//! What one person alone is not enough for.

use portcullis_proto::admin::v1 as proto;

use super::*;
use crate::repository::tamper;

fn user(uid: u32) -> Caller {
    let all = CapabilitySet::of(&[Capability::SecurityAdministrator]);
    Caller::everywhere(Subject::user(uid, None), Authentication::UnixPeer, all)
}

fn unprotected() -> proto::ExportKeysRequest {
    proto::ExportKeysRequest {
        unprotected: true,
        ..Default::default()
    }
}

impl Server {
    async fn for_two() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let more = "[admin]\nsecond_person = true\n";
        let services = Arc::new(services(folder.path(), more).await);
        Self {
            services,
            _folder: folder,
        }
    }

    /// The id under which the request waits.
    async fn waits<R: Request>(&self, caller: &Caller, request: R) -> String {
        let Err(AdminError::Precondition(message)) = self.ask(caller, request).await else {
            panic!("it was carried out");
        };
        let mut words = message.split([' ', '`', ';']);
        let id = words.rfind(|word| word.starts_with("ap-"));
        id.unwrap_or_else(|| panic!("{message}")).to_owned()
    }

    async fn approve(&self, caller: &Caller, id: &str) -> Result<proto::Approval, AdminError> {
        let id = id.to_owned();
        self.ask(caller, proto::ApproveRequest { id }).await
    }

    async fn actions(&self) -> Vec<(String, String)> {
        let entries = self.services.repository.audit_entries();
        let entries = entries.scan(0, 10_000).await.unwrap();
        entries.into_iter().map(|e| (e.action, e.outcome)).collect()
    }
}

#[tokio::test]
async fn an_unprotected_export_waits_for_somebody_else_and_is_in_the_log_at_each_step() {
    let server = Server::for_two().await;
    let (alice, bob) = (user(1001), user(1002));
    let before = server.actions().await.len();
    let id = server.waits(&alice, unprotected()).await;
    assert_eq!(server.waits(&alice, unprotected()).await, id);
    let own = server.approve(&alice, &id).await;
    assert!(matches!(own, Err(AdminError::Refused(_))), "{own:?}");
    let approved = server.approve(&bob, &id).await.unwrap();
    assert_eq!(
        (&*approved.asked_by, &*approved.approved_by),
        ("uid 1001", "uid 1002")
    );
    assert!(approved.object.contains("unprotected"), "{approved:?}");
    server.ask(&alice, unprotected()).await.unwrap();
    let steps = server.actions().await.split_off(before);
    let steps: Vec<_> = steps.iter().map(|(a, o)| (&**a, &**o)).collect();
    assert_eq!(
        steps,
        [
            ("Approvals/Ask", "done"),
            ("Approvals/Approve", "failed"),
            ("Approvals/Approve", "done"),
            ("Approvals/Use", "done"),
            ("Keys/Export", "begun"),
            ("Keys/Export", "done"),
        ]
    );
    assert_ne!(server.waits(&alice, unprotected()).await, id);
}

#[tokio::test]
async fn each_of_the_four_waits_and_what_is_less_does_not() {
    let server = Server::for_two().await;
    let alice = user(1001);
    let public = proto::ProtectRequest {
        public_default: true,
        ..Default::default()
    };
    server.waits(&alice, public).await;
    let delete = |force, dry_run| proto::DeleteKeyRequest {
        key_id: "none".to_owned(),
        force,
        dry_run,
        ..Default::default()
    };
    server.waits(&alice, delete(true, false)).await;
    for less in [delete(false, false), delete(true, true)] {
        let answer = server.ask(&alice, less).await;
        assert!(
            matches!(answer, Err(AdminError::Malformed(_))),
            "{answer:?}"
        );
    }
    let generate = proto::GenerateServerKeyRequest::default();
    server.ask(&alice, generate).await.unwrap();
}

#[tokio::test]
async fn the_log_is_accepted_by_two_although_it_takes_no_entries_meanwhile() {
    let server = Server::for_two().await;
    let (alice, bob) = (user(1001), user(1002));
    let generate = proto::GenerateServerKeyRequest::default;
    server.ask(&alice, generate()).await.unwrap();
    let file = server._folder.path().join("data/portcullis.db");
    tamper(
        &file,
        "DROP TRIGGER audit_entries_never_go; DELETE FROM audit_entries",
    );
    server.ask(&alice, generate()).await.unwrap_err();
    let accept = || proto::AcceptAuditRequest {
        reason: "a restore".to_owned(),
    };
    let id = server.waits(&alice, accept()).await;
    server.approve(&bob, &id).await.unwrap();
    server.ask(&alice, accept()).await.unwrap();
    let actions = server.actions().await;
    for step in ["Ask", "Approve", "Use"] {
        let step = format!("Approvals/{step}");
        assert!(
            actions.iter().any(|(action, _)| *action == step),
            "{actions:?}"
        );
    }
}
