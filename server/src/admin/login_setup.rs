//! To what users log in, and by which modules.

use portcullis_proto::admin::v1 as proto;

use super::LOOK;
use super::context::Context;
use super::error::AdminError;
use super::names;
use super::request::{About, Front, Method, Request, Withdraws, change, read};
use crate::config::Capability::SecurityAdministrator;
use crate::login::application::{
    SetupError, applications, group_of, new_application, remove_application, remove_group, used_by,
    with_built_in,
};
use crate::repository::{GroupRow, SetupRows};

/// Applications and groups that administrators made, of each at most.
const MAX_MADE: usize = 256;

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<proto::ListApplicationsRequest>();
    front.offer::<proto::SetApplicationRequest>();
    front.offer::<proto::RemoveApplicationRequest>();
    front.offer::<proto::ListLoginGroupsRequest>();
    front.offer::<proto::SetLoginGroupRequest>();
    front.offer::<proto::RemoveLoginGroupRequest>();
}

impl Request for proto::ListApplicationsRequest {
    type Answer = proto::ListApplicationsResponse;

    const METHOD: Method = read("Login/ListApplications", LOOK);

    fn about(&self) -> About {
        About::server("")
    }

    async fn run(self, context: &Context) -> Result<proto::ListApplicationsResponse, AdminError> {
        let repository = &context.services.repository;
        let rows = repository.login_setup().read().await?;
        let sessions = repository.sessions().counts().await?;
        let rows = with_built_in(rows).applications.into_iter();
        let shown = rows.map(|(name, row)| proto::Application {
            sessions: sessions.get(&name).copied().unwrap_or(0),
            name,
            idle_ms: row.idle_ms,
            absolute_ms: row.absolute_ms,
            single_session: row.single_session,
            disabled: row.disabled,
            message: row.message,
            groups: words(&row.groups),
        });
        Ok(proto::ListApplicationsResponse {
            applications: shown.collect(),
        })
    }
}

impl Request for proto::SetApplicationRequest {
    type Answer = proto::Application;

    const METHOD: Method = change("Login/SetApplication", &[SecurityAdministrator]);

    fn about(&self) -> About {
        let change = |what: &str, to: String| format!(", {what} {to}");
        let words = [
            self.idle_ms.map(|ms| change("idle", format!("{ms} ms"))),
            self.absolute_ms
                .map(|ms| change("absolute", format!("{ms} ms"))),
            self.single_session
                .map(|on| change("single session", on.to_string())),
            self.disabled.map(|on| change("disabled", on.to_string())),
            Some(names::listed(", groups", &self.groups)),
            self.end_sessions.then(|| ", its sessions end".to_owned()),
        ];
        let words: Vec<_> = words.into_iter().flatten().collect();
        About::server(format!(
            "log-in application {}{}",
            self.name,
            words.concat()
        ))
    }

    fn withdraws(&self) -> Withdraws {
        Withdraws::Again
    }

    async fn run(self, context: &Context) -> Result<proto::Application, AdminError> {
        names::name("log-in application", &self.name)?;
        let (name, end_sessions) = (self.name.clone(), self.end_sessions);
        changed(context, move |rows| set_application(rows, &self)).await?;
        let repository = &context.services.repository;
        if end_sessions {
            let ended = repository.sessions().end_of_application(&name).await?;
            context.note.add(format!("{ended} sessions ended"));
        }
        tracing::info!(application = name, "changed a log-in application");
        let listed = proto::ListApplicationsRequest {}.run(context).await?;
        let mut listed = listed.applications.into_iter();
        let found = listed.find(|one| one.name == name);
        found.ok_or_else(|| AdminError::no_such("log-in application", &name))
    }
}

fn set_application(
    rows: &mut SetupRows,
    request: &proto::SetApplicationRequest,
) -> Result<(), SetupError> {
    let name = &request.name;
    let there = with_built_in(rows.clone()).applications.remove(name);
    let mut row = match (request.add, there) {
        (true, Some(_)) => return Err(SetupError::ApplicationExists(name.clone())),
        (true, None) => new_application(),
        (false, Some(row)) => row,
        (false, None) => return Err(SetupError::NoApplication(name.clone())),
    };
    row.idle_ms = request.idle_ms.unwrap_or(row.idle_ms);
    row.absolute_ms = request.absolute_ms.unwrap_or(row.absolute_ms);
    row.single_session = request.single_session.unwrap_or(row.single_session);
    row.disabled = request.disabled.unwrap_or(row.disabled);
    if let Some(message) = &request.message {
        row.message.clone_from(message);
    }
    if !request.groups.is_empty() {
        row.groups = request.groups.join(" ");
    }
    rows.applications.insert(name.clone(), row);
    Ok(())
}

impl Request for proto::RemoveApplicationRequest {
    type Answer = proto::RemoveApplicationResponse;

    const METHOD: Method = change("Login/RemoveApplication", &[SecurityAdministrator]);

    fn about(&self) -> About {
        About::server(format!("log-in application {}", self.name))
    }

    fn withdraws(&self) -> Withdraws {
        Withdraws::Again
    }

    async fn run(self, context: &Context) -> Result<proto::RemoveApplicationResponse, AdminError> {
        let name = self.name.clone();
        changed(context, move |rows| remove_application(rows, &name)).await?;
        let sessions = context.services.repository.sessions();
        let ended = sessions.end_of_application(&self.name).await?;
        context.note.add(format!("{ended} sessions ended"));
        Ok(proto::RemoveApplicationResponse {})
    }
}

impl Request for proto::ListLoginGroupsRequest {
    type Answer = proto::ListLoginGroupsResponse;

    const METHOD: Method = read("Login/ListGroups", LOOK);

    fn about(&self) -> About {
        About::server("")
    }

    async fn run(self, context: &Context) -> Result<proto::ListLoginGroupsResponse, AdminError> {
        let rows = context.services.repository.login_setup().read().await?;
        let rows = with_built_in(rows);
        let groups = rows.groups.iter();
        let shown = groups.map(|(name, row)| proto::LoginGroup {
            name: name.clone(),
            rule: row.rule.clone(),
            modules: words(&row.modules),
            used_by: used_by(&rows, name),
        });
        Ok(proto::ListLoginGroupsResponse {
            groups: shown.collect(),
        })
    }
}

impl Request for proto::SetLoginGroupRequest {
    type Answer = proto::LoginGroup;

    const METHOD: Method = change("Login/SetGroup", &[SecurityAdministrator]);

    fn about(&self) -> About {
        let rule = self.rule.as_ref();
        let rule = rule.map_or_else(String::new, |rule| format!(", rule `{rule}`"));
        let modules = names::listed(", modules", &self.modules);
        About::server(format!("log-in group {}{rule}{modules}", self.name))
    }

    async fn run(self, context: &Context) -> Result<proto::LoginGroup, AdminError> {
        names::name("log-in group", &self.name)?;
        let name = self.name.clone();
        changed(context, move |rows| set_group(rows, &self)).await?;
        tracing::info!(group = name, "changed a log-in group");
        let listed = proto::ListLoginGroupsRequest {}.run(context).await?;
        let found = listed.groups.into_iter().find(|one| one.name == name);
        found.ok_or_else(|| AdminError::no_such("log-in group", &name))
    }
}

fn set_group(
    rows: &mut SetupRows,
    request: &proto::SetLoginGroupRequest,
) -> Result<(), SetupError> {
    let there = with_built_in(rows.clone()).groups.remove(&request.name);
    let mut row = there.unwrap_or_else(|| GroupRow {
        rule: String::new(),
        modules: String::new(),
    });
    if let Some(rule) = &request.rule {
        let words: Vec<_> = rule.split_ascii_whitespace().collect();
        row.rule = words.join(" ");
    }
    if !request.modules.is_empty() {
        row.modules = request.modules.join(" ");
    }
    group_of(&request.name, &row)?;
    rows.groups.insert(request.name.clone(), row);
    Ok(())
}

impl Request for proto::RemoveLoginGroupRequest {
    type Answer = proto::RemoveLoginGroupResponse;

    const METHOD: Method = change("Login/RemoveGroup", &[SecurityAdministrator]);

    fn about(&self) -> About {
        About::server(format!("log-in group {}", self.name))
    }

    async fn run(self, context: &Context) -> Result<proto::RemoveLoginGroupResponse, AdminError> {
        changed(context, move |rows| remove_group(rows, &self.name)).await?;
        Ok(proto::RemoveLoginGroupResponse {})
    }
}

/// Changes the setup, provided that it fits together afterwards.
async fn changed(
    context: &Context,
    work: impl Fn(&mut SetupRows) -> Result<(), SetupError> + Send + 'static,
) -> Result<(), AdminError> {
    let setup = context.services.repository.login_setup();
    let done = setup.change(move |rows| {
        work(rows)?;
        if rows.applications.len() > MAX_MADE || rows.groups.len() > MAX_MADE {
            return Err(SetupError::TooMany);
        }
        applications(rows).map(drop)
    });
    Ok(done.await??)
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

impl From<SetupError> for AdminError {
    fn from(error: SetupError) -> Self {
        let message = error.to_string();
        match error {
            SetupError::NoApplication(_) | SetupError::NoGroup(_) => Self::NotFound(message),
            SetupError::ApplicationExists(_) => Self::Conflict(message),
            SetupError::BuiltIn(_)
            | SetupError::NeverDisabled(_)
            | SetupError::GroupInUse { .. }
            | SetupError::Order { .. }
            | SetupError::TooMany => Self::Precondition(message),
            SetupError::Module(_)
            | SetupError::Number(_)
            | SetupError::Message
            | SetupError::Limits
            | SetupError::Rule(_) => Self::Malformed(message),
        }
    }
}
