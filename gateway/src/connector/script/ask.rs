//! Puts a question to a script, and sorts out how it ended.

use std::process::ExitStatus;

use tokio::time::Instant;
use zeroize::Zeroizing;

use super::Script;
use super::folder::{Start, Task, base_environment};
use super::protocol::{Answer, Nonsense, Question};
use super::said::{Said, redact};
use crate::connector::Context;
use crate::connector::process::{self, Heard, Program, RunError, how_it_ended};
use crate::model::{CallError, Failure, Object, ObjectClass, ObjectRef, Password, Verb};

/// A script that ended by itself.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) exit_code: Option<i32>,
    pub(super) answer: Result<Answer, Nonsense>,
    pub(super) said: Said,
    how: String,
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
            Task::Look => false,
        };
        let start = self
            .folder
            .start(task)
            .ok_or_else(|| Failure::unsupported("the connector has no script for this"))?
            .map_err(|unfit| {
                tracing::warn!(call = %cx.call, connector = self.name, ?task, "{unfit}");
                unfit.failure()
            })?;
        let (input, secrets) = question.into_bytes();
        let input = Zeroizing::new(input);
        let mut heard = Heard::default();
        let ran = self.run_script(cx, &start, &input, &mut heard).await;
        let said = Said::new(&heard, &secrets);
        if !said.errors.is_empty() {
            let errors = &said.errors;
            tracing::warn!(call = %cx.call, connector = self.name, ?task, errors, "a script wrote to standard error");
        }
        let status = match ran {
            Ok(status) => status,
            Err(error) => {
                self.log_output(cx, task, &said);
                return Err(self.not_ended(&error, &start, changes, &said));
            }
        };
        let ended = Ended {
            exit_code: status.code(),
            answer: Answer::parse(&heard.output),
            how: format!("the script {}", how_it_ended(status)),
            said,
        };
        self.judge(cx, task, ended, changes, &secrets)
    }

    /// What was no answer, or came with an exit code that makes none of it.
    fn log_output(&self, cx: &Context, task: &Task, said: &Said) {
        if !said.output.is_empty() {
            let output = &said.output;
            tracing::warn!(call = %cx.call, connector = self.name, ?task, output, "what a script wrote to standard output is no answer");
        }
    }

    async fn run_script(
        &self,
        cx: &Context,
        start: &Start,
        input: &[u8],
        heard: &mut Heard,
    ) -> Result<ExitStatus, RunError> {
        let mut environment = base_environment();
        let traceparent = cx.trace.traceparent();
        if !traceparent.is_empty() {
            environment.push(("TRACEPARENT", traceparent.into()));
        }
        let own = self.environment.iter();
        environment.extend(own.map(|(key, value)| (key.as_str(), value.clone())));
        let seen = self.folder.seen();
        let program = Program {
            path: &start.program,
            arguments: &start.arguments,
            environment: &environment,
            folder: seen.path(),
            input,
            deadline: cx.deadline.min(Instant::now() + self.timeout),
            max_output: self.max_output,
            may_stray: true,
            user: self.user.as_ref(),
        };
        process::run_heard(&program, heard).await
    }

    /// What became of a call whose script did not end by itself.
    fn not_ended(&self, error: &RunError, start: &Start, changes: bool, said: &Said) -> CallError {
        if let RunError::NotStarted(_) = error {
            let cause = self.folder.why_not_started(start, &self.search_path());
            let message = match cause {
                Some(cause) => format!("the script cannot be started: {cause}"),
                None => format!("the script {} {error}", start.script.display()),
            };
            return Failure::unavailable(message).into();
        }
        let message = format!("the script {error}{}", said.quoted());
        if changes {
            return CallError::Indeterminate(format!(
                "{message}. Look at the object before you try again"
            ));
        }
        Failure::unavailable(message).into()
    }

    fn judge(
        &self,
        cx: &Context,
        task: &Task,
        ended: Ended,
        changes: bool,
        secrets: &[Password],
    ) -> Result<Ended, CallError> {
        if let Ok(answer) = &ended.answer {
            if let Some(failure) = answer.error(|text| redact(text, secrets)) {
                return Err(match answer.changed() {
                    Some(true) => CallError::Indeterminate(failure.message),
                    _ => failure.into(),
                });
            }
            let is_action = matches!(task, Task::Action(_));
            if ended.exit_code == Some(0) || (is_action && ended.exit_code.is_some()) {
                return Ok(ended);
            }
        }
        self.log_output(cx, task, &ended.said);
        let how = &ended.how;
        let quoted = match &ended.answer {
            Ok(_) => ended.said.quoted_errors(),
            Err(_) => ended.said.quoted(),
        };
        let unchanged = matches!(&ended.answer, Ok(answer) if answer.changed() == Some(false));
        let failed = ended.exit_code != Some(0);
        Err(match (&ended.answer, changes) {
            (Ok(_), true) if unchanged => Failure::rejected(format!("{how}{quoted}")).into(),
            (Ok(_), true) => CallError::Indeterminate(format!(
                "{how} and did not say whether anything has changed{quoted}. Look at the object before you try again"
            )),
            (Err(error), true) => CallError::Indeterminate(format!(
                "{how}, and its answer makes no sense: {error}{quoted}. Look at the object before you try again"
            )),
            (_, false) if failed => Failure::unavailable(format!("{how}{quoted}")).into(),
            (Err(error), false) => Failure::internal(format!(
                "the script's answer makes no sense: {error}{quoted}"
            ))
            .into(),
            (Ok(_), false) => Failure::internal(how.clone()).into(),
        })
    }

    /// What became of a call whose script ended well but whose answer lacks what it should hold.
    pub(super) fn senseless(
        &self,
        cx: &Context,
        verb: Verb,
        error: &Nonsense,
        said: &Said,
    ) -> CallError {
        let task = Task::Verb(verb);
        self.log_output(cx, &task, said);
        let message = format!(
            "the script's answer makes no sense: {error}{}",
            said.quoted()
        );
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
            .map_err(|error| self.senseless(cx, verb, &error, &ended.said))
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
                .map_err(|error| self.senseless(cx, verb, &error, &ended.said)),
        }
    }
}
