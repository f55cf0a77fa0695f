//! Connections that die, servers that are silent, and the way to another one.

use std::net::TcpListener;
use std::time::Duration;

use portcullis_directories::{Slapd, loopback_address};
use portcullis_gateway::model::FailureKind;
use portcullis_tests::harness::eventually;
use tokio::time::{Instant, timeout};

use super::{Subject, account, ada, connector, context, failed};

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn a_server_that_came_back_is_worked_on_as_if_nothing_had_been() {
    let mut subject = Subject::start().await;
    subject.account("ada").await;
    for round in 0..2 {
        subject.slapd.kill();
        subject.slapd.restart().await;
        subject.get(ada()).await.unwrap();
        subject.slapd.kill();
        subject.slapd.restart().await;
        subject.account(&format!("eve{round}")).await;
    }
    subject.slapd.kill();
    failed(subject.get(ada()).await, FailureKind::Unavailable);
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn a_server_that_is_silent_costs_the_calls_of_that_time_alone() {
    let subject = Subject::of(
        Slapd::start().await,
        "answer_timeout = \"1s\"\nconnect_timeout = \"1s\"",
    );
    subject.account("ada").await;
    subject.slapd.suspend();
    // The signal takes effect when it does.
    let silent = async || subject.get(ada()).await.err();
    let error = eventually("the server to be silent", silent).await;
    failed::<()>(Err(error), FailureKind::Unavailable);
    subject.slapd.resume();
    subject.get(ada()).await.unwrap();
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn where_the_first_server_fails_the_next_serves_and_a_replica_refers_who_changes() {
    let mut slapd = Slapd::start().await;
    let replica = slapd.replica().await;
    let connector = connector(&slapd, &[slapd.url(), replica.url()], "");
    let subject = Subject {
        slapd: replica,
        connector,
    };
    subject.account("ada").await;
    eventually("the replica to hear of it", async || {
        let tools = subject.slapd.tools();
        tools.entry("uid=ada,ou=people,dc=example,dc=org", &["1.1"])
    })
    .await;
    slapd.kill();
    subject.get(ada()).await.unwrap();
    let failure = failed(
        subject.create(account("eve", &[])).await,
        FailureKind::Unavailable,
    );
    assert!(failure.message.contains(&slapd.url()), "{failure:?}");
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn of_a_hundred_servers_the_one_that_answers_is_found() {
    let slapd = Slapd::start().await;
    let silent: Vec<_> = (0..99)
        .map(|_| TcpListener::bind((loopback_address(), 0)).unwrap())
        .collect();
    let mut servers: Vec<_> = silent
        .iter()
        .map(|listener| format!("ldaps://{}", listener.local_addr().unwrap()))
        .collect();
    servers.push(slapd.url());
    let connector = connector(&slapd, &servers, "");
    let begun = Instant::now();
    timeout(Duration::from_secs(20), connector.test(&context()))
        .await
        .unwrap()
        .unwrap();
    let first = begun.elapsed();
    let begun = Instant::now();
    connector
        .create(&context(), account("ada", &[]))
        .await
        .unwrap();
    assert!(
        begun.elapsed() < first,
        "the one that answered is not stayed with"
    );
}
