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
    let generate = proto::GenerateServerKeyRequest::default();
    let key = server.ask(&alice, generate).await.unwrap().key_id;
    let delete = |force, dry_run, confirm_key_id: &str| proto::DeleteKeyRequest {
        key_id: key.clone(),
        force,
        dry_run,
        confirm_key_id: confirm_key_id.to_owned(),
    };
    // However it is written.
    server.waits(&alice, delete(true, false, &key)).await;
    let (kind, digits) = key.split_once('-').unwrap();
    let typed = format!("{kind}-{}", digits.to_uppercase());
    server.waits(&alice, delete(true, false, &typed)).await;
    let dry = server.ask(&alice, delete(true, true, &key)).await;
    assert!(dry.is_ok(), "{dry:?}");
    // What would be refused in any case asks for nobody.
    let accept = |reason: &str| proto::AcceptAuditRequest {
        reason: reason.to_owned(),
    };
    let unconfirmed = server.ask(&alice, delete(true, false, "none")).await;
    let unexplained = server.ask(&alice, accept(" ")).await;
    for refused in [unconfirmed.err(), unexplained.err()] {
        assert!(
            matches!(refused, Some(AdminError::Malformed(_))),
            "{refused:?}"
        );
    }
    // Whoever is to approve it reads why.
    let id = server.waits(&alice, accept("the backup of Tuesday")).await;
    let approved = server.approve(&user(1002), &id).await.unwrap();
    assert_eq!(approved.object, "the backup of Tuesday");
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
        "DROP TRIGGER audit_entries_never_go; DELETE FROM audit_entries WHERE seq > 1",
    );
    server.ask(&alice, generate()).await.unwrap_err();
    let accept = || proto::AcceptAuditRequest {
        reason: "a restore".to_owned(),
    };
    let id = server.waits(&alice, accept()).await;
    server.approve(&bob, &id).await.unwrap();
    // What was approved is what was there then, and not what somebody has changed since.
    tamper(&file, "DELETE FROM audit_entries");
    let other = server.waits(&alice, accept()).await;
    assert_ne!(other, id);
    server.approve(&bob, &other).await.unwrap();
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

#[tokio::test]
async fn entries_leave_the_log_for_a_file_by_two_alone() {
    let server = Server::for_two().await;
    let (alice, bob) = (user(1001), user(1002));
    for _ in 0..2 {
        let generate = proto::GenerateServerKeyRequest::default();
        server.ask(&alice, generate).await.unwrap();
    }
    let audit = &server.services.audit;
    let head = audit.archivable(u64::MAX, u64::MAX).await.unwrap().unwrap();
    let archive = || proto::ArchiveAuditRequest {
        count: head.tip.count,
        mac: head.tip.mac.to_vec(),
    };
    let before = server.actions().await.len();
    let id = server.waits(&alice, archive()).await;
    assert!(server.actions().await.len() > before);
    server.approve(&bob, &id).await.unwrap();
    let archived = server.ask(&alice, archive()).await.unwrap();
    assert_eq!(archived.removed, head.tip.count);
}
