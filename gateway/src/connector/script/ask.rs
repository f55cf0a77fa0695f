//! Puts a question to a script, and sorts out how it ended.

use tokio::time::Instant;
use zeroize::Zeroizing;

use super::Script;
use super::folder::{Task, base_environment};
use super::protocol::{Answer, Nonsense, Question, redact};
use crate::connector::Context;
use crate::connector::process::{self, Finished, Program, RunError};
use crate::model::{
    CallError, Failure, FailureKind, Object, ObjectClass, ObjectRef, Password, Verb,
};

/// A script that ended by itself.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) exit_code: Option<i32>,
    pub(super) answer: Result<Answer, Nonsense>,
}

impl Script {
    /// Runs a script and sorts out how it ended. What comes back is an answer without an error.
    pub(super) async fn ask(
        &self,
        cx: &Context,
        task: &Task,
        question: Question,
    ) -> Result<Ended, CallError> {
        let changes = match task {
            Task::Verb(verb) => verb.changes(),
            Task::Action(_) => true,
        };
        let (input, secrets) = question.into_bytes();
        let input = Zeroizing::new(input);
        let finished = self.run_script(cx, task, &input, changes).await?;
        if !finished.errors.is_empty() {
            let errors = redact(finished.errors, &secrets);
            tracing::warn!(call = %cx.call, connector = self.name, ?task, errors, "a script wrote to standard error");
        }
        let answer = Answer::parse(&finished.output);
        let ended = Ended {
            exit_code: finished.status.code(),
            answer,
        };
        self.judge(ended, changes, matches!(task, Task::Action(_)), &secrets)
    }

    async fn run_script(
        &self,
        cx: &Context,
        task: &Task,
        input: &[u8],
        changes: bool,
    ) -> Result<Finished, CallError> {
        let start = self
            .folder
            .start(task)
            .ok_or_else(|| Failure::unsupported("the connector has no script for this"))?
            .map_err(|error| {
                Failure::new(
                    FailureKind::Refused,
                    format!("the script is not run, because it is not safe: {error}"),
                )
            })?;
        let mut environment = base_environment();
        let own = self.environment.iter();
        environment.extend(own.map(|(key, value)| (key.as_str(), value.clone())));
        let program = Program {
            path: &start.program,
            arguments: &start.arguments,
            environment: &environment,
            folder: self.folder.path(),
            input,
            deadline: cx.deadline.min(Instant::now() + self.timeout),
            max_output: self.max_output,
        };
        process::run(&program).await.map_err(|error| {
            let message = format!("the script {error}");
            match error {
                RunError::NotStarted(_) => Failure::unavailable(message).into(),
                _ if changes => CallError::Indeterminate(format!(
                    "{message}; look at the object before you try again"
                )),
                _ => Failure::unavailable(message).into(),
            }
        })
    }

    fn judge(
        &self,
        ended: Ended,
        changes: bool,
        is_action: bool,
        secrets: &[Password],
    ) -> Result<Ended, CallError> {
        if let Ok(answer) = &ended.answer {
            if let Some(mut failure) = answer.error() {
                failure.message = redact(failure.message, secrets);
                return Err(match answer.changed() {
                    Some(true) => CallError::Indeterminate(failure.message),
                    _ => failure.into(),
                });
            }
            if ended.exit_code == Some(0) || (is_action && ended.exit_code.is_some()) {
                return Ok(ended);
            }
        }
        let how = match ended.exit_code {
            Some(code) => format!("the script ended with exit code {code}"),
            None => "the script was ended by a signal".to_owned(),
        };
        let unchanged = matches!(&ended.answer, Ok(answer) if answer.changed() == Some(false));
        let failed = ended.exit_code != Some(0);
        Err(match (&ended.answer, changes) {
            (Ok(_), true) if unchanged => Failure::rejected(how).into(),
            (Ok(_), true) => CallError::Indeterminate(format!(
                "{how} and did not say whether anything has changed: look at the object before you try again; the gateway's log holds what the script wrote"
            )),
            (Err(error), true) => CallError::Indeterminate(format!(
                "{how}, and its answer makes no sense: {error}. Look at the object before you try again"
            )),
            (_, false) if failed => Failure::unavailable(format!(
                "{how}; the gateway's log holds what the script wrote"
            ))
            .into(),
            (Err(error), false) => {
                Failure::internal(format!("the script's answer makes no sense: {error}")).into()
            }
            (Ok(_), false) => Failure::internal(how).into(),
        })
    }

    /// What became of a call whose script ended well but whose answer lacks what it should hold.
    pub(super) fn senseless(&self, verb: Verb, error: &Nonsense) -> CallError {
        let message = format!("the script's answer makes no sense: {error}");
        if verb.changes() {
            return CallError::Indeterminate(format!(
                "{message}. Look at the object before you try again"
            ));
        }
        Failure::internal(message).into()
    }

    pub(super) async fn object(
        &self,
        cx: &Context,
        verb: Verb,
        class: ObjectClass,
        question: Question,
    ) -> Result<Object, CallError> {
        let ended = self.ask(cx, &Task::Verb(verb), question).await?;
        ended
            .answer
            .and_then(|answer| answer.object(class))
            .map_err(|error| self.senseless(verb, &error))
    }

    pub(super) async fn perhaps_object(
        &self,
        cx: &Context,
        verb: Verb,
        object: &ObjectRef,
    ) -> Result<Option<Object>, CallError> {
        let question = Question::new(cx, verb)?.object(object);
        let ended = self.ask(cx, &Task::Verb(verb), question).await?;
        match ended.answer {
            Ok(answer) if !answer.has_object() => Ok(None),
            answer => answer
                .and_then(|answer| answer.object(object.class).map(Some))
                .map_err(|error| self.senseless(verb, &error)),
        }
    }
}
