//! What the server has in memory, and what it answers to each call.

use std::collections::BTreeMap;

use portcullis_proto::admin::v1::audit_record::Record;
use portcullis_proto::admin::v1::{
    AuditEntry, AuditHead, AuditRecord, Gateway, ListAuditRequest, ListAuditResponse,
    ListResourcesRequest, ListResourcesResponse, QueuedCall, QueuedState, Resource,
    UpgradeCheckResponse, VersionFit,
};
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::done::Detail;
use portcullis_proto::gateway::v1::object_ref::By;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::search_item::Kind;
use portcullis_proto::gateway::v1::{
    AttributeSchema, Call, ClassSchema, Create, Done, Failure, FailureKind, Filter, Indeterminate,
    NativeError, Object, ObjectClass, ObjectRef, RunResult, Schema, SearchEnd, SearchItem,
    ValueType, filter, value,
};
use tonic::Status;

/// What becomes of the creation of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It fails, with this kind.
    Fails(FailureKind),
    /// It fails, with the number of a kind, and with the code and text of the target.
    Answers(i32, &'static str, &'static str),
    /// It is created, and the answer is `indeterminate`.
    CreatedUnknown,
    /// It is not created, and the answer is `indeterminate`.
    LostUnknown,
    /// It is created, and no answer ever comes.
    CreatedHangs,
    /// It is created, and the first look does not see it yet.
    CreatedLate,
}

/// What the server has, and what it is to answer.
#[derive(Default)]
pub(super) struct State {
    pub(super) accounts: BTreeMap<String, Create>,
    pub(super) fates: BTreeMap<String, Fate>,
    pub(super) calls: Vec<Call>,
    pub(super) gateways: Vec<String>,
    /// Queued calls that are followed.
    pub(super) watched: usize,
    /// How many entries the audit log has.
    pub(super) audited: u64,
    /// Calls on these resources fail as `unavailable`.
    pub(super) out_of_reach: Vec<String>,
    /// So many creations find no room.
    pub(super) busy: usize,
    /// The gateway knows no digests.
    pub(super) is_old: bool,
    /// Objects that a search has answered whole.
    pub(super) whole: usize,
}

impl State {
    pub(super) fn audit(&self, request: &ListAuditRequest) -> ListAuditResponse {
        let entries = (1..=self.audited)
            .rev()
            .filter(|seq| request.before == 0 || *seq < request.before)
            .take(request.limit as usize)
            .map(|seq| AuditEntry {
                seq,
                time_unix_ms: 1_800_000_000_000,
                subject: "alice".to_owned(),
                action: "Keys/List".to_owned(),
                object: "\u{1b}[2J".to_owned(),
                outcome: "done".to_owned(),
                ..AuditEntry::default()
            })
            .collect::<Vec<_>>();
        let full = entries.len() == request.limit as usize;
        ListAuditResponse {
            next_before: entries.last().filter(|_| full).map_or(0, |last| last.seq),
            entries,
        }
    }

    /// `None`: no answer ever comes.
    pub(super) fn on(&mut self, resource: &str, call: &Call) -> Option<OutcomeResult> {
        let kind = if self.out_of_reach.iter().any(|it| it == resource) {
            FailureKind::Unavailable
        } else if self.busy > 0 && matches!(call.verb, Some(Verb::Create(_))) {
            self.busy -= 1;
            FailureKind::Busy
        } else {
            return self.answer(call.clone());
        };
        self.calls.push(call.clone());
        Some(failed(kind))
    }

    fn answer(&mut self, call: Call) -> Option<OutcomeResult> {
        self.calls.push(call.clone());
        Some(match call.verb? {
            Verb::Schema(_) => done(Some(Detail::Schema(schema()))),
            Verb::Test(_) => done(Some(Detail::Report("ready".to_owned()))),
            Verb::Create(create) => return self.create(create),
            Verb::Get(get) => match self.named(get.object).cloned() {
                Some(account) if self.fates.remove(&account.name) == Some(Fate::CreatedLate) => {
                    failed(FailureKind::NotFound)
                }
                Some(account) => done(Some(Detail::Object(object(&account)))),
                None => failed(FailureKind::NotFound),
            },
            Verb::Authenticate(authenticate) => match self.named(authenticate.object) {
                Some(account) if account.password == authenticate.password => done(None),
                Some(_) => failed(FailureKind::BadCredentials),
                None => failed(FailureKind::NotFound),
            },
            Verb::SetPassword(set) => match self.named(set.object).cloned() {
                Some(mut account) => {
                    account.password = set.password;
                    self.accounts.insert(account.name.clone(), account);
                    done(None)
                }
                None => failed(FailureKind::NotFound),
            },
            Verb::Delete(delete) => match self.named(delete.object).map(|a| a.name.clone()) {
                Some(name) => {
                    self.accounts.remove(&name);
                    done(None)
                }
                None => failed(FailureKind::NotFound),
            },
            Verb::Run(run) => done(Some(Detail::Run(RunResult {
                // An action named by a number ends with it.
                exit_code: run.action.parse().unwrap_or(0),
                results: run.arguments,
            }))),
            _ => done(None),
        })
    }

    fn create(&mut self, create: Create) -> Option<OutcomeResult> {
        let fate = self.fates.get(&create.name).copied();
        if self.accounts.contains_key(&create.name) {
            return Some(failed(FailureKind::AlreadyExists));
        }
        match fate {
            Some(Fate::Fails(kind)) => return Some(failed(kind)),
            Some(Fate::Answers(kind, code, text)) => {
                return Some(OutcomeResult::Failed(Failure {
                    kind,
                    message: "the directory refuses it".to_owned(),
                    native: Some(NativeError {
                        code: code.to_owned(),
                        text: text.to_owned(),
                    }),
                }));
            }
            Some(Fate::LostUnknown) => return Some(unknown()),
            Some(Fate::CreatedUnknown | Fate::CreatedHangs | Fate::CreatedLate) | None => {}
        }
        let made = object(&create);
        self.accounts.insert(create.name.clone(), create);
        match fate {
            Some(Fate::CreatedUnknown | Fate::CreatedLate) => Some(unknown()),
            Some(Fate::CreatedHangs) => None,
            _ => Some(done(Some(Detail::Object(made)))),
        }
    }

    fn named(&self, reference: Option<ObjectRef>) -> Option<&Create> {
        match reference?.by? {
            By::Name(name) => self.accounts.get(&name),
            By::Id(id) => self.accounts.get(id.strip_prefix("id-")?),
        }
    }
}

/// In the group `all` are the resources r1, r2 and r3; there is no other.
pub(super) fn group(request: &ListResourcesRequest) -> ListResourcesResponse {
    let in_group = request.groups.iter().any(|group| group == "all");
    let names: &[&str] = if in_group { &["r3", "r1", "r2"] } else { &[] };
    let resources = names.iter().map(|&name| Resource {
        name: name.to_owned(),
        ..Resource::default()
    });
    ListResourcesResponse {
        resources: resources.collect(),
    }
}

/// There is the gateway `taken`, and no other.
pub(super) fn shown(name: String) -> Result<Gateway, Status> {
    if name != "taken" {
        return Err(Status::not_found("there is no such gateway"));
    }
    Ok(Gateway {
        name,
        ..Gateway::default()
    })
}

/// Those whose id begins with `w` wait; there are no others.
pub(super) fn cancelled(call_id: String) -> Result<QueuedCall, Status> {
    if !call_id.starts_with('w') {
        return Err(Status::not_found(format!(
            "no call `{call_id}` was queued here"
        )));
    }
    Ok(QueuedCall {
        call_id,
        state: QueuedState::Cancelled.into(),
        ..QueuedCall::default()
    })
}

/// The ids that a filter asks for, where it asks for ids; no other filter is regarded.
pub(super) fn ids(filter: &Filter) -> Option<Vec<String>> {
    let Some(filter::Kind::Any(list)) = &filter.kind else {
        return None;
    };
    let id = |one: &Filter| match &one.kind {
        Some(filter::Kind::Comparison(it)) if it.attribute == "__id__" => {
            match it.value.as_ref()?.kind.clone()? {
                value::Kind::Text(id) => Some(id),
                _ => None,
            }
        }
        _ => None,
    };
    list.filters.iter().map(id).collect()
}

/// An account as it is shown.
pub(super) fn object(create: &Create) -> Object {
    Object {
        object_class: ObjectClass::Account.into(),
        id: format!("id-{}", create.name),
        name: create.name.clone(),
        enabled: Some(create.enabled.unwrap_or(true)),
        attributes: create.attributes.clone(),
        ..Object::default()
    }
}

fn done(detail: Option<Detail>) -> OutcomeResult {
    OutcomeResult::Done(Done { detail })
}

fn failed(kind: FailureKind) -> OutcomeResult {
    OutcomeResult::Failed(failure(kind))
}

/// A failure of that kind.
pub(super) fn failure(kind: FailureKind) -> Failure {
    Failure {
        kind: kind.into(),
        message: format!("the resource says \x1b[31m{}", kind.as_str_name()),
        ..Failure::default()
    }
}

fn unknown() -> OutcomeResult {
    OutcomeResult::Indeterminate(Indeterminate {
        message: "the link was lost".to_owned(),
        ..Indeterminate::default()
    })
}

fn schema() -> Schema {
    let attribute = |name: &str, value_type: ValueType, multi_valued| AttributeSchema {
        name: name.to_owned(),
        r#type: value_type.into(),
        multi_valued,
        creatable: true,
        updatable: true,
        returned_by_default: true,
        description: format!("what {name} is"),
        ..AttributeSchema::default()
    };
    let photo = AttributeSchema {
        readable: Some(false),
        syntax: "1.3.6.1.4.1.1466.115.121.1.28".to_owned(),
        source: "JPEG".to_owned(),
        ..attribute("jpegPhoto", ValueType::Binary, false)
    };
    let units = ClassSchema {
        object_class: ObjectClass::Other.into(),
        class_name: "organizational-unit".to_owned(),
        attributes: vec![photo],
        verbs: vec!["get".to_owned()],
    };
    Schema {
        classes: vec![
            ClassSchema {
                object_class: ObjectClass::Account.into(),
                attributes: vec![
                    attribute("uid", ValueType::Integer, false),
                    attribute("shell", ValueType::Text, false),
                    attribute("groups", ValueType::Text, true),
                ],
                verbs: vec!["create".to_owned(), "get".to_owned()],
                ..ClassSchema::default()
            },
            units,
        ],
        actions: vec!["greet".to_owned()],
        settings: vec!["prefix".to_owned()],
    }
}

/// The last item of a search or sync.
pub(super) fn end_of_sync(end: SearchEnd) -> SearchItem {
    SearchItem {
        kind: Some(Kind::End(end)),
    }
}

/// A fleet with one gateway that fits, and one that was never connected.
pub(super) fn versions() -> UpgradeCheckResponse {
    let gateway = |name: &str, version: &str| VersionFit {
        gateway: name.to_owned(),
        version: version.to_owned(),
        fits: !version.is_empty(),
        detail: String::new(),
    };
    UpgradeCheckResponse {
        server_version: "0.1.0".to_owned(),
        server_fits: true,
        gateways: vec![gateway("web1", "0.1.0"), gateway("new1", "")],
    }
}

/// The end of an export.
pub(super) fn head() -> AuditRecord {
    AuditRecord {
        record: Some(Record::Head(AuditHead::default())),
    }
}
