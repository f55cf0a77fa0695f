//! Spans of a call, from whoever asks to the script, as a collector gets them.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use portcullis_tests::harness::{Scripts, Server, Site, eventually};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{Pair, dial, registered};

const GIVEN: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Says what it was told of the trace.
const TELL: &str = "#!/bin/sh\ncat >/dev/null\necho \"$TRACEPARENT\" >>\"$JOURNAL\"\n";

/// A span, as far as it matters here.
#[derive(Clone, Debug, Default)]
struct Span {
    service: String,
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: u64,
    begun: u64,
    ended: u64,
    values: BTreeMap<String, String>,
}

/// A field of a message as protobuf encodes it, with its number.
enum Field<'a> {
    Number(u64, u64),
    Bytes(u64, &'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}

fn fields(mut bytes: &[u8]) -> Vec<Field<'_>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let number = key >> 3;
        found.push(match key & 7 {
            0 => Field::Number(number, varint(&mut bytes)),
            1 => {
                let (value, rest) = bytes.split_first_chunk().unwrap();
                bytes = rest;
                Field::Number(number, u64::from_le_bytes(*value))
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (inner, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(number, inner)
            }
            other => panic!("a field of type {other}"),
        });
    }
    found
}

/// The bytes of all fields of this number.
fn each(bytes: &[u8], wanted: u64) -> impl Iterator<Item = &[u8]> {
    fields(bytes)
        .into_iter()
        .filter_map(move |field| match field {
            Field::Bytes(number, bytes) if number == wanted => Some(bytes),
            _ => None,
        })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// `KeyValue`: a key, and the text of a value.
fn values<'a>(encoded: impl Iterator<Item = &'a [u8]>) -> BTreeMap<String, String> {
    let pair = |bytes: &[u8]| {
        let value = each(bytes, 2).flat_map(|value| each(value, 1)).next();
        let key = each(bytes, 1).next().unwrap();
        (text(key), text(value.unwrap()))
    };
    encoded.map(pair).collect()
}

/// The spans of an `ExportTraceServiceRequest`, by the numbers of OTLP's own files.
fn spans(request: &[u8]) -> Vec<Span> {
    let mut found = Vec::new();
    for of_resource in each(request, 1) {
        let resource = each(of_resource, 1).next().unwrap();
        let service = values(each(resource, 1)).remove("service.name").unwrap();
        for span in each(of_resource, 2).flat_map(|of_scope| each(of_scope, 2)) {
            let mut read = Span {
                service: service.clone(),
                values: values(each(span, 9)),
                ..Span::default()
            };
            for field in fields(span) {
                match field {
                    Field::Bytes(1, bytes) => read.trace = hex(bytes),
                    Field::Bytes(2, bytes) => read.id = hex(bytes),
                    Field::Bytes(4, bytes) => read.parent = hex(bytes),
                    Field::Bytes(5, bytes) => read.name = text(bytes),
                    Field::Number(6, kind) => read.kind = kind,
                    Field::Number(7, time) => read.begun = time,
                    Field::Number(8, time) => read.ended = time,
                    _ => {}
                }
            }
            found.push(read);
        }
    }
    found
}

/// Takes spans, and keeps the requests as they came.
#[derive(Clone, Debug, Default)]
struct Collector {
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Collector {
    /// Takes them at a port.
    async fn start() -> (Self, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let collector = Self::default();
        let taking = collector.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                taking.take(stream).await;
            }
        });
        (collector, port)
    }

    async fn take(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        while stream.read_line(&mut head).await.unwrap() > 2 {
            let line = head.lines().last().unwrap().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("application/x-protobuf"), "{head}");
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        self.requests.lock().unwrap().push(body);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.requests.lock().unwrap();
        requests.iter().flat_map(|request| spans(request)).collect()
    }

    fn holds(&self, text: &str) -> bool {
        let requests = self.requests.lock().unwrap();
        let mut windows = requests.iter().flat_map(|it| it.windows(text.len()));
        windows.any(|window| window == text.as_bytes())
    }

    /// The spans of a trace, once those of these names have come, from either program.
    async fn trace(&self, trace: &str, names: &[&str]) -> Vec<Span> {
        eventually(&format!("{names:?} of {trace}"), || async {
            let spans = self.spans().into_iter();
            let spans: Vec<_> = spans.filter(|span| span.trace == trace).collect();
            let has = |name: &&str| spans.iter().any(|span| span.name == *name);
            names.iter().all(has).then_some(spans)
        })
        .await
    }
}

/// A pair that sends its spans there, with a script that tells what it knows of the trace.
async fn traced_pair(port: u16) -> Pair {
    let site = Site::new();
    let traces = format!("[traces]\nendpoint = \"http://127.0.0.1:{port}\"\n");
    let mut server = Server::new(&site, &traces);
    let admin = server.serve().await;
    let scripts = Scripts::new(&site, "scripts");
    site.file("scripts/run-tell", 0o700, TELL);
    let config = format!("{}{traces}", scripts.config());
    let (mut gateway, token) = registered(&site, &admin, dial(&server, true), &config).await;
    gateway.enroll(&token);
    gateway.start();
    admin.synchronized("host1").await;
    let connector = Scripts::CONNECTOR;
    admin.add_resource("journal", "host1", connector).await;
    Pair {
        gateway,
        server,
        admin,
        scripts,
        site,
    }
}

/// What the script wrote.
fn told(pair: &Pair) -> Vec<String> {
    let journal = pair.site.path().join("scripts-traces/journal");
    let text = fs::read_to_string(journal).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn one<'a>(spans: &'a [Span], service: &str, name: &str) -> &'a Span {
    let mut found = spans
        .iter()
        .filter(|span| span.service == service && span.name == name);
    let first = found.next();
    assert!(found.next().is_none(), "{name} twice: {spans:#?}");
    first.unwrap_or_else(|| panic!("{service} has no {name}: {spans:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_goes_from_the_caller_to_the_script() {
    let (collector, port) = Collector::start().await;
    let pair = traced_pair(port).await;
    let mut command = pair.server.admin_command(
        "run journal tell --call-id traced --arg secret_of_the_call=never-in-a-span",
    );
    command.env("TRACEPARENT", format!("00-{GIVEN}-{PARENT}-01"));
    let done = command.output().unwrap();
    assert!(done.status.success(), "{done:?}");

    let names = ["Calls/Execute", "gateway", "call"];
    let spans = collector.trace(GIVEN, &names).await;
    let (server, gateway) = ("portcullis-server", "portcullis-gateway");
    let asked = one(&spans, server, "Calls/Execute");
    let sent = one(&spans, server, "gateway");
    let call = one(&spans, gateway, "call");
    let check = one(&spans, gateway, "check");
    let journal = one(&spans, gateway, "journal");
    let connector = one(&spans, gateway, "connector");
    for (child, parent) in [
        (asked, PARENT),
        (sent, &asked.id),
        (call, &sent.id),
        (check, &call.id),
        (journal, &call.id),
        (connector, &call.id),
    ] {
        assert_eq!(child.parent, parent, "{child:?}");
        assert!(child.begun <= child.ended, "{child:?}");
    }
    assert_eq!((asked.kind, sent.kind, call.kind), (2, 3, 2));
    let value = |span: &Span, key: &str| span.values[&format!("portcullis.{key}")].clone();
    assert_eq!(value(asked, "resource"), "journal");
    assert_eq!(value(sent, "gateway"), "host1");
    assert_eq!(value(call, "verb"), "run");
    assert_eq!(value(connector, "connector"), "journal");
    assert_eq!(value(connector, "outcome"), "done");
    assert_eq!(
        told(&pair),
        [format!("00-{GIVEN}-{}-01", connector.id)],
        "the script was asked by the connector"
    );
    assert!(!collector.holds("never-in-a-span"));
    assert!(!collector.holds("secret_of_the_call"));
    let shown = pair.ok("call show traced");
    assert!(shown.contains(GIVEN), "{shown}");
    let shown = pair.ok("call show traced --output json");
    assert!(shown.contains(GIVEN), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_belongs_to_no_trace_begins_one_and_a_collector_that_is_away_holds_up_nothing()
{
    let (collector, port) = Collector::start().await;
    let pair = traced_pair(port).await;
    pair.ok("run journal tell --call-id first --queue");
    pair.ok("call wait first");
    let shown = pair.ok("call show first --output json");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let trace = shown["trace_id"].as_str().unwrap().to_owned();
    let spans = collector.trace(&trace, &["gateway", "call"]).await;
    assert_eq!(one(&spans, "portcullis-server", "gateway").trace, trace);
    assert!(told(&pair)[0].contains(&trace), "{:?}", told(&pair));

    // Nobody takes spans any more; and what is not to be recorded is not.
    let unwanted = format!("00-{}-{PARENT}-00", GIVEN.replace('4', "5"));
    let mut command = pair.server.admin_command("run journal tell");
    command.env("TRACEPARENT", &unwanted);
    assert!(command.output().unwrap().status.success());
    assert_eq!(told(&pair)[1], unwanted);
    let away = traced_pair(1).await;
    away.ok("run journal tell");
    away.gateway
        .wait_for_line("the collector does not take spans");
    away.ok("run journal tell");
    assert_eq!(told(&away).len(), 2);
}
