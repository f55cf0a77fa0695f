//! `portcullis sync`: what has changed on a resource, each change once or more, from a token on
//! that is kept in a file of the caller's.
//!
//! The token is written once the changes before it have been, and flushed: after a crash the same
//! changes may come again, and none is lost. Where standard output is a file, the disk has it
//! first.

mod token_file;

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use portcullis_host::backoff::Backoff;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::search_item::Kind;
use portcullis_proto::gateway::v1::{FailureKind, Gone, Object, SearchEnd, Sync};
use serde_json::json;

use crate::call::{Caller, SearchCallArgs};
use crate::class::Class;
use crate::context::Context;
use crate::error::CliError;
use crate::view::{View, printable};
use token_file::TokenFile;

/// Waits after a failure that may pass.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

const HELP: &str = "\
The first sync begins where the resource now is, and mostly shows nothing: read all objects after it, such as with
`portcullis account list`. From then on each change comes once or more, deletions too.
With --output json each change is a line: {\"change\":\"present\",\"object\":{…}} or
{\"change\":\"gone\",\"class\":…,\"id\":…,\"name\":…}; the name is null where the resource does not tell it.
The token is written to its file once the changes before it are on standard output. With --follow, Ctrl-C ends
with 0. A token that the resource no longer knows ends with `forgotten`: read all objects, and give --restart.";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct SyncArgs {
    /// The resource
    resource: String,
    /// The class: account, group, or another one of `portcullis resource schema`
    #[arg(long, value_name = "CLASS", default_value = "account")]
    class: String,
    /// Where the token is kept from one sync to the next; made where there is none
    #[arg(long, value_name = "FILE", required_unless_present = "follow")]
    token_file: Option<PathBuf>,
    /// Go on: ask again and again, until Ctrl-C. What may pass is waited for
    #[arg(long)]
    follow: bool,
    /// With --follow: how long after a sync the next one comes
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// Begin anew, whatever the token file holds
    #[arg(long)]
    restart: bool,
    /// How many changes are asked for at a time; all of them are shown in the end
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    page_size: u32,
    #[command(flatten)]
    call: SearchCallArgs,
}

impl SyncArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let class = Class::named(&self.class);
        let mut file = self
            .token_file
            .as_ref()
            .map(|path| TokenFile::new(path, &self.resource, class.word()));
        let token = match &mut file {
            Some(file) if !self.restart => file.read()?,
            _ => Vec::new(),
        };
        let follow = self.follow;
        let syncing = Syncing {
            context,
            file,
            class,
            token,
            call_id: String::new(),
            caller: None,
            args: self,
        };
        if !follow {
            return syncing.once().await;
        }
        let interrupts = context.pending().interrupts();
        let mut interrupts = interrupts.map_err(CliError::Runtime)?;
        tokio::select! {
            followed = syncing.follow() => followed,
            () = interrupts.next() => Ok(()),
        }
    }
}

struct Syncing<'a> {
    context: &'a Context,
    args: SyncArgs,
    class: Class,
    file: Option<TokenFile>,
    token: Vec<u8>,
    /// Of the last call.
    call_id: String,
    /// None before the first sync, and once the server was lost.
    caller: Option<Caller>,
}

impl Syncing<'_> {
    async fn once(mut self) -> Result<(), CliError> {
        while self.page().await? {}
        Ok(())
    }

    async fn follow(mut self) -> Result<(), CliError> {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            let wait = match self.page().await {
                Ok(more) => {
                    backoff.reset();
                    if more {
                        continue;
                    }
                    self.args.interval
                }
                Err(error) if passes(&error) => {
                    self.caller = None;
                    let wait = backoff.next_wait();
                    let shown = humantime::format_duration(Duration::from_secs(wait.as_secs()));
                    self.context.note(&format!("again in {shown}: {error}"));
                    wait
                }
                Err(error) => return Err(error),
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// One call: shows its changes, then keeps its token. Whether there are more changes already.
    async fn page(&mut self) -> Result<bool, CliError> {
        let first = self.token.is_empty();
        let mut shown = 0_u64;
        let end = self.changes(&mut shown).await?;
        if let Some(failure) = end.failure {
            return Err(self.failed(failure));
        }
        if end.next_token.is_empty() {
            return Err(CliError::BadAnswer("a sync without a token"));
        }
        if end.more && end.next_token == self.token {
            return Err(CliError::BadAnswer("the next sync is the same sync"));
        }
        io::stdout().flush().map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => CliError::Unread,
            _ => CliError::Output(error),
        })?;
        durable(&io::stdout()).map_err(CliError::Output)?;
        if let Some(file) = &self.file
            && (end.next_token != self.token || self.args.restart)
        {
            file.write(&end.next_token)?;
        }
        self.args.restart = false;
        self.token = end.next_token;
        if first && shown == 0 {
            self.context.note(&format!(
                "the first sync of {}: changes are shown from now on",
                self.args.resource
            ));
        }
        Ok(end.more)
    }

    async fn changes(&mut self, shown: &mut u64) -> Result<SearchEnd, CliError> {
        let verb = Verb::Sync(Sync {
            object_class: self.class.class.into(),
            class_name: self.class.name.clone(),
            token: self.token.clone(),
            page_size: self.args.page_size,
        });
        // Each page is a call of its own; the caller's id is that of the first.
        let call = self.args.call.take_identified();
        call.id().clone_into(&mut self.call_id);
        let caller = match &mut self.caller {
            Some(caller) => caller,
            none => {
                let caller = Caller::new(self.context, self.args.resource.clone()).await?;
                none.insert(caller)
            }
        };
        let mut items = caller.sync(verb, &call).await?;
        loop {
            let item = items.message().await?;
            let item = item.ok_or(CliError::BadAnswer("the sync breaks off"))?;
            let line = match item.kind {
                Some(Kind::Object(object)) => present(self.context, &object),
                Some(Kind::Gone(gone)) => gone_line(self.context, &gone),
                Some(Kind::End(end)) => return Ok(end),
                Some(Kind::Listing(_)) | None => {
                    return Err(CliError::BadAnswer("an item of a sync that is no change"));
                }
            };
            *shown += 1;
            self.context.write(&line)?;
        }
    }

    fn failed(&self, failure: portcullis_proto::gateway::v1::Failure) -> CliError {
        let forgotten = failure.kind() == FailureKind::Forgotten;
        let error = CliError::failed(self.call_id.clone(), failure);
        if !forgotten {
            return error;
        }
        CliError::TokenForgotten {
            resource: self.args.resource.clone(),
            class: self.class.word().to_owned(),
            source: Box::new(error),
        }
    }
}

/// Waits until the disk has what was written, where standard output is a file.
fn durable(output: &impl AsFd) -> io::Result<()> {
    let file = File::from(output.as_fd().try_clone_to_owned()?);
    match file.metadata()?.is_file() {
        true => file.sync_data(),
        false => Ok(()),
    }
}

/// Whether the same may work a little later.
fn passes(error: &CliError) -> bool {
    match error {
        CliError::CallFailed { kind, .. } => {
            matches!(kind, FailureKind::Unavailable | FailureKind::Busy)
        }
        CliError::Lost { .. } | CliError::NoServer { .. } => true,
        CliError::BadAnswer(what) => *what == "the sync breaks off",
        _ => false,
    }
}

fn present(context: &Context, object: &Object) -> String {
    if context.json() {
        return format!(
            "{}\n",
            json!({ "change": "present", "object": object.json() })
        );
    }
    let class = Class::new(object.object_class(), &object.class_name);
    line("changed", &class, &object.name, &object.id)
}

fn gone_line(context: &Context, gone: &Gone) -> String {
    let class = Class::new(gone.object_class(), &gone.class_name);
    if context.json() {
        let name = (!gone.name.is_empty()).then_some(&gone.name);
        let gone = json!({ "change": "gone", "class": class.word(), "id": gone.id, "name": name });
        return format!("{gone}\n");
    }
    line("gone", &class, &gone.name, &gone.id)
}

fn line(what: &str, class: &Class, name: &str, id: &str) -> String {
    let named = match name {
        "" => format!("with id {}", printable(id)),
        name => format!("{} (id {})", printable(name), printable(id)),
    };
    format!("{what:<7} {} {named}\n", printable(class.word()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_flushed_to_a_disk_where_it_is_on_one() {
        durable(&tempfile::tempfile().unwrap()).unwrap();
        let (_reader, writer) = io::pipe().unwrap();
        durable(&writer).unwrap();
    }
}
