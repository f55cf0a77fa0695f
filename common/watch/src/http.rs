//! The HTTP that is spoken here: HTTP/1.1, `GET` and `HEAD`, one request a connection.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::answers::Answers;
use crate::watched::Watched;

/// Connections at once; whoever comes then takes the place of the oldest. An answer takes moments:
/// what is old is mostly one that asks nothing, or does not read.
const MOST: usize = 64;
/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(3);
/// How long a connection may last.
const WHOLE: Duration = Duration::from_secs(30);
/// Bytes of a request, at most.
const MAX_REQUEST: usize = 16 * 1024;
/// How long accepting rests after the system refused it (no file descriptor left).
const PAUSE: Duration = Duration::from_millis(100);

/// A port that was taken.
#[derive(Debug)]
pub struct Bound(TcpListener);

/// Takes the port.
///
/// # Errors
/// What the system says.
pub async fn bind(address: SocketAddr) -> io::Result<Bound> {
    TcpListener::bind(address).await.map(Bound)
}

/// Answers for ever.
pub async fn serve(Bound(listener): Bound, watched: impl Watched) {
    let answers = Arc::new(Answers::of(watched));
    let mut open: VecDeque<AbortHandle> = VecDeque::with_capacity(MOST);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection that asks for health or metrics");
                sleep(PAUSE).await;
                continue;
            }
        };
        open.retain(|one| !one.is_finished());
        if open.len() >= MOST
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        // Whoever does not read in time has no answer.
        let answering = timeout(WHOLE, answer(stream, Arc::clone(&answers)));
        open.push_back(tokio::spawn(answering).abort_handle());
    }
}

async fn answer<W: Watched>(stream: TcpStream, answers: Arc<Answers<W>>) {
    let service = service_fn(move |request| {
        let answers = Arc::clone(&answers);
        async move { answers.to(&request).await }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_REQUEST)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection that asks for health or metrics came to nothing");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::readiness::{Check, Readiness};

    struct Fake {
        fault: Option<String>,
        asked: Arc<AtomicU64>,
        /// Each finding-out takes one of these.
        turns: Arc<Semaphore>,
    }

    impl Default for Fake {
        fn default() -> Self {
            Self {
                fault: None,
                asked: Arc::default(),
                turns: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            }
        }
    }

    impl Watched for Fake {
        async fn ready(&self) -> Readiness {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.turns.acquire().await.unwrap().forget();
            Readiness::of(vec![
                Check::new("one", None),
                Check::new("two", self.fault.clone()),
            ])
        }

        async fn metrics(&self, ready: &Readiness) -> String {
            format!("ready {}\n# EOF\n", u8::from(ready.ready))
        }
    }

    async fn started(fake: Fake) -> SocketAddr {
        let bound = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = bound.0.local_addr().unwrap();
        tokio::spawn(serve(bound, fake));
        address
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // One that is turned away is reset, perhaps.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        ask(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await
    }

    #[tokio::test]
    async fn a_part_that_does_not_work_is_named_with_its_reason() {
        let address = started(Fake::default()).await;
        let ready = get(address, "/ready").await;
        assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
        let fault = Some("the disk is \"full\"".to_owned());
        let address = started(Fake {
            fault,
            ..Fake::default()
        })
        .await;
        assert!(get(address, "/live").await.starts_with("HTTP/1.1 200 "));
        let ready = get(address, "/ready").await;
        assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
        let body = ready.split("\r\n\r\n").nth(1).unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["ready"], false);
        assert_eq!(body["checks"][0]["ready"], true);
        assert_eq!(body["checks"][1]["reason"], "the disk is \"full\"");
        assert!(get(address, "/metrics").await.ends_with("ready 0\n# EOF\n"));
    }

    #[tokio::test]
    async fn a_flood_finds_out_what_is_known_already() {
        let fake = Fake::default();
        let asked = Arc::clone(&fake.asked);
        let address = started(fake).await;
        for _ in 0..50 {
            get(address, "/ready").await;
            get(address, "/metrics").await;
        }
        // Once a second: on a machine that is very busy this takes several.
        assert!(asked.load(Ordering::Relaxed) < 50);
    }

    #[tokio::test]
    async fn who_hangs_up_has_nothing_found_out_twice() {
        let turns = Arc::new(Semaphore::new(0));
        let fake = Fake {
            turns: Arc::clone(&turns),
            ..Fake::default()
        };
        let asked = Arc::clone(&fake.asked);
        let address = started(fake).await;
        for path in ["/ready", "/metrics", "/ready"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            while asked.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            stream.shutdown().await.unwrap();
            // It is gone once the other side has closed, too.
            let mut nothing = Vec::new();
            let _ = stream.read_to_end(&mut nothing).await;
            assert_eq!(nothing, b"");
        }
        turns.add_permits(100);
        let ready = get(address, "/ready").await;
        assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_is_no_question_has_no_answer() {
        let address = started(Fake::default()).await;
        let cases = [
            ("POST /ready HTTP/1.1\r\nhost: x\r\n\r\n", "405"),
            ("DELETE /live HTTP/1.1\r\nhost: x\r\n\r\n", "405"),
            ("GET / HTTP/1.1\r\nhost: x\r\n\r\n", "404"),
            ("GET /ready/../live HTTP/1.1\r\nhost: x\r\n\r\n", "404"),
            ("GET /live?verbose HTTP/1.1\r\nhost: x\r\n\r\n", "200"),
            ("garbage\r\n\r\n", "400"),
        ];
        for (request, code) in cases {
            let answer = ask(address, request).await;
            let expected = format!("HTTP/1.1 {code} ");
            assert!(answer.starts_with(&expected), "{request:?}: {answer}");
        }
        let head = ask(address, "HEAD /ready HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(
            head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
        let long = format!(
            "GET /live HTTP/1.1\r\nx: {}\r\n\r\n",
            "y".repeat(MAX_REQUEST)
        );
        let answer = ask(address, &long).await;
        assert!(!answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    #[tokio::test]
    async fn who_sends_nothing_keeps_nobody_out() {
        let address = started(Fake::default()).await;
        let mut idle = Vec::new();
        for round in 0..3 {
            for _ in 0..MOST {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(b"GET /ready HTTP/1.1\r\n").await.unwrap();
                idle.push(stream);
            }
            let live = get(address, "/live").await;
            assert!(live.starts_with("HTTP/1.1 200 "), "{round}: {live}");
        }
    }
}
