//! Long work, as its clients see it.

use portcullis_proto::admin::v1::tasks_client::TasksClient;

use super::audit::audited;
use super::*;

/// Watches a task to its end.
async fn last_state(tasks: &mut TasksClient, watch: proto::WatchTaskRequest) -> proto::Task {
    let mut states = tasks.watch(watch).await.unwrap().into_inner();
    let mut last = None;
    while let Some(state) = states.message().await.unwrap() {
        last = Some(state);
    }
    last.unwrap()
}

#[tokio::test]
async fn a_task_is_watched_to_its_end_and_leaves_entries_of_its_own() {
    let api = Api::start().await;
    let mut keys = KeysClient::new(api.channel.clone());
    let request = proto::GenerateServerKeyRequest {
        kind: proto::KeyKind::Aes256.into(),
        set_current: true,
    };
    let made = keys.generate_server(request).await.unwrap().into_inner();
    assert!(made.current);
    assert_eq!(made.kind, "aes-256");

    let request = |dry_run| proto::ReEncryptRequest {
        types: vec!["gateway-key".to_owned()],
        dry_run,
    };
    let plan = keys.re_encrypt(request(true)).await.unwrap().into_inner();
    let Some(proto::started_task::Kind::Plan(plan)) = plan.kind else {
        panic!("no plan");
    };
    assert_eq!((plan.types.len(), plan.types[0].total), (1, 1));
    let started = keys.re_encrypt(request(false)).await.unwrap().into_inner();
    let Some(proto::started_task::Kind::Task(task)) = started.kind else {
        panic!("no task");
    };
    let mut tasks = TasksClient::new(api.channel.clone());
    let watch = proto::WatchTaskRequest { id: task.id };
    let last = last_state(&mut tasks, watch).await;
    assert_eq!(last.state(), proto::TaskState::Done);
    assert_eq!((last.done, last.total), (1, 1));
    let own: Vec<_> = audited(&api)
        .await
        .into_iter()
        .filter(|entry| entry.action == "Task/re-encrypt")
        .map(|entry| (entry.object, entry.subject, entry.outcome))
        .collect();
    let entry = |outcome: &str| {
        (
            format!("task {}", task.id),
            task.subject.clone(),
            outcome.to_owned(),
        )
    };
    assert_eq!(own, [entry("begun"), entry("done")]);

    let error = keys
        .re_encrypt(proto::ReEncryptRequest {
            types: vec!["nonsense".to_owned()],
            dry_run: true,
        })
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().ends_with(", or server-key"), "{error}");
    let error = tasks
        .resume(proto::ResumeTaskRequest { id: task.id })
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
}

impl Api {
    async fn generation(&self) -> u64 {
        let database = self.services.repository.database();
        let row = database.protection().find().await.unwrap();
        row.unwrap().generation
    }
}

#[tokio::test]
async fn server_keys_are_wrapped_anew_where_they_are_named_and_a_secret_protects_them() {
    let api = Api::start().await;
    api.services.keys.generate(None, false).await.unwrap();
    let before = api.generation().await;
    let mut keys = KeysClient::new(api.channel.clone());
    let request = |types: &[&str], dry_run| proto::ReEncryptRequest {
        types: types.iter().map(|name| (*name).to_owned()).collect(),
        dry_run,
    };
    let plan = keys.re_encrypt(request(&["server-key"], true)).await;
    let Some(proto::started_task::Kind::Plan(plan)) = plan.unwrap().into_inner().kind else {
        panic!("no plan");
    };
    let planned: Vec<_> = plan
        .types
        .iter()
        .map(|it| (&*it.r#type, it.total))
        .collect();
    assert_eq!(planned, [("server-key", 2)]);
    assert_eq!(api.generation().await, before);

    for (types, generation) in [(&["server-key"][..], before + 1), (&[], before + 1)] {
        let started = keys.re_encrypt(request(types, false)).await.unwrap();
        let Some(proto::started_task::Kind::Task(task)) = started.into_inner().kind else {
            panic!("no task");
        };
        let mut tasks = TasksClient::new(api.channel.clone());
        let watch = proto::WatchTaskRequest { id: task.id };
        let mut states = tasks.watch(watch).await.unwrap().into_inner();
        let mut last = None;
        while let Some(state) = states.message().await.unwrap() {
            last = Some(state);
        }
        let last = last.unwrap();
        assert_eq!(last.state(), proto::TaskState::Done, "{}", last.reason);
        let server_keys = last.types.iter().find(|it| it.r#type == "server-key");
        let told = server_keys.map(|it| (it.total, it.done));
        assert_eq!(told, (!types.is_empty()).then_some((2, 2)));
        assert_eq!(api.generation().await, generation);
    }
    api.services.keys.check().await.unwrap();

    let default = crate::keys::NewProtection::Default;
    let secret = &api.services.secret;
    api.services.keys.protect(default, secret).await.unwrap();
    for dry_run in [true, false] {
        let refused = keys.re_encrypt(request(&["server-key"], dry_run)).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains("nothing to renew"), "{refused}");
    }
}
