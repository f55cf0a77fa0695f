//! What earlier versions have put into the sealed channel, byte by byte, is understood by this one
//! without loss, and this one still sends the same. So it is with what the processes of a gateway
//! say to one another: those of two versions have to understand that they are of two.
//!
//! `vectors/calls-VERSION.txt` holds the messages of a version, a line each: name, and bytes in
//! hexadecimal. Before a version is released its file is written anew, by
//! `PORTCULLIS_RECORD=1 cargo test -p portcullis-proto --test recorded`; files of released versions
//! never change.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::*;
use portcullis_proto::worker::v1::{
    Answer, Describe, Description, Here, JournalMark, JournalShare, LogLine, LogLines, Order,
    Refusal, Reload, Reloaded, Spans, TakeSpans, Watch, answer, order,
};
use prost::Message;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// The files of all recorded versions.
fn recorded() -> BTreeMap<String, String> {
    let files = fs::read_dir(folder()).unwrap().map(|file| file.unwrap());
    let named = files.filter_map(|file| {
        let name = file.file_name().into_string().unwrap();
        let version = name
            .strip_prefix("calls-")?
            .strip_suffix(".txt")?
            .to_owned();
        Some((version, fs::read_to_string(file.path()).unwrap()))
    });
    named.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}

/// Understood, and sent on: a field that is not known any more, or is another one now, makes a
/// difference.
fn again<M: Message + Default>(recorded: &[u8]) -> Vec<u8> {
    M::decode(recorded).unwrap().encode_to_vec()
}

fn understood(name: &str, recorded: &[u8]) -> Vec<u8> {
    match name.split('.').next().unwrap() {
        "call" => again::<Call>(recorded),
        "outcome" => again::<Outcome>(recorded),
        "item" => again::<SearchItem>(recorded),
        "frames" => again::<CallFrames>(recorded),
        "describe" => again::<DescribeRequest>(recorded),
        "description" => again::<DescribeResponse>(recorded),
        "enrolled" => again::<EnrolResponse>(recorded),
        "install" => again::<InstallRequest>(recorded),
        "installed" => again::<InstallResponse>(recorded),
        "finished" => again::<FinishedResponse>(recorded),
        "ask" => again::<FinishedRequest>(recorded),
        "acknowledge" => again::<AcknowledgeRequest>(recorded),
        "ping" => again::<PingRequest>(recorded),
        "pong" => again::<PingResponse>(recorded),
        "grant" => again::<GrantRequest>(recorded),
        "granted" => again::<GrantResponse>(recorded),
        "log" => again::<LogRequest>(recorded),
        "lines" => again::<LogResponse>(recorded),
        "log-more" => again::<LogMoreRequest>(recorded),
        "logged-more" => again::<LogMoreResponse>(recorded),
        "order" => again::<Order>(recorded),
        "answer" => again::<Answer>(recorded),
        other => panic!("no message is called {other}"),
    }
}

fn object() -> Object {
    Object {
        object_class: ObjectClass::Account.into(),
        id: "1001".to_owned(),
        name: "ada".to_owned(),
        enabled: Some(true),
        attributes: vec![attribute()],
        class_name: "computer".to_owned(),
    }
}

fn attribute() -> Attribute {
    use value::Kind;
    let kinds = [
        Kind::Text("Ada".to_owned()),
        Kind::Integer(-7),
        Kind::Boolean(true),
        Kind::Binary(vec![0, 255]),
        Kind::Real(1.5),
        Kind::Time("2026-01-02T03:04:05Z".to_owned()),
        Kind::Secret(secret()),
    ];
    Attribute {
        name: "any".to_owned(),
        values: kinds.map(|kind| Value { kind: Some(kind) }).to_vec(),
    }
}

fn secret() -> Secret {
    Secret {
        value: Vec::new(),
        sealed: vec![1; 24],
    }
}

fn by_id() -> Option<ObjectRef> {
    Some(ObjectRef {
        object_class: ObjectClass::Account.into(),
        by: Some(object_ref::By::Id("1001".to_owned())),
        class_name: "computer".to_owned(),
    })
}

fn by_name() -> Option<ObjectRef> {
    Some(ObjectRef {
        object_class: ObjectClass::Group.into(),
        by: Some(object_ref::By::Name("staff".to_owned())),
        class_name: String::new(),
    })
}

fn verbs() -> Vec<(&'static str, Verb)> {
    let comparison = Comparison {
        operation: ComparisonOperation::StartsWith.into(),
        attribute: "__name__".to_owned(),
        value: attribute().values.first().cloned(),
    };
    let leaf = Filter {
        kind: Some(filter::Kind::Comparison(comparison)),
    };
    let not = Filter {
        kind: Some(filter::Kind::Negation(Box::new(leaf.clone()))),
    };
    let any = Filter {
        kind: Some(filter::Kind::Any(FilterList {
            filters: vec![leaf.clone(), not],
        })),
    };
    let all = Filter {
        kind: Some(filter::Kind::All(FilterList {
            filters: vec![any, leaf],
        })),
    };
    vec![
        ("test", Verb::Test(Test {})),
        ("schema", Verb::Schema(GetSchema {})),
        (
            "create",
            Verb::Create(Create {
                object_class: ObjectClass::Account.into(),
                name: "ada".to_owned(),
                attributes: vec![attribute()],
                password: Some(secret()),
                enabled: Some(false),
            }),
        ),
        (
            "get",
            Verb::Get(Get {
                object: by_name(),
                attribute_names: vec!["mail".to_owned()],
            }),
        ),
        (
            "update",
            Verb::Update(Update {
                object: by_id(),
                modifications: vec![Modification {
                    operation: ModificationOperation::Replace.into(),
                    name: "mail".to_owned(),
                    values: attribute().values,
                }],
            }),
        ),
        ("delete", Verb::Delete(Delete { object: by_id() })),
        ("enable", Verb::Enable(Enable { object: by_id() })),
        ("disable", Verb::Disable(Disable { object: by_id() })),
        (
            "set-password",
            Verb::SetPassword(SetPassword {
                object: by_id(),
                password: Some(secret()),
            }),
        ),
        (
            "authenticate",
            Verb::Authenticate(Authenticate {
                object: by_id(),
                password: Some(secret()),
                tells_unknown: true,
            }),
        ),
        (
            "rename",
            Verb::Rename(Rename {
                object: by_id(),
                new_name: "lovelace".to_owned(),
            }),
        ),
        (
            "search",
            Verb::Search(Search {
                object_class: ObjectClass::Other.into(),
                filter: Some(all),
                attribute_names: vec!["mail".to_owned()],
                page_size: 500,
                cookie: vec![9; 8],
                class_name: "computer".to_owned(),
                digest_key: vec![3; 32],
            }),
        ),
        (
            "run",
            Verb::Run(Run {
                action: "quota".to_owned(),
                arguments: vec![attribute()],
            }),
        ),
        (
            "sync",
            Verb::Sync(Sync {
                object_class: ObjectClass::Account.into(),
                token: vec![7; 8],
                page_size: 100,
                class_name: "computer".to_owned(),
            }),
        ),
        (
            "rotate-password",
            Verb::RotatePassword(RotatePassword {
                setting: "bind_password".to_owned(),
                password: Some(secret()),
            }),
        ),
    ]
}

fn outcomes() -> Vec<(&'static str, outcome::Result)> {
    use done::Detail;
    let done = |detail| outcome::Result::Done(Done { detail });
    let schema = Schema {
        classes: vec![ClassSchema {
            object_class: ObjectClass::Account.into(),
            attributes: vec![AttributeSchema {
                name: "mail".to_owned(),
                r#type: ValueType::Text.into(),
                multi_valued: true,
                required: true,
                creatable: true,
                updatable: true,
                returned_by_default: true,
                description: "where mail goes".to_owned(),
                readable: Some(false),
                syntax: "1.3.6.1".to_owned(),
                source: "IA5 String".to_owned(),
            }],
            verbs: vec!["get".to_owned()],
            class_name: "computer".to_owned(),
        }],
        actions: vec!["quota".to_owned()],
        settings: vec!["base".to_owned()],
    };
    let run = RunResult {
        exit_code: -1,
        results: vec![attribute()],
    };
    vec![
        ("done", done(None)),
        ("object", done(Some(Detail::Object(object())))),
        ("schema", done(Some(Detail::Schema(schema)))),
        ("run", done(Some(Detail::Run(run)))),
        (
            "report",
            done(Some(Detail::Report("it is there".to_owned()))),
        ),
        ("failed", outcome::Result::Failed(failure())),
        (
            "indeterminate",
            outcome::Result::Indeterminate(Indeterminate {
                message: "the link was lost".to_owned(),
                evidence: vec!["there was none before".to_owned()],
                look_again: true,
            }),
        ),
    ]
}

fn failure() -> Failure {
    Failure {
        kind: FailureKind::Policy.into(),
        message: "too short".to_owned(),
        native: Some(NativeError {
            code: "19".to_owned(),
            text: "constraint violation".to_owned(),
        }),
    }
}

fn items() -> Vec<(&'static str, search_item::Kind)> {
    use search_item::Kind;
    let gone = Gone {
        object_class: ObjectClass::Account.into(),
        id: "1001".to_owned(),
        name: "ada".to_owned(),
        class_name: "computer".to_owned(),
    };
    let end = SearchEnd {
        next_cookie: vec![9; 8],
        failure: Some(failure()),
        next_token: vec![7; 8],
        more: true,
    };
    vec![
        ("object", Kind::Object(object())),
        ("end", Kind::End(end)),
        ("gone", Kind::Gone(gone)),
        (
            "listing",
            Kind::Listing(Listing {
                objects: vec![5; 40].into(),
            }),
        ),
    ]
}

#[allow(
    clippy::needless_update,
    reason = "a field that is added is recorded from the next version on"
)]
fn description() -> DescribeResponse {
    DescribeResponse {
        version: "1.2.3".to_owned(),
        operating_system: "linux".to_owned(),
        hostname: "host1".to_owned(),
        connectors: vec![ConnectorInfo {
            name: "local".to_owned(),
            r#type: "unix".to_owned(),
            allowed_verbs: vec!["get".to_owned()],
            faults: vec!["there is no /etc/shadow".to_owned()],
        }],
        held_key_ids: vec![vec![4; 17]],
        call_timeout_ms: 60_000,
        journal: Some(JournalInfo {
            incarnation: vec![6; 16],
            sequence: 12,
            fault: "the disk is full".to_owned(),
        }),
        tells_unknown: true,
        ..DescribeResponse::default()
    }
}

/// What came after the lines before it.
fn later() -> Vec<(&'static str, Vec<u8>)> {
    let traced = Call {
        call_id: "pc-1~2".to_owned(),
        connector: "local".to_owned(),
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
        verb: Some(Verb::Test(Test {})),
        ..Call::default()
    };
    let clocked = DescribeResponse {
        clock_unix_ms: 1_700_000_000_000,
        ..DescribeResponse::default()
    };
    let ping = PingRequest {
        payload: vec![1; 8],
    };
    vec![
        ("call.traced", traced.encode_to_vec()),
        ("description.clocked", clocked.encode_to_vec()),
        ("ping", ping.encode_to_vec()),
        ("log", log().encode_to_vec()),
        ("lines", lines().encode_to_vec()),
        ("log-more", log_more().encode_to_vec()),
        ("logged-more", logged_more().encode_to_vec()),
    ]
}

/// What came with several servers of one id.
fn of_instances() -> Vec<(&'static str, Vec<u8>)> {
    let grant = GrantRequest {
        generation: 1,
        epoch: 300,
        instance: vec![10; 16],
    };
    let granted = GrantResponse {
        generation: 1,
        epoch: 301,
        instance: vec![11; 16],
    };
    let pong = PingResponse {
        payload: vec![1; 8],
        clock_ms: 86_400_000,
    };
    let open = CallFrame {
        call: 7,
        kind: CallFrameKind::Open.into(),
        length: 10,
        data: vec![8; 10].into(),
        not_after_ms: 86_407_000,
        ..CallFrame::default()
    };
    let late = CallFrame {
        call: 7,
        kind: CallFrameKind::Refused.into(),
        failure: Some(Failure {
            kind: FailureKind::Late.into(),
            message: "too late".to_owned(),
            native: None,
        }),
        ..CallFrame::default()
    };
    let order = Order {
        version: "1.2.3".to_owned(),
        not_after_ms: 86_407_000,
        ..Order::default()
    };
    let frames = |frame| CallFrames {
        frames: vec![frame],
    };
    vec![
        ("grant", grant.encode_to_vec()),
        ("granted", granted.encode_to_vec()),
        ("pong", pong.encode_to_vec()),
        ("frames.open", frames(open).encode_to_vec()),
        ("frames.late", frames(late).encode_to_vec()),
        ("order.timed", order.encode_to_vec()),
    ]
}

fn log() -> LogRequest {
    LogRequest { lines: 200 }
}

fn lines() -> LogResponse {
    LogResponse {
        version: "1.2.3".to_owned(),
        lines: vec!["a line".to_owned()],
        more: Some(more()),
        faults: vec!["one is away".to_owned()],
    }
}

fn log_more() -> LogMoreRequest {
    LogMoreRequest {
        filter: "debug".to_owned(),
        for_ms: 600_000,
    }
}

fn logged_more() -> LogMoreResponse {
    LogMoreResponse {
        version: "1.2.3".to_owned(),
        more: Some(more()),
        faults: vec!["one is away".to_owned()],
    }
}

fn more() -> MoreLogged {
    MoreLogged {
        filter: "debug".to_owned(),
        left_ms: 599_000,
    }
}

fn call_ids() -> Vec<String> {
    vec!["pc-1~2".to_owned(), "pc-3".to_owned()]
}

fn orders() -> Vec<(&'static str, Vec<u8>)> {
    use order::What;
    let call = Call {
        call_id: "pc-1~2".to_owned(),
        connector: "local".to_owned(),
        verb: Some(Verb::Delete(Delete { object: by_id() })),
        ..Call::default()
    };
    let finished = FinishedRequest {
        call_ids: call_ids(),
    };
    let acknowledge = AcknowledgeRequest {
        call_ids: call_ids(),
    };
    [
        ("order.call", What::Call(call)),
        ("order.describe", What::Describe(Describe {})),
        ("order.finished", What::Finished(finished)),
        ("order.acknowledge", What::Acknowledge(acknowledge)),
        ("order.reload", What::Reload(Reload {})),
        ("order.log", What::Log(log())),
        ("order.log-more", What::LogMore(log_more())),
        ("order.take-spans", What::TakeSpans(TakeSpans {})),
        ("order.watch", What::Watch(Watch {})),
    ]
    .map(|(name, what)| {
        let order = Order {
            version: "1.2.3".to_owned(),
            instance: "default".to_owned(),
            server_id: vec![3; 16],
            acknowledges: true,
            journal: Some(JournalMark {
                incarnation: vec![6; 16],
                sequence: 12,
            }),
            not_after_ms: 0,
            what: Some(what),
        };
        (name, order.encode_to_vec())
    })
    .to_vec()
}

fn answers() -> Vec<(&'static str, Vec<u8>)> {
    use answer::What;
    let refusal = Refusal {
        message: "it is of version 1.2.4".to_owned(),
        other_journal: true,
    };
    let outcome = Outcome {
        call_id: "pc-1~2".to_owned(),
        result: Some(outcome::Result::Failed(failure())),
    };
    let described = description();
    let description = Description {
        connectors: described.connectors,
        journal: described.journal,
        journal_bytes: 4096,
        // It has a line of its own.
        journal_shares: Vec::new(),
    };
    let share = JournalShare {
        server_id: vec![3; 16],
        bytes: 512,
        writable: true,
    };
    let shares = Description {
        journal_shares: vec![share],
        ..Description::default()
    };
    let item = items().into_iter().next().map(|(_, kind)| kind);
    let reloaded = Reloaded {
        problems: vec!["line 7".to_owned()],
        changes: vec!["connector `local` changed".to_owned()],
        faults: vec!["no such folder".to_owned()],
    };
    let line = LogLine {
        at_unix_ns: 1_700_000_000_000_000_000,
        text: "a line".to_owned(),
    };
    let spans = Spans {
        request: vec![2; 8],
        count: 1,
        dropped: 4,
    };
    [
        ("answer.refused", What::Refused(refusal)),
        ("answer.outcome", What::Outcome(outcome)),
        ("answer.item", What::Item(SearchItem { kind: item })),
        ("answer.description", What::Description(description)),
        (
            "answer.finished",
            What::Finished(FinishedResponse { calls: Vec::new() }),
        ),
        (
            "answer.acknowledged",
            What::Acknowledged(AcknowledgeResponse {}),
        ),
        ("answer.reloaded", What::Reloaded(reloaded)),
        ("answer.log", What::Log(LogLines { lines: vec![line] })),
        ("answer.log-more", What::LogMore(logged_more())),
        ("answer.spans", What::Spans(spans)),
        ("answer.here", What::Here(Here { stopping: true })),
        ("answer.description.shares", What::Description(shares)),
    ]
    .map(|(name, what)| (name, Answer { what: Some(what) }.encode_to_vec()))
    .to_vec()
}

/// Each message that goes between server and gateway, with every field in use.
fn samples() -> String {
    let mut lines = Vec::new();
    let mut record = |name: String, message: Vec<u8>| {
        lines.push(format!("{name} {}\n", hex(&message)));
    };
    for (name, verb) in verbs() {
        let call = Call {
            call_id: "pc-1~2".to_owned(),
            connector: "local".to_owned(),
            settings: [("base".to_owned(), "dc=example".to_owned())].into(),
            timeout_ms: 30_000,
            secret_settings: vec![SecretSetting {
                name: "bind_password".to_owned(),
                value: Some(secret()),
            }],
            look: true,
            accepted_ms_ago: 5,
            journal_lost: true,
            // It has a line of its own, and so has all that came after the first lines.
            traceparent: String::new(),
            verb: Some(verb),
        };
        record(format!("call.{name}"), call.encode_to_vec());
    }
    let mut ended = Vec::new();
    for (name, result) in outcomes() {
        let outcome = Outcome {
            call_id: "pc-1~2".to_owned(),
            result: Some(result),
        };
        record(format!("outcome.{name}"), outcome.encode_to_vec());
        ended.push(outcome);
    }
    for (name, kind) in items() {
        record(
            format!("item.{name}"),
            SearchItem { kind: Some(kind) }.encode_to_vec(),
        );
    }
    let frame = CallFrame {
        call: 7,
        kind: CallFrameKind::Refused.into(),
        length: 100,
        data: vec![8; 10].into(),
        failure: Some(failure()),
        not_after_ms: 0,
    };
    record(
        "frames".to_owned(),
        CallFrames {
            frames: vec![frame.clone(), frame],
        }
        .encode_to_vec(),
    );
    record(
        "describe".to_owned(),
        DescribeRequest { acknowledges: true }.encode_to_vec(),
    );
    record("description".to_owned(), description().encode_to_vec());
    record(
        "enrolled".to_owned(),
        EnrolResponse { nonce: vec![2; 32] }.encode_to_vec(),
    );
    let install = InstallRequest {
        version: 1,
        new_key_id: vec![4; 17],
        replaced_key_id: vec![5; 17],
        wrapped_master_key: vec![6; 40],
    };
    record("install".to_owned(), install.encode_to_vec());
    record(
        "installed".to_owned(),
        InstallResponse {
            pending_key_id: vec![4; 17],
        }
        .encode_to_vec(),
    );
    let call_ids = vec!["pc-1~2".to_owned(), "pc-3".to_owned()];
    let ask = FinishedRequest {
        call_ids: call_ids.clone(),
    };
    record("ask".to_owned(), ask.encode_to_vec());
    let calls = ended.into_iter().map(|outcome| FinishedCall {
        outcome: Some(outcome),
        begun_ms_ago: 9,
        unseen: true,
    });
    let finished = FinishedResponse {
        calls: calls.collect(),
    };
    record("finished".to_owned(), finished.encode_to_vec());
    record(
        "acknowledge".to_owned(),
        AcknowledgeRequest { call_ids }.encode_to_vec(),
    );
    let after = later().into_iter().chain(orders()).chain(answers());
    for (name, message) in after.chain(of_instances()) {
        record(name.to_owned(), message);
    }
    lines.concat()
}

#[test]
fn what_every_recorded_version_sent_is_understood_without_loss() {
    let recorded = recorded();
    assert!(!recorded.is_empty(), "no version is recorded");
    for (version, lines) in recorded {
        for line in lines.lines() {
            let (name, text) = line.split_once(' ').unwrap();
            let sent = bytes(text);
            assert_eq!(hex(&understood(name, &sent)), text, "{version}, {name}");
        }
    }
}

#[test]
fn this_version_is_recorded_as_it_sends() {
    let file = folder().join(format!("calls-{VERSION}.txt"));
    if std::env::var_os("PORTCULLIS_RECORD").is_some() {
        fs::write(&file, samples()).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(found, samples(), "record it anew: see the top of this file");
}
