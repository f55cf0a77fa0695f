//! What is done about one row.

use std::path::Path;

use data_encoding::HEXLOWER;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::object_ref::By;
use portcullis_proto::gateway::v1::{
    Attribute, Authenticate, FailureKind, Get, Object, ObjectClass, ObjectRef, Value, value::Kind,
};
use sha2::{Digest, Sha256};

use super::results::{LineResult, LineStatus};
use super::row::Row;
use crate::bulk::patiently;
use crate::call::{Answer, CallArgs, Caller};
use crate::error::{CliError, failure_word};

/// What is to be done about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Create the account.
    Create,
    /// An earlier run may have created it: look, and create it only where it is not there.
    LookFirst,
}

/// What came of a row, and whether the import can go on.
#[derive(Debug)]
pub(crate) struct Worked {
    pub(crate) result: LineResult,
    /// Why no further row has a chance.
    pub(crate) fatal: Option<CliError>,
}

impl From<LineResult> for Worked {
    fn from(result: LineResult) -> Self {
        let fatal = None;
        Self { result, fatal }
    }
}

/// Works on rows, several at a time.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    caller: Caller,
    call: CallArgs,
    /// The beginning of each call id: the same for the same resource and file.
    prefix: String,
}

impl Worker {
    pub(crate) fn new(caller: Caller, call: CallArgs, resource: &str, file: &Path) -> Self {
        let mut hash = Sha256::new();
        hash.update(resource.as_bytes());
        hash.update([0]);
        hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        let digest = HEXLOWER.encode(&hash.finalize()[..6]);
        Self {
            caller,
            call,
            prefix: format!("import-{digest}"),
        }
    }

    /// The id of the call that creates what stands on a line, the n-th time that it is tried, from
    /// 1. The same for the same resource, file name, line and attempt.
    fn call_id(&self, line: u64, attempt: u32) -> String {
        format!("{}-{line}-{attempt}", self.prefix)
    }

    pub(crate) async fn work(mut self, row: Row, task: Task, attempt: u32) -> Worked {
        let worked = self.create(row, task, attempt).await;
        Worked {
            result: LineResult {
                attempt: Some(attempt),
                ..worked.result
            },
            ..worked
        }
    }

    async fn create(&mut self, row: Row, task: Task, attempt: u32) -> Worked {
        let call_id = self.call_id(row.line, attempt);
        if task == Task::LookFirst {
            match self.look(&row, &call_id).await {
                Ok(Some(result)) => return result.into(),
                Ok(None) => {}
                // Still nobody knows: nothing was sent that changes anything.
                Err(error) => return unsuccessful(&row, None, LineStatus::Indeterminate, error),
            }
        }
        let args = self.call.with_id(call_id.clone());
        let create = Verb::Create(row.create());
        let mut created = patiently(&mut self.caller, create, &args).await;
        if task == Task::LookFirst && already_exists(&created) {
            // The earlier run's call was still on its way when we looked.
            match self.look(&row, &format!("{call_id}-again")).await {
                Ok(Some(result)) => {
                    let call_id = Some(call_id);
                    return LineResult { call_id, ..result }.into();
                }
                Ok(None) => {}
                Err(error) => created = Err(error),
            }
        }
        match created {
            Ok(answer) => LineResult {
                call_id: Some(call_id),
                id: answer.object().map(|object| object.id),
                ..LineResult::new(row.line, Some(row.name), LineStatus::Done)
            }
            .into(),
            Err(error) => {
                let status = match error {
                    CliError::Indeterminate { .. } => LineStatus::Indeterminate,
                    _ => LineStatus::Failed,
                };
                let call_id = error.left_a_call().then_some(call_id);
                unsuccessful(&row, call_id, status, error)
            }
        }
    }

    /// Whether the account is there, as the row wants it; `None` where it is not there at all.
    async fn look(&mut self, row: &Row, call_id: &str) -> Result<Option<LineResult>, CliError> {
        let object = ObjectRef {
            object_class: ObjectClass::Account.into(),
            by: Some(By::Name(row.name.clone())),
            ..ObjectRef::default()
        };
        let get = Verb::Get(Get {
            object: Some(object.clone()),
            attribute_names: row.attributes.iter().map(|a| a.name.clone()).collect(),
        });
        let args = self.call.with_id(format!("{call_id}-get"));
        let found = match self.caller.execute(get, &args).await {
            Ok(answer) => answer
                .object()
                .ok_or(CliError::BadAnswer("a get without an object"))?,
            Err(CliError::CallFailed {
                kind: FailureKind::NotFound,
                ..
            }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let differs = match difference(row, &found) {
            None => self.password_differs(row, object, call_id).await?,
            Some(differs) => Some(differs),
        };
        let result = LineResult {
            id: Some(found.id),
            ..LineResult::new(row.line, Some(row.name.clone()), LineStatus::Done)
        };
        Ok(Some(match differs {
            None => LineResult {
                message: Some("found as the file wants it: an earlier run created it".to_owned()),
                ..result
            },
            Some(differs) => LineResult {
                status: LineStatus::Failed,
                kind: Some(failure_word(FailureKind::AlreadyExists).to_owned()),
                message: Some(format!(
                    "the account is there, but {differs}: it was there before, or was left half-made; compare it with the file, then change or delete it"
                )),
                ..result
            },
        }))
    }

    /// Tries the password, where there is one that could log in.
    async fn password_differs(
        &mut self,
        row: &Row,
        object: ObjectRef,
        call_id: &str,
    ) -> Result<Option<String>, CliError> {
        let Some(password) = row.secret().filter(|_| row.enabled != Some(false)) else {
            return Ok(None);
        };
        let verb = Verb::Authenticate(Authenticate {
            object: Some(object),
            password: Some(password),
            tells_unknown: false,
        });
        let args = self.call.with_id(format!("{call_id}-authenticate"));
        match self.caller.execute(verb, &args).await {
            Ok(_) => Ok(None),
            Err(CliError::CallFailed { kind, .. }) => Ok(match kind {
                FailureKind::BadCredentials => Some("its password is another".to_owned()),
                // Only after the right password.
                FailureKind::PasswordExpired => None,
                FailureKind::Unsupported | FailureKind::Refused => {
                    Some("whether it has the password of the file cannot be tried here".to_owned())
                }
                _ => Some("its password could not be tried".to_owned()),
            }),
            Err(error) => Err(error),
        }
    }
}

fn unsuccessful(row: &Row, call_id: Option<String>, status: LineStatus, error: CliError) -> Worked {
    let result = LineResult {
        call_id,
        kind: Some(error.kind().to_owned()),
        message: Some(error.to_string()),
        ..LineResult::new(row.line, Some(row.name.clone()), status)
    };
    let fatal = match error {
        CliError::CallFailed { .. }
        | CliError::Indeterminate {
            server_lost: false, ..
        } => None,
        // The server's connection, or what it says of the resource as such, is the same for every
        // row.
        error => Some(error),
    };
    Worked { result, fatal }
}

fn already_exists(created: &Result<Answer, CliError>) -> bool {
    matches!(
        created,
        Err(CliError::CallFailed {
            kind: FailureKind::AlreadyExists,
            ..
        })
    )
}

/// The first thing in which the account is not as the row wants it. Secrets cannot be compared.
fn difference(row: &Row, found: &Object) -> Option<String> {
    if row.enabled.is_some() && found.enabled.is_some() && row.enabled != found.enabled {
        return Some(
            "it is enabled where the file says disabled, or the other way round".to_owned(),
        );
    }
    row.attributes
        .iter()
        .find(|wanted| !same(wanted, found))
        .map(|wanted| format!("its `{}` is another", wanted.name))
}

fn same(wanted: &Attribute, found: &Object) -> bool {
    let secret = |value: &Value| matches!(value.kind, Some(Kind::Secret(_)));
    if wanted.values.iter().any(secret) {
        return true;
    }
    let there: &[Value] = found
        .attributes
        .iter()
        .find(|attribute| attribute.name == wanted.name)
        .map_or(&[], |attribute| &attribute.values);
    // The order of values means nothing.
    wanted.values.len() == there.len() && wanted.values.iter().all(|value| there.contains(value))
}
