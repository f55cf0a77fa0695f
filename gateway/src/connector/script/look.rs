//! What became of a change whose end nobody saw: a script `look` can say, where there is one.

use super::Script;
use super::folder::Task;
use super::protocol::Question;
use crate::connector::{Context, look};
use crate::model::{CallError, Evidence, Failure, Look, ObjectClass, Request, Verb};

impl Script {
    /// Without a script `look`, what `get` shows is held against what was asked for.
    pub(super) async fn look_at(
        &self,
        cx: &Context,
        change: &Request,
        before: &Evidence,
    ) -> Result<Look, CallError> {
        if !self.folder.seen().has(&Task::Look) {
            return look::look(self, cx, change, before).await;
        }
        let question = question(cx, change)?.looks(change.verb(), before);
        let ended = self.ask(cx, &Task::Look, question).await?;
        let class = match change {
            Request::Create(create) => create.class,
            other => other
                .object()
                .map_or(ObjectClass::Account, |object| object.class),
        };
        let look = ended.answer.and_then(|answer| answer.look(class));
        // To look changes nothing.
        look.map_err(|error| self.senseless(cx, Verb::Get, &error, &ended.said))
    }
}

/// What the script of the change was asked.
fn question(cx: &Context, change: &Request) -> Result<Question, Failure> {
    let question = Question::new(cx, change.verb())?;
    match change {
        Request::Create(create) => question.create(create.clone()),
        Request::Update(update) => question.update(update),
        Request::SetPassword(object, password) => {
            question.object(object).password(password.clone())
        }
        Request::Rename(object, new_name) => Ok(question.object(object).new_name(new_name)),
        Request::Run(run) => question.run(run.action.as_str(), &run.arguments),
        other => Ok(match other.object() {
            Some(object) => question.object(object),
            None => question,
        }),
    }
}
