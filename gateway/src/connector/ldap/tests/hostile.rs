//! What a directory does that lies, breaks off or goes round in circles.

use std::sync::atomic::{AtomicUsize, Ordering};

use ldap3_proto::control::LdapControl;
use ldap3_proto::proto::{LdapExtendedResponse, LdapMsg, LdapOp, LdapResultCode};
use tokio::sync::mpsc;

use super::server::{Hostile, Reply, connector, context, done, entry, in_the_clear, result, said};
use crate::connector::{Changes, Found};
use crate::model::{
    CallError, Cookie, Create, Failure, FailureKind, Get, Object, ObjectClass, ObjectName,
    ObjectRef, Request, Search, Selector, SyncToken,
};

async fn get(hostile: &Hostile) -> Result<Object, CallError> {
    let get = Get {
        object: ada(),
        attributes: Vec::new(),
    };
    hostile.connector.get(&context(), &get).await
}

fn ada() -> ObjectRef {
    ObjectRef {
        class: ObjectClass::Account,
        by: Selector::Name(ObjectName::new("ada").unwrap()),
    }
}

fn account() -> Create {
    Create {
        class: ObjectClass::Account,
        name: ObjectName::new("ada").unwrap(),
        attributes: Vec::new(),
        password: None,
        enabled: true,
    }
}

async fn create(hostile: &Hostile) -> Result<Object, CallError> {
    hostile.connector.create(&context(), account()).await
}

async fn search(hostile: &Hostile) -> (usize, Result<Cookie, CallError>) {
    let search = Search {
        class: ObjectClass::Account,
        filter: None,
        attributes: Vec::new(),
        page_size: None,
        cookie: Cookie::default(),
    };
    let (sender, mut objects) = mpsc::channel(1);
    let mut found = Found::new(sender, usize::MAX);
    let cx = context();
    let searching = async {
        let searched = hostile.connector.search(&cx, &search, &mut found).await;
        drop(found);
        searched
    };
    let counting = async {
        let mut count = 0;
        while objects.recv().await.is_some() {
            count += 1;
        }
        count
    };
    let (searched, count) = tokio::join!(searching, counting);
    (count, searched)
}

#[track_caller]
fn failed<T: std::fmt::Debug>(result: Result<T, CallError>, kind: FailureKind) -> Failure {
    match result {
        Err(CallError::Failed(failure)) => {
            assert_eq!(failure.kind, kind, "{failure:?}");
            failure
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn unknown<T: std::fmt::Debug>(result: Result<T, CallError>) -> String {
    match result {
        Err(CallError::Indeterminate(message)) => message,
        other => panic!("{other:?}"),
    }
}

/// Elements within elements, so many deep.
fn nested(depth: u32) -> Vec<u8> {
    let header = |level: u32| {
        let mut bytes = vec![0x30, 0x84];
        bytes.extend((6 * (depth - 1 - level)).to_be_bytes());
        bytes
    };
    (0..depth).flat_map(header).collect()
}

#[tokio::test]
async fn what_is_no_message_ends_the_connection_and_nothing_else() {
    let within = |id: i32, operation: &[u8]| {
        let mut bytes = vec![0x02, 0x01, u8::try_from(id).unwrap()];
        bytes.extend_from_slice(operation);
        let mut message = vec![0x30, 0x83];
        message.extend(&u32::try_from(bytes.len()).unwrap().to_be_bytes()[1..]);
        message.extend(bytes);
        message
    };
    let answers: [fn() -> Vec<u8>; 6] = [
        || nested(200_000),
        || vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        || vec![0x30, 0x88, 1, 1, 1, 1, 1, 1, 1, 1],
        || vec![0x30, 0x00],
        || b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        || vec![0x30, 0x05, 0x02, 0x01, 0x01, 0x7f, 0x00],
    ];
    for answer in answers {
        let hostile = Hostile::new(move |_| vec![Reply::Raw(answer())]).await;
        let failure = failed(get(&hostile).await, FailureKind::Unavailable);
        assert!(failure.message.contains("no LDAP"), "{failure:?}");
    }
    // The same within a message that is one: what nobody looks into costs nothing.
    let hostile = Hostile::new(move |request| {
        let mut operation = vec![0x64, 0x83];
        let inner = nested(200_000);
        operation.extend(&u32::try_from(inner.len()).unwrap().to_be_bytes()[1..]);
        operation.extend(inner);
        vec![Reply::Raw(within(request.msgid, &operation))]
    })
    .await;
    failed(get(&hostile).await, FailureKind::Unavailable);
}

#[tokio::test]
async fn an_answer_that_is_only_odd_is_understood() {
    // 9999, and a text in Latin-1.
    let odd = |id: i32| {
        let id = u8::try_from(id).unwrap();
        vec![
            0x30, 0x11, 0x02, 0x01, id, 0x69, 0x0c, 0x0a, 0x02, 0x27, 0x0f, 0x04, 0x00, 0x04, 0x04,
            b'n', 0xe9, b'e', 0x1b,
        ]
    };
    let hostile = Hostile::new(move |request| match request.op {
        LdapOp::AddRequest(_) => vec![Reply::Raw(odd(request.msgid))],
        _ => vec![done(request)],
    })
    .await;
    let failure = failed(create(&hostile).await, FailureKind::Rejected);
    assert_eq!(failure.native.as_ref().unwrap().code(), "9999");
    assert!(!failure.message.contains('\u{1b}'), "{failure:?}");
    // Of another kind than the request, as Samba answers one whose control it lacks.
    let hostile = Hostile::new(|request| match request.op {
        LdapOp::AddRequest(_) => vec![said(
            request,
            LdapOp::ExtendedResponse(LdapExtendedResponse {
                res: result(LdapResultCode::UnavailableCriticalExtension),
                name: None,
                value: None,
            }),
        )],
        _ => vec![done(request)],
    })
    .await;
    let failure = failed(create(&hostile).await, FailureKind::Unsupported);
    assert_eq!(failure.native.unwrap().code(), "12");
}

#[tokio::test]
async fn a_late_answer_is_passed_over() {
    let hostile = Hostile::new(|request| {
        let late = |id| {
            Reply::Message(LdapMsg::new(
                id,
                LdapOp::SearchResultDone(result(LdapResultCode::Busy)),
            ))
        };
        vec![
            late(request.msgid + 1000),
            said(request, entry("ada")),
            late(1),
            done(request),
        ]
    })
    .await;
    assert_eq!(get(&hostile).await.unwrap().identity.name.as_str(), "ada");
}

#[tokio::test]
async fn a_part_is_never_taken_for_the_whole() {
    let cut = Hostile::new(|request| vec![said(request, entry("ada")), Reply::Close]).await;
    let (count, searched) = search(&cut).await;
    assert_eq!(count, 1);
    failed(searched, FailureKind::Unavailable);
    for code in [
        LdapResultCode::SizeLimitExceeded,
        LdapResultCode::TimeLimitExceeded,
        LdapResultCode::AdminLimitExceeded,
    ] {
        let limited = Hostile::new(move |request| {
            let end = LdapOp::SearchResultDone(result(code.clone()));
            vec![said(request, entry("ada")), said(request, end)]
        })
        .await;
        let failure = failed(search(&limited).await.1, FailureKind::Rejected);
        assert!(failure.message.contains("not all"), "{failure:?}");
    }
}

#[tokio::test]
async fn a_directory_that_gives_the_same_page_for_ever_is_left() {
    let with = |entries: Vec<Reply>, request: &LdapMsg| {
        let mut end = LdapMsg::new(
            request.msgid,
            LdapOp::SearchResultDone(result(LdapResultCode::Success)),
        );
        end.ctrl.push(LdapControl::SimplePagedResults {
            size: 0,
            cookie: b"again".to_vec(),
        });
        entries.into_iter().chain([Reply::Message(end)]).collect()
    };
    let same = Hostile::new(move |request| with(vec![said(request, entry("ada"))], request)).await;
    let failure = failed(search(&same).await.1, FailureKind::Unavailable);
    assert!(failure.message.contains("repeats itself"), "{failure:?}");
    let empty = Hostile::new(move |request| with(Vec::new(), request)).await;
    let failure = failed(search(&empty).await.1, FailureKind::Unavailable);
    assert!(failure.message.contains("repeats itself"), "{failure:?}");
}

#[tokio::test]
async fn the_next_page_is_for_whoever_began_the_search() {
    let hostile = Hostile::new(|request| {
        let mut end = LdapMsg::new(
            request.msgid,
            LdapOp::SearchResultDone(result(LdapResultCode::Success)),
        );
        end.ctrl.push(LdapControl::SimplePagedResults {
            size: 0,
            cookie: b"next".to_vec(),
        });
        vec![said(request, entry("ada")), Reply::Message(end)]
    })
    .await;
    let page = |cookie| Search {
        class: ObjectClass::Account,
        filter: None,
        attributes: Vec::new(),
        page_size: Some(1),
        cookie,
    };
    let (sender, _objects) = mpsc::channel(10);
    let mut found = Found::new(sender, usize::MAX);
    let cx = context();
    let first = page(Cookie::default());
    let begun = hostile.connector.search(&cx, &first, &mut found);
    let next = page(begun.await.unwrap());
    let mut other = context();
    let dn = "cn=other,dc=x".to_owned();
    other.settings.insert("bind_dn".to_owned(), dn);
    let stolen = hostile.connector.search(&other, &next, &mut found);
    failed(stolen.await, FailureKind::Unavailable);
    let own = hostile.connector.search(&cx, &next, &mut found);
    own.await.unwrap();
}

#[tokio::test]
async fn a_directory_that_names_nothing_any_more_has_forgotten_what_was_deleted() {
    for (cookie, refresh_deletes, forgotten) in [
        (Some("new"), false, true),
        (Some("new"), true, false),
        (Some("old"), false, false),
        (None, false, false),
    ] {
        let hostile = Hostile::new(move |request| {
            let mut end = LdapMsg::new(
                request.msgid,
                LdapOp::SearchResultDone(result(LdapResultCode::Success)),
            );
            end.ctrl.push(LdapControl::SyncDone {
                cookie: cookie.map(|cookie| cookie.as_bytes().to_vec()),
                refresh_deletes,
            });
            vec![Reply::Message(end)]
        })
        .await;
        let token = SyncToken::new(b"sync1 account old".to_vec()).unwrap();
        let (sender, _told) = mpsc::channel(1);
        let mut changes = Changes::new(sender);
        let cx = context();
        let class = ObjectClass::Account;
        let synced = hostile
            .connector
            .sync(&cx, class, &token, &mut changes)
            .await;
        if forgotten {
            failed(synced, FailureKind::Forgotten);
        } else {
            let next = format!("sync1 account {}", cookie.unwrap_or("old"));
            assert_eq!(synced.unwrap().as_bytes(), next.as_bytes());
        }
    }
}

#[tokio::test]
async fn changes_by_time_are_handed_on_while_they_come_and_are_no_result_before_their_end() {
    let hostile = Hostile::new(|request| {
        let entries = ["ada", "bea", "eve"].map(|name| said(request, entry(name)));
        // The end never comes.
        entries.into_iter().collect()
    })
    .await;
    let token = SyncToken::new(b"time1 account 20260101000000Z".to_vec()).unwrap();
    let (sender, mut told) = mpsc::channel(10);
    let mut changes = Changes::new(sender);
    let cx = context();
    let class = ObjectClass::Account;
    let synced = hostile.connector.sync(&cx, class, &token, &mut changes);
    failed(synced.await, FailureKind::Unavailable);
    drop(changes);
    let mut count = 0;
    while told.recv().await.is_some() {
        count += 1;
    }
    assert_eq!(count, 3);
}

#[tokio::test]
async fn a_change_without_an_answer_is_unknown_and_never_made_twice() {
    for farewell in [false, true] {
        let adds = std::sync::Arc::new(AtomicUsize::new(0));
        let count = std::sync::Arc::clone(&adds);
        let hostile = Hostile::new(move |request| match request.op {
            LdapOp::AddRequest(_) => {
                count.fetch_add(1, Ordering::SeqCst);
                let notice = LdapOp::ExtendedResponse(LdapExtendedResponse {
                    res: result(LdapResultCode::Unavailable),
                    name: Some("1.3.6.1.4.1.1466.20036".to_owned()),
                    value: None,
                });
                let notice = Reply::Message(LdapMsg::new(0, notice));
                if farewell {
                    vec![notice]
                } else {
                    vec![Reply::Close]
                }
            }
            _ => vec![done(request)],
        })
        .await;
        let message = unknown(create(&hostile).await);
        assert!(message.contains("ended the connection"), "{message}");
        assert_eq!(message.contains("52 unavailable"), farewell, "{message}");
        assert_eq!(adds.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn what_was_looked_for_before_the_change_is_not_looked_for_again() {
    for there in [false, true] {
        let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let log = std::sync::Arc::clone(&asked);
        let hostile = Hostile::new(move |request| {
            let mut log = log.lock().unwrap();
            let (what, replies) = match &request.op {
                LdapOp::AddRequest(_) => {
                    let added = LdapOp::AddResponse(result(LdapResultCode::Success));
                    ("add", vec![said(request, added)])
                }
                LdapOp::SearchRequest(search) if search.base == "dc=x" => {
                    ("history", vec![done(request)])
                }
                LdapOp::SearchRequest(_) if there || log.contains(&"add") => {
                    ("read", vec![said(request, entry("ada")), done(request)])
                }
                _ => ("read", vec![done(request)]),
            };
            log.push(what);
            replies
        })
        .await;
        let change = Request::Create(account());
        let (cx, connector) = (context(), &hostile.connector);
        let before = connector.evidence(&cx, &change).await.unwrap();
        let made = connector.create_after(&cx, account(), &before).await;
        let asked = asked.lock().unwrap();
        if there {
            failed(made, FailureKind::AlreadyExists);
            assert_eq!(*asked, ["read", "history", "read"]);
        } else {
            assert_eq!(made.unwrap().identity.name.as_str(), "ada");
            assert_eq!(*asked, ["read", "history", "add", "read"]);
        }
    }
}

#[tokio::test]
async fn a_connection_that_ended_while_idle_costs_no_call() {
    let hostile = Hostile::new(|request| match request.op {
        LdapOp::AddRequest(_) => vec![said(
            request,
            LdapOp::AddResponse(result(LdapResultCode::EntryAlreadyExists)),
        )],
        _ => vec![done(request), Reply::Close],
    })
    .await;
    for _ in 0..3 {
        failed(create(&hostile).await, FailureKind::AlreadyExists);
        failed(get(&hostile).await, FailureKind::NotFound);
    }
}

#[tokio::test]
async fn a_connection_on_which_nobody_is_bound_any_more_is_bound_again() {
    let asked = AtomicUsize::new(0);
    let hostile = Hostile::new(move |request| {
        if asked.fetch_add(1, Ordering::SeqCst) == 1 {
            let unbound = result(LdapResultCode::OperationsError);
            return vec![said(request, LdapOp::SearchResultDone(unbound))];
        }
        vec![said(request, entry("ada")), done(request)]
    })
    .await;
    for _ in 0..3 {
        get(&hostile).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_is_silent_is_waited_for_once_and_not_by_each_call() {
    let answers = |request: &LdapMsg| vec![said(request, entry("ada")), done(request)];
    let (hostile, binds) = Hostile::behind_a_silent_one(answers).await;
    let calls = (0..8).map(|_| get(&hostile));
    for found in futures_util::future::join_all(calls).await {
        found.unwrap();
    }
    assert_eq!(binds.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nothing_follows_starttls_but_tls() {
    let answer = |code: u8, more: &[u8]| {
        let mut bytes = vec![
            0x30, 0x0c, 0x02, 0x01, 0x01, 0x78, 0x07, 0x0a, 0x01, code, 0x04, 0x00, 0x04, 0x00,
        ];
        bytes.extend_from_slice(more);
        bytes
    };
    // A bind that succeeded, put there by whoever sits in between.
    let injected = [
        0x30, 0x0c, 0x02, 0x01, 0x02, 0x61, 0x07, 0x0a, 0x01, 0x00, 0x04, 0x00, 0x04, 0x00,
    ];
    let request = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
    // Of a handshake of TLS, RFC 8446, section 5.1.
    const HANDSHAKE: u8 = 22;
    for (answer, part, next) in [
        (answer(0, &injected), "only an attacker", None),
        (answer(2, &[]), "does not begin TLS", None),
        (answer(0, &[]), "did not answer in time", Some(HANDSHAKE)),
    ] {
        let (address, seen) = in_the_clear(answer).await;
        let more = "starttls = true\nconnect_timeout = \"1s\"\ncertificate_sha256 = [\"0000000000000000000000000000000000000000000000000000000000000000\"]";
        let connector = connector(&format!("ldap://{address}"), more);
        let failure = failed(connector.test(&context()).await, FailureKind::Unavailable);
        assert!(failure.message.contains(part), "{failure:?}");
        let seen = seen.lock().unwrap();
        let (first, rest) = seen.split_at(request.len());
        assert_eq!((first, rest.first().copied()), (&request[..], next));
    }
}

#[tokio::test]
async fn what_the_configuration_says_wrong_is_told_by_line() {
    let text = "[connectors.a]\ntype = \"ldap\"\nservers = [\"ldap://x\"]\nca_file = \"/nowhere\"\ndisable = \"x\"\n\
                accounts.base = \"people\"\ngroups.base = \"dc=x\"\ngroups.dn = \"cn={name},dc=y\"\nhosts = 1\n";
    let config = crate::config::Config::parse(std::path::Path::new("g.toml"), text).unwrap();
    let found = crate::connectors::Connectors::from_config(&config.connectors).unwrap_err();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    let begins = [
        "g.toml, line 3: connectors.a.servers: `ldap://x`: passwords would cross the network in the clear",
        "g.toml, line 4: connectors.a.ca_file: /nowhere cannot be read",
        "g.toml, line 5: connectors.a.disable: ",
        "g.toml, line 6: connectors.a.accounts.base: ",
        "g.toml, line 8: connectors.a.groups.dn: ",
        "g.toml, line 9: connectors.a.hosts: unknown key",
    ];
    assert_eq!(found.len(), begins.len(), "{found:#?}");
    for (found, begin) in found.iter().zip(begins) {
        assert!(found.starts_with(begin), "{found}");
    }
}
