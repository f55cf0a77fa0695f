//! `portcullis login|logout|session …`: who one is to the server, and who is logged in.

use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use portcullis_proto::admin::v1::login_client::LoginClient;
use portcullis_proto::admin::v1::{
    EndSessionRequest, ListSessionsRequest, LogInRequest, LogOutRequest, Session,
};
use portcullis_proto::gateway::v1::Secret;
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::CliError;
use crate::input::prompt::PasswordSource;
use crate::login_setup::SetupCommand;
use crate::time::{age, rfc3339, rough, time_and_age};
use crate::view::{Listed, View, facts};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Example:\n  portcullis login --user ada")]
pub(crate) struct LoginArgs {
    #[command(subcommand)]
    setup: Option<SetupCommand>,
    /// The user; otherwise one of the name that you have on this host
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// What to log in to; otherwise to the API
    #[arg(long, value_name = "NAME", default_value = "")]
    application: String,
    #[command(flatten)]
    password: PasswordSource,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// List who is logged in: all, or without a capability to look one's own
    List {
        /// Of this user alone
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// End a session: whoever presents it is told to log in again
    End {
        /// The session, as `session list` has it
        id: String,
    },
}

impl LoginArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        if let Some(setup) = self.setup {
            return setup.run(context).await;
        }
        // Connected before any prompt: nobody types a password for a server that is not there.
        let mut client = context.anonymous(LoginClient::new).await?;
        let own = || std::env::var("USER").ok().filter(|name| !name.is_empty());
        let user = self.user.or_else(own);
        let user = user.ok_or_else(|| CliError::usage("say who you are: give --user NAME"))?;
        let request = LogInRequest {
            user,
            password: Some(self.password.known_password()?),
            application: self.application,
        };
        let answer = client.log_in(request).await?.into_inner();
        let secret = answer.session.unwrap_or_default();
        let path = context.session().write(context.server(), &secret.value)?;
        let idle = Duration::from_millis(answer.idle_ms);
        let may = match answer.capabilities.as_slice() {
            [] => "may do nothing yet (`portcullis user grant`)".to_owned(),
            held => format!("may act as {}", held.join(", ")),
        };
        let sentence = format!(
            "logged in as {}, who {may}; the session {} ends after {} without a command, and is kept in {}",
            answer.user,
            answer.session_id,
            rough(idle),
            path.display()
        );
        let json = json!({
            "user": answer.user,
            "session": answer.session_id,
            "capabilities": answer.capabilities,
            "idle_ms": answer.idle_ms,
            "absolute_ms": answer.absolute_ms,
            "file": path.display().to_string(),
        });
        context.say(&sentence, &json)
    }
}

/// Ends one's session at the server, and forgets it here in any case.
pub(crate) async fn logout(context: &Context) -> Result<(), CliError> {
    let Some(secret) = context.session().read(context.server())? else {
        return Err(CliError::usage(
            "there is no session at this server: `portcullis login` begins one",
        ));
    };
    let mut client = context.anonymous(LoginClient::new).await?;
    let session = Some(Secret::plain(secret.as_bytes().to_vec()));
    let ended = client.log_out(LogOutRequest { session }).await;
    context.session().remove()?;
    let id = ended?.into_inner().session_id;
    let sentence = format!("logged out: the session {id} has ended");
    context.say(&sentence, &json!({ "ended": id }))
}

impl SessionCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut client = context.client(LoginClient::new).await?;
        match self {
            Self::List { user } => {
                let user = user.unwrap_or_default();
                context.print(&list(client, user).await?)
            }
            Self::End { id } => {
                let request = EndSessionRequest { id: id.clone() };
                client.end_session(request).await?;
                let sentence = format!("the session {id} has ended");
                context.say(&sentence, &json!({ "ended": id }))
            }
        }
    }
}

async fn list(mut client: LoginClient, user: String) -> Result<Vec<Session>, CliError> {
    let mut sessions = Vec::new();
    let mut request = ListSessionsRequest {
        user,
        ..ListSessionsRequest::default()
    };
    loop {
        let page = client.list_sessions(request.clone()).await?.into_inner();
        sessions.extend(page.sessions);
        match sessions.last() {
            Some(last) if page.more => request.after.clone_from(&last.id),
            _ => return Ok(sessions),
        }
    }
}

impl Listed for Session {
    const NONE: &'static str = "nobody is logged in";
    const HEADING: &'static [&'static str] =
        &["session", "user", "application", "made", "used", "from"];

    fn row(&self, now: SystemTime) -> Vec<String> {
        vec![
            self.id.clone(),
            self.user.clone(),
            self.application.clone(),
            age(self.made_unix_ms, now).unwrap_or_default(),
            age(self.used_unix_ms, now).unwrap_or_default(),
            self.address.clone(),
        ]
    }
}

impl View for Session {
    fn table(&self, now: SystemTime) -> String {
        facts([
            ("session", Some(self.id.clone())),
            ("user", Some(self.user.clone())),
            ("application", Some(self.application.clone())),
            ("made", time_and_age(self.made_unix_ms, now)),
            ("used", time_and_age(self.used_unix_ms, now)),
            ("ends", rfc3339(self.expires_unix_ms)),
            ("from", Some(self.address.clone())),
            ("by", Some(self.method.clone())),
        ])
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "user": self.user,
            "application": self.application,
            "made": rfc3339(self.made_unix_ms),
            "used": rfc3339(self.used_unix_ms),
            "expires": rfc3339(self.expires_unix_ms),
            "address": self.address,
            "method": self.method,
        })
    }
}
