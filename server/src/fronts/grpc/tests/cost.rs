//! What a request costs grows with what it holds, and no faster: each list that a request may have
//! is made several times as long.
//!
//! The processor time of this thread is compared, the best of several runs each: what else goes on
//! here makes no difference.

use std::time::Duration;

use portcullis_proto::gateway::v1 as wire;
use prost::Message as _;
use rustix::time::{ClockId, clock_gettime};

use super::framing::raw;
use super::*;

/// How much longer the longer list is.
const TIMES: usize = 4;
/// What it may cost more: in pairs it would be sixteen times as much.
const MOST: f64 = 8.0;
/// Runs of each length, of which the cheapest counts.
const RUNS: usize = 3;
/// Processor time below which nothing is told.
const NOISE: Duration = Duration::from_millis(2);

/// A kind of list: what it is called, its method, how long its shorter one is, the request.
type Kind = (&'static str, &'static str, usize, fn(usize) -> Vec<u8>);

const KINDS: &[Kind] = &[
    ("settings", "Resources/Set", 8_000, |length| {
        let setting = |number: usize| (format!("setting{number}"), "x".to_owned());
        set_resource(proto::SetResourceRequest {
            settings: (0..length).map(setting).collect(),
            ..Default::default()
        })
    }),
    ("secret settings", "Resources/Set", 8_000, |length| {
        let setting = |number: usize| wire::SecretSetting {
            name: format!("setting{number}"),
            value: Some(wire::Secret::plain(b"x".to_vec())),
        };
        set_resource(proto::SetResourceRequest {
            secret_settings: (0..length).map(setting).collect(),
            ..Default::default()
        })
    }),
    ("groups of a gateway", "Gateways/Add", 8_000, |length| {
        let request = proto::AddGatewayRequest {
            groups: names(length),
            ..dial_out("web9")
        };
        request.encode_to_vec()
    }),
    ("groups to list", "Gateways/List", 8_000, |length| {
        let groups = names(length);
        let request = proto::ListGatewaysRequest {
            groups,
            ..Default::default()
        };
        request.encode_to_vec()
    }),
    ("words of the policy", "Policy/AddWords", 8_000, |length| {
        let words = names(length);
        proto::AddWordsRequest { words }.encode_to_vec()
    }),
    ("values of a call", "Calls/Execute", 8_000, |length| {
        execute(Verb::Create(wire::Create {
            name: "x".to_owned(),
            attributes: vec![wire::Attribute {
                name: "groups".to_owned(),
                values: names(length).into_iter().map(text).collect(),
            }],
            ..Default::default()
        }))
    }),
    ("attributes of a call", "Calls/Execute", 8_000, |length| {
        let attribute = |name| wire::Attribute {
            name,
            values: Vec::new(),
        };
        execute(Verb::Create(wire::Create {
            name: "x".to_owned(),
            attributes: names(length).into_iter().map(attribute).collect(),
            ..Default::default()
        }))
    }),
    ("conditions of a filter", "Calls/Search", 4_000, |length| {
        let comparison = |name: String| wire::Filter {
            kind: Some(wire::filter::Kind::Comparison(wire::Comparison {
                attribute: name.clone(),
                value: Some(text(name)),
                ..Default::default()
            })),
        };
        let filters = names(length).into_iter().map(comparison).collect();
        execute(Verb::Search(Search {
            filter: Some(wire::Filter {
                kind: Some(wire::filter::Kind::Any(wire::FilterList { filters })),
            }),
            ..Default::default()
        }))
    }),
];

fn names(length: usize) -> Vec<String> {
    (0..length).map(|number| format!("name{number}")).collect()
}

fn text(text: String) -> wire::Value {
    wire::Value {
        kind: Some(wire::value::Kind::Text(text)),
    }
}

fn set_resource(request: proto::SetResourceRequest) -> Vec<u8> {
    let request = proto::SetResourceRequest {
        name: "accounts".to_owned(),
        ..request
    };
    request.encode_to_vec()
}

fn execute(verb: Verb) -> Vec<u8> {
    let request = proto::ExecuteRequest {
        resource: "accounts".to_owned(),
        call: Some(Call {
            verb: Some(verb),
            ..Default::default()
        }),
        ..Default::default()
    };
    request.encode_to_vec()
}

fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (now.tv_sec, now.tv_nsec);
    Duration::new(seconds.try_into().unwrap(), nanos.try_into().unwrap())
}

async fn cost(api: &Api, (_, method, _, make): &Kind, length: usize) -> Duration {
    let message = make(length);
    let prefix = u32::try_from(message.len()).unwrap().to_be_bytes();
    let body = [&[0][..], &prefix, &message].concat();
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let began = processor_time();
        // Whether it is refused or not: its cost is what counts.
        raw(api, method, body.clone()).await;
        best = best.min(processor_time() - began);
    }
    best
}

#[tokio::test]
async fn no_list_of_a_request_costs_more_than_its_length() {
    let api = Api::start().await;
    api.add_gateway("web1").await;
    api.add_resource("accounts", "web1").await.unwrap();
    let mut found = Vec::new();
    for kind in KINDS {
        let short = cost(&api, kind, kind.2).await.max(NOISE);
        let long = cost(&api, kind, kind.2 * TIMES).await;
        let times = long.as_secs_f64() / short.as_secs_f64();
        let told = format!(
            "{}: {short:?}, {TIMES} times as long: {long:?} ({times:.1})",
            kind.0
        );
        eprintln!("{told}");
        if times > MOST {
            found.push(told);
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
