//! How tasks start, stop, are cancelled and taken up again.

use super::*;

async fn held_up() -> (Running, Task, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let act = move || {
        // An error says that the test is over.
        let _ = wait.lock().unwrap().recv();
        Fate::GoOn
    };
    // The entries of the audit log and the task itself come first.
    let observer = AtWrite::new(5, Moment::BeforeCommit, act);
    let running = Stopped::new(600).await.start(Some(observer)).await;
    let task = running.tasks.start(all(), "ada").await.unwrap();
    (running, task, go)
}

#[tokio::test]
async fn one_of_a_kind_runs_and_can_be_cancelled_and_resumed() {
    let (running, task, go) = held_up().await;
    let id = task.id;
    let waiting = running.tasks.clone();
    let second = tokio::spawn(async move { waiting.start(all(), "bob").await });
    let waiting = running.tasks.clone();
    let cancel = tokio::spawn(async move { waiting.cancel(id).await });
    // The request to cancel has reached the task before the task goes on.
    let mut interrupted = {
        let live = running.tasks.live();
        live.tasks[&id].interrupt.subscribe()
    };
    interrupted.wait_for(Option::is_some).await.unwrap();
    go.send(()).unwrap();
    let error = second.await.unwrap().unwrap_err();
    assert!(
        matches!(&error, TaskError::AlreadyRunning { id: busy, .. } if *busy == id),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains(&format!("portcullis task watch {id}"))
    );
    let cancelled = cancel.await.unwrap().unwrap();
    assert_eq!(cancelled.state, TaskState::Cancelled);
    assert!(!running.under_current().await);
    assert_eq!(running.all_open().await, 608);
    let error = running.tasks.cancel(id).await.unwrap_err();
    assert!(matches!(error, TaskError::Ended { .. }), "{error}");

    running.tasks.resume(id).await.unwrap();
    assert_eq!(running.end_of(id).await.state, TaskState::Done);
    assert!(running.under_current().await);
    assert_eq!(running.all_open().await, 608);
    let error = running.tasks.resume(id).await.unwrap_err();
    assert!(matches!(error, TaskError::Done(_)), "{error}");
}

#[tokio::test]
async fn a_server_that_stops_takes_its_tasks_up_again() {
    let (running, task, go) = held_up().await;
    let tasks = running.tasks.clone();
    let stop = tokio::spawn(async move { tasks.stop().await });
    let mut interrupted = {
        let live = running.tasks.live();
        live.tasks[&task.id].interrupt.subscribe()
    };
    interrupted.wait_for(Option::is_some).await.unwrap();
    go.send(()).unwrap();
    stop.await.unwrap();
    let error = running.tasks.start(Job::Verify, "ada").await.unwrap_err();
    assert!(matches!(error, TaskError::Stopping), "{error}");
    let again = running.stop().await.start(None).await;
    let found = again.tasks.show(task.id).await.unwrap();
    assert_eq!(found.state, TaskState::Running);
    again.tasks.resume_interrupted().await.unwrap();
    assert_eq!(again.end_of(task.id).await.state, TaskState::Done);
    assert!(again.under_current().await);
    assert_eq!(again.all_open().await, 608);
}

#[tokio::test]
async fn a_task_that_is_deleted_ends() {
    let running = Stopped::new(5).await.start(None).await;
    let row = running
        .database
        .tasks()
        .start(NewTask {
            kind: "re-encrypt".to_owned(),
            parameters: to_json(&all()),
            subject: "ada".to_owned(),
            progress: "{}".to_owned(),
            started: clock::now(),
        })
        .await
        .unwrap();
    let Admission::Admitted(row) = row else {
        panic!("{row:?}");
    };
    running.tamper("DELETE FROM tasks");
    let task = running.tasks.begin(row, all()).unwrap();
    running.tasks.stop().await;
    let error = running.tasks.show(task.id).await.unwrap_err();
    assert!(
        matches!(
            error,
            TaskError::Repository(RepositoryError::NotFound { .. })
        ),
        "{error}"
    );
    assert_eq!(running.all_open().await, 13);
}

#[tokio::test]
async fn a_push_lists_the_gateways_that_have_not_proved_the_key() {
    let running = Stopped::new(0).await.start(None).await;
    let repository = &running.work.repository;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let new = crate::keys::gateway_keys::generate(KeyKind::Tdes, clock::now());
        ids.push(new.id);
        let rotated = repository
            .gateway_keys()
            .rotate(new, None, Replaced::Retired)
            .await;
        rotated.unwrap().unwrap();
    }
    let gateways = repository.gateways();
    for (name, proved) in ["behind", "current"].into_iter().zip(ids) {
        let id = portcullis_common::id::GatewayId::random(&mut rand::rng());
        let token = EnrolmentToken::random(id, KeyKind::Tdes, &mut rand::rng());
        let registration = Registration::new(&token, clock::now().plus(60_000), None);
        gateways
            .add(name, Reach::DialOut, &registration, clock::now())
            .await
            .unwrap();
        gateways
            .update(name, move |row, _| {
                row.token = None;
                row.last_proved = Some(proved);
            })
            .await
            .unwrap();
    }
    let job = Job::SyncGateways(SyncGateways::default());
    let task = running.tasks.start(job, "ada").await.unwrap();
    let ended = running.end_of(task.id).await;
    assert_eq!(ended.state, TaskState::Done, "{ended:?}");
    assert_eq!((ended.progress.done(), ended.progress.total()), (1, 2));
    let found = &ended.progress.findings;
    let found: Vec<_> = found
        .iter()
        .map(|finding| (finding.owner.as_str(), finding.why))
        .collect();
    assert_eq!(found, [("behind", Why::Away)]);
    assert_eq!(ended.progress.steps[0].state, StepState::Done);
}
