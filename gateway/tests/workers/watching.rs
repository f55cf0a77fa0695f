//! What is told of the processes: their logs, their spans, and whether they are there.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis_proto::gateway::v1 as wire;
use portcullis_proto::worker::v1::answer::What as Answered;
use portcullis_proto::worker::v1::order::What;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};

use super::bench::*;
use super::broken::*;
use super::support::server::{Link, token};
use super::support::{PATIENCE, free_address};

async fn log(link: &Link) -> wire::LogResponse {
    let request = wire::LogRequest { lines: 1000 };
    link.control().log(request).await.unwrap().into_inner()
}

/// Has more logged for so long.
async fn log_more(link: &Link, filter: &str, for_ms: u32) -> wire::LogMoreResponse {
    let filter = filter.to_owned();
    let request = wire::LogMoreRequest { filter, for_ms };
    link.control().log_more(request).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_and_what_is_logged_besides_are_those_of_all_processes() {
    let (bench, privileged, _networked, gateway) = Bench::new().await;
    let link = bench.link(&gateway).await;
    // What a call that only reads was is logged at `debug` alone.
    let reads = async |link: &Link, process: &str| {
        let told = log(link).await.lines;
        let of = |line: &&String| line.starts_with(&format!("{process}: "));
        let own: Vec<_> = told.iter().filter(of).collect();
        assert!(!own.is_empty(), "{process}: {told:?}");
        own.iter().filter(|line| line.contains("verb=get")).count()
    };
    assert_eq!(answer(&link, get("host")).await, "done");
    for process in ["front", "privileged", "networked"] {
        assert_eq!(reads(&link, process).await, 0, "{process}");
    }
    let told = log_more(&link, "debug", 60_000).await;
    assert_eq!(
        (told.more.unwrap().filter, told.faults.len()),
        ("debug".into(), 0)
    );
    assert_eq!(answer(&link, get("host")).await, "done");
    assert_eq!(answer(&link, get("web")).await, "done");
    assert_eq!(reads(&link, "privileged").await, 1);
    assert_eq!(reads(&link, "networked").await, 1);
    assert_eq!(log_more(&link, "", 0).await.more, None);
    assert_eq!(answer(&link, get("host")).await, "done");
    assert_eq!(reads(&link, "privileged").await, 1);

    drop(privileged);
    let told = log(&link).await;
    assert!(told.faults[0].contains("worker `privileged`"), "{told:?}");
    let theirs = |line: &String| line.starts_with("networked: ");
    assert!(told.lines.iter().any(theirs), "{told:?}");
    let told = log_more(&link, "debug", 1).await;
    assert!(told.faults[0].contains("worker `privileged`"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_keeps_its_log_where_the_configuration_says_so_and_logs_no_less_for_anybody() {
    let refused = |bench: &Bench, what| match Broken::orders(bench, &order(what)) {
        Some(Answered::Refused(refusal)) => refusal.message,
        other => panic!("{other:?}"),
    };
    let more = |filter: &str| {
        What::LogMore(wire::LogMoreRequest {
            filter: filter.into(),
            for_ms: 1_000,
        })
    };
    let (bench, _privileged, _networked) = Bench::with_workers(own(), "");
    for filter in ["off", "error", "h2=trace", "portcullis_gateway=off"] {
        let message = refused(&bench, more(filter));
        assert!(message.contains("no level to log more by"), "{message}");
    }
    let (bench, _privileged, _networked) = Bench::with_workers(own(), "[log]\nfor_server = false");
    for what in [more("debug"), What::Log(wire::LogRequest { lines: 1 })] {
        let message = refused(&bench, what);
        assert!(message.contains("log.for_server = false"), "{message}");
    }
}

/// Status and body of what the gateway tells whoever watches it.
async fn watched(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_ended_is_told_to_whoever_watches_until_it_is_back() {
    let address = free_address();
    let watch = format!("[watch]\nlisten = \"{address}\"\n");
    let (bench, privileged, networked, gateway) = Bench::with(&watch).await;
    let _link = bench.link(&gateway).await;
    // What was found out holds for a second.
    let until = async |path: &str, holds: &dyn Fn(u16, &str) -> bool| {
        let began = Instant::now();
        loop {
            let (status, body) = watched(address, path).await;
            if holds(status, &body) {
                return body;
            }
            assert!(began.elapsed() < PATIENCE, "{path}: {status} {body}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let up = async |kind: &str, expected: bool| {
        let up = u8::from(expected);
        let line = format!("portcullis_gateway_worker_up{{worker=\"{kind}\"}} {up}");
        let told = |_, metrics: &str| metrics.lines().any(|found| found == line);
        until("/metrics", &told).await;
    };
    let ready = async |expected: &str| {
        let wanted = if expected.is_empty() { 200 } else { 503 };
        let body = until("/ready", &|status, _: &str| status == wanted).await;
        assert!(
            body.contains("\"workers\"") && body.contains(expected),
            "{body}"
        );
        // Of the journal nothing is said: the one that is away has its own.
        let reasons = body.matches("reason").count();
        assert_eq!(reasons, usize::from(!expected.is_empty()), "{body}");
    };
    ready("").await;
    up("privileged", true).await;
    up("networked", true).await;
    let mut back = Vec::new();
    for (kind, ended) in [("privileged", privileged), ("networked", networked)] {
        drop(ended);
        ready(&format!("systemctl status portcullis-gateway-{kind}")).await;
        up(kind, false).await;
        back.push(bench.worker(kind));
        ready("").await;
        up(kind, true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_faces_the_servers_logs_how_a_worker_ended_and_when_it_is_back() {
    let (bench, privileged, networked, mut gateway) = Bench::new().await;
    drop(privileged);
    let told = gateway.wait_for("the worker `privileged` has ended");
    assert!(told.contains("it was killed or has failed"), "{told}");
    assert!(
        told.contains("systemctl status portcullis-gateway-privileged"),
        "{told}"
    );
    let _privileged = bench.worker("privileged");
    gateway.wait_for("the worker `privileged` is back after ");
    let pid = Pid::from_child(&networked.child);
    kill_process(pid, Signal::TERM).unwrap();
    let told = gateway.wait_for("the worker `networked` has ended");
    assert!(told.contains("it was told to stop"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_runs_and_does_not_answer_is_told_apart_from_one_that_does() {
    let (bench, _privileged, networked, _gateway) = Bench::new().await;
    let told = |verb| {
        let output = bench.site.cli(verb, "");
        String::from_utf8(output.stdout).unwrap()
    };
    let doctor = told("doctor");
    assert!(
        doctor.contains("`networked` is running, and answers"),
        "{doctor}"
    );
    let pid = Pid::from_child(&networked.child);
    kill_process(pid, Signal::STOP).unwrap();
    let (status, doctor) = std::thread::scope(|scope| {
        let status = scope.spawn(|| told("status"));
        let doctor = told("doctor");
        (status.join().unwrap(), doctor)
    });
    kill_process(pid, Signal::CONT).unwrap();
    assert!(status.contains("privileged running\n"), "{status}");
    assert!(
        status.contains("networked running, and does not answer"),
        "{status}"
    );
    assert!(
        status.contains("`systemctl restart portcullis-gateway-networked`"),
        "{status}"
    );
    assert!(
        doctor.contains("`privileged` is running, and answers"),
        "{doctor}"
    );
    let critical = doctor
        .lines()
        .find(|line| line.contains("`networked` is running, and does not"));
    assert!(critical.unwrap().starts_with("CRITICAL"), "{doctor}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_server_is_told_of_its_part_of_the_journals_and_each_disk_of_its_room() {
    let address = free_address();
    let watch = format!("[watch]\nlisten = \"{address}\"\n");
    let (bench, _privileged, _networked, gateway) = Bench::with(&watch).await;
    std::fs::write(bench.file("go"), "").unwrap();
    std::fs::write(bench.file("fate"), "rm there").unwrap();
    let link = bench.link(&gateway).await;
    assert_eq!(answer(&link, delete(false)).await, "done");
    let (_, metrics) = watched(address, "/metrics").await;
    let value = |name: &str| {
        let lines = metrics.lines().filter(|line| line.starts_with(name));
        let values: Vec<u64> = lines
            .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(values.len(), 1, "{name}: {metrics}");
        values[0]
    };
    assert_eq!(
        value("portcullis_gateway_journal_server_writable{server="),
        1
    );
    assert!(value("portcullis_gateway_journal_server_bytes{server=") > 50);
    for folder in ["state", "privileged", "networked"] {
        let name = format!("portcullis_gateway_disk_free_bytes{{folder=\"{folder}\"}}");
        assert!(value(&name) > 0);
    }
}

#[test]
fn a_networked_worker_that_runs_as_root_says_that_it_should_not() {
    if !is_root() {
        return;
    }
    let (bench, _privileged, networked) = Bench::with_workers(own(), "");
    drop(networked);
    let state = bench.site.path().join("state-networked");
    std::os::unix::fs::chown(&state, Some(0), Some(0)).unwrap();
    for file in state.read_dir().unwrap() {
        std::os::unix::fs::chown(file.unwrap().path(), Some(0), Some(0)).unwrap();
    }
    bench.site.done("enroll", &token().to_text());
    let mut networked = Worker::start(bench.site.command("worker --kind networked"));
    networked.wait_for("the worker `networked` runs as root");
    networked.wait_for("serving on");
    let doctor = bench.site.cli("doctor", "");
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    assert!(doctor.contains("`networked` runs as root"), "{doctor}");
    assert!(
        doctor.contains("what faces the servers runs as root"),
        "{doctor}"
    );
}

/// Takes spans at this port for ever, and keeps the requests.
async fn collect(listener: tokio::net::TcpListener, kept: Arc<Mutex<Vec<u8>>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = tokio::io::BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        while stream.read_line(&mut head).await.unwrap() > 2 {
            let line = head.lines().last().unwrap().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        kept.lock().unwrap().extend(body);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_of_both_workers_go_through_what_faces_the_servers() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let kept = Arc::<Mutex<Vec<u8>>>::default();
    tokio::spawn(collect(listener, Arc::clone(&kept)));
    let traces = format!("[traces]\nendpoint = \"http://127.0.0.1:{port}\"\n");
    let (bench, _privileged, _networked, gateway) = Bench::with(&traces).await;
    let link = bench.link(&gateway).await;
    let began = Instant::now();
    for (number, connector) in [(1, "host"), (2, "web")] {
        let traced = wire::Call {
            traceparent: format!("00-{:032x}-00f067aa0ba902b7-01", u128::MAX / number),
            ..get(connector)
        };
        assert_eq!(answer(&link, traced).await, "done");
        let trace = (u128::MAX / number).to_be_bytes();
        // One of the front, and of the worker the call, its check and its connector.
        let spans = || {
            let kept = kept.lock().unwrap();
            kept.windows(16).filter(|bytes| *bytes == trace).count()
        };
        while spans() < 4 {
            assert!(began.elapsed() < PATIENCE, "{connector}: {} spans", spans());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(spans(), 4, "{connector}");
    }
    let kept = String::from_utf8_lossy(&kept.lock().unwrap()).into_owned();
    assert!(kept.contains("portcullis.worker"), "{kept}");
}
