//! What a call costs grows with what it names, and no faster: each list that a call or an account
//! file may have is made twice as long, and twice again.
//!
//! Processor time is compared, of this process alone, and the best of several runs: what else goes
//! on here makes no difference.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails has to say so"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use portcullis_gateway::config::Config;
use portcullis_gateway::connectors::Connectors;
use portcullis_gateway::connectors::unix::create_scratch_root;
use portcullis_gateway::model::Outcome;
use portcullis_gateway::worker::Provisioner;
use portcullis_proto::gateway::v1 as wire;
use prost::Message as _;
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;
use wire::ModificationOperation::{Add, Remove, Replace};
use wire::call::Verb;

/// How much longer the longer list is.
const TIMES: usize = 4;
/// What it may cost more: four times as much, and what memory costs beyond caches; in pairs it
/// would be sixteen times as much.
const MOST: f64 = 8.0;
/// Runs of each length, of which the cheapest counts.
const RUNS: usize = 3;
/// Processor time below which nothing is told.
const NOISE: Duration = Duration::from_millis(2);

/// A kind of list: what it is called, how long its shorter one is, what is done with it.
struct Kind {
    name: &'static str,
    length: usize,
    make: fn(usize) -> (TempDir, Vec<Verb>),
}

const KINDS: &[Kind] = &[
    Kind {
        name: "members that are added to a group",
        length: 3_000,
        make: |length| {
            (
                root(0, 0),
                vec![members(&[
                    (Replace, 0..length / 2),
                    (Add, length / 2..length),
                ])],
            )
        },
    },
    Kind {
        name: "members that are taken out of a group, and put back",
        length: 3_000,
        make: |length| {
            (
                root(0, length),
                vec![members(&[(Remove, 0..length), (Add, 0..length)])],
            )
        },
    },
    Kind {
        name: "members that a group has",
        length: 3_000,
        make: |length| {
            (
                root(0, length),
                vec![members(&[(Remove, length..length + 10)])],
            )
        },
    },
    Kind {
        name: "modifications of one list",
        length: 63,
        make: |length| {
            let change = |number: usize| {
                (
                    if number.is_multiple_of(2) {
                        Replace
                    } else {
                        Add
                    },
                    0..100,
                )
            };
            // In the end it is as it was.
            let last = (Replace, 0..1_000);
            let changes: Vec<_> = (0..length).map(change).chain([last]).collect();
            (root(0, 1_000), vec![members(&changes)])
        },
    },
    Kind {
        name: "groups that an account gets",
        length: 1_500,
        make: |length| {
            // The last of them is not there.
            let names = values("group", 1..length + 1);
            (
                root(length, 0),
                vec![update(
                    account("user00000"),
                    vec![modification(Add, "groups", names)],
                )],
            )
        },
    },
    Kind {
        name: "accounts and groups of the host",
        length: 1_500,
        make: |length| {
            let lookup = Verb::Enable(wire::Enable {
                object: account("nobody-here"),
            });
            (
                root(length, length),
                vec![members(&[(Remove, 0..1)]), lookup],
            )
        },
    },
    Kind {
        name: "members of a new group",
        length: 1_500,
        make: |length| (root(0, 0), vec![new_group(length, "members")]),
    },
    Kind {
        name: "members of a group that goes",
        length: 1_500,
        make: |length| {
            // Refused: root is in it.
            let root = root(length, length);
            let path = root.path().join("etc/group");
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replace("big:x:9000:", "big:x:9000:root,")).unwrap();
            (
                root,
                vec![Verb::Delete(wire::Delete {
                    object: group("big"),
                })],
            )
        },
    },
    Kind {
        name: "conditions of a filter, and accounts that it is held against",
        length: 60,
        make: |length| {
            let comparison = |number: usize| wire::Filter {
                kind: Some(wire::filter::Kind::Comparison(wire::Comparison {
                    operation: wire::ComparisonOperation::Equals.into(),
                    attribute: "full_name".to_owned(),
                    value: Some(text(format!("nobody{number}"))),
                })),
            };
            let filters = (0..length).map(comparison).collect();
            let search = wire::Search {
                object_class: wire::ObjectClass::Account.into(),
                filter: Some(wire::Filter {
                    kind: Some(wire::filter::Kind::Any(wire::FilterList { filters })),
                }),
                ..wire::Search::default()
            };
            (root(500, 0), vec![Verb::Search(search)])
        },
    },
    Kind {
        name: "ids that are asked for, and ranges that are given away",
        length: 2_000,
        make: |length| {
            let root = root(0, 0);
            let ranges = (0..length).fold(String::new(), |mut text, number| {
                writeln!(text, "user{number}:{}:1", 100_000 + number).unwrap();
                text
            });
            fs::write(root.path().join("etc/subgid"), ranges).unwrap();
            (root, vec![new_group(length, "gid")])
        },
    },
];

/// A scratch root with this many accounts and groups beside the usual ones, and with a group `big`
/// that has this many members.
fn root(accounts: usize, members: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    create_scratch_root(folder.path()).unwrap();
    let (mut passwd, mut group, mut shadow) = (String::new(), String::new(), String::new());
    for number in 0..accounts {
        let id = 10_000 + number;
        writeln!(passwd, "user{number:05}:x:{id}:{id}::/home/u:/bin/sh").unwrap();
        writeln!(shadow, "user{number:05}:*:19000:0:99999:7:::").unwrap();
        writeln!(group, "group{number:05}:x:{id}:").unwrap();
    }
    let names: Vec<_> = (0..members)
        .map(|number| format!("user{number:05}"))
        .collect();
    writeln!(group, "big:x:9000:{}", names.join(",")).unwrap();
    for (file, more) in [
        ("etc/passwd", passwd),
        ("etc/group", group),
        ("etc/shadow", shadow),
    ] {
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text + &more).unwrap();
    }
    folder
}

fn text(text: String) -> wire::Value {
    wire::Value {
        kind: Some(wire::value::Kind::Text(text)),
    }
}

fn values(what: &str, numbers: std::ops::Range<usize>) -> Vec<wire::Value> {
    numbers
        .map(|number| text(format!("{what}{number:05}")))
        .collect()
}

fn modification(
    operation: wire::ModificationOperation,
    name: &str,
    values: Vec<wire::Value>,
) -> wire::Modification {
    wire::Modification {
        operation: operation.into(),
        name: name.to_owned(),
        values,
    }
}

fn object(class: wire::ObjectClass, name: &str) -> Option<wire::ObjectRef> {
    Some(wire::ObjectRef {
        object_class: class.into(),
        by: Some(wire::object_ref::By::Name(name.to_owned())),
        ..wire::ObjectRef::default()
    })
}

fn account(name: &str) -> Option<wire::ObjectRef> {
    object(wire::ObjectClass::Account, name)
}

fn group(name: &str) -> Option<wire::ObjectRef> {
    object(wire::ObjectClass::Group, name)
}

fn update(object: Option<wire::ObjectRef>, modifications: Vec<wire::Modification>) -> Verb {
    Verb::Update(wire::Update {
        object,
        modifications,
    })
}

/// Changes the members of `big`; each modification holds as many as one may.
fn members(changes: &[(wire::ModificationOperation, std::ops::Range<usize>)]) -> Verb {
    let part = |(operation, numbers): &(wire::ModificationOperation, std::ops::Range<usize>)| {
        let numbers: Vec<_> = numbers.clone().collect();
        let operation = *operation;
        let parts = numbers
            .chunks(10_000)
            .enumerate()
            .map(move |(place, part)| {
                // What follows a list that takes the place of all is added to it.
                let operation = if place > 0 && operation == Replace {
                    Add
                } else {
                    operation
                };
                let values = values("user", part[0]..part[0] + part.len());
                modification(operation, "members", values)
            });
        parts.collect::<Vec<_>>()
    };
    update(group("big"), changes.iter().flat_map(part).collect())
}

/// A group that cannot be made: nobody has the names of its members, nor may it have the ids.
fn new_group(length: usize, attribute: &str) -> Verb {
    let value = |number: usize| match attribute {
        "gid" => wire::Value {
            kind: Some(wire::value::Kind::Integer(
                20_000 + i64::try_from(number).unwrap(),
            )),
        },
        _ => text(format!("nobody{number:05}")),
    };
    Verb::Create(wire::Create {
        object_class: wire::ObjectClass::Group.into(),
        name: "fresh".to_owned(),
        attributes: vec![wire::Attribute {
            name: attribute.to_owned(),
            values: (0..length).map(value).collect(),
        }],
        ..wire::Create::default()
    })
}

fn provisioner(prefix: &Path) -> Provisioner {
    let text = format!("[connectors.local]\ntype = \"unix\"\nprefix = {prefix:?}\n");
    let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
    let connectors = Connectors::from_config(&config.connectors).unwrap();
    Provisioner::new(&connectors, 64, Duration::from_secs(60))
}

fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanos) = (now.tv_sec, now.tv_nsec);
    Duration::new(seconds.try_into().unwrap(), nanos.try_into().unwrap())
}

/// What the calls of this kind cost at this length, from their bytes to their outcomes.
async fn cost(kind: &Kind, length: usize) -> Duration {
    let (root, verbs) = (kind.make)(length);
    let provisioner = provisioner(root.path());
    let mut best = Duration::MAX;
    for run in 0..RUNS {
        let encoded: Vec<_> = verbs
            .iter()
            .enumerate()
            .map(|(place, verb)| {
                let call = wire::Call {
                    call_id: format!("c-{run}-{place}"),
                    connector: "local".to_owned(),
                    verb: Some(verb.clone()),
                    ..wire::Call::default()
                };
                call.encode_to_vec()
            })
            .collect();
        let began = processor_time();
        for bytes in encoded {
            let call = wire::Call::decode(bytes.as_slice()).unwrap();
            if let Some(Verb::Search(_)) = &call.verb {
                let mut events = provisioner.search(call);
                while events.recv().await.is_some() {}
                continue;
            }
            let outcome = provisioner.execute(call).await;
            let nothing_begun = matches!(outcome, Outcome::Failed(_) | Outcome::Done(_));
            assert!(nothing_begun, "{}: {outcome:?}", kind.name);
        }
        best = best.min(processor_time() - began);
    }
    best
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_list_costs_more_than_its_length() {
    let mut found = Vec::new();
    for kind in KINDS {
        let short = cost(kind, kind.length).await.max(NOISE);
        let long = cost(kind, kind.length * TIMES).await;
        let times = long.as_secs_f64() / short.as_secs_f64();
        let told = format!(
            "{}: {short:?}, {TIMES} times as long: {long:?} ({times:.1})",
            kind.name
        );
        eprintln!("{told}");
        if times > MOST {
            found.push(told);
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
