//! Common resources: where a log-in finds its account, and log-ins through them.

use portcullis_proto::admin::v1 as proto;

use super::context::Context;
use super::error::AdminError;
use super::names;
use super::request::{About, Front, Method, Request, change, own, read};
use crate::access::Target;
use crate::audit::{Draft, Outcome};
use crate::config::Capability::{self, Administrator, Operator};
use crate::provisioning::common::{LogIn, Tried, log_in};
use crate::provisioning::entry::CallEntry;
use crate::repository::CommonResource;

/// Resources of a common resource, at most: each may be asked for one log-in.
const MAX_RESOURCES: usize = 16;

const LOOK: &[Capability] = &Capability::ALL;

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<proto::SetCommonResourceRequest>();
    front.offer::<proto::ListCommonResourcesRequest>();
    front.offer::<proto::ShowCommonResourceRequest>();
    front.offer::<proto::RemoveCommonResourceRequest>();
    front.offer::<proto::AuthenticateRequest>();
}

fn about(name: &str) -> About {
    About::server(format!("common resource {name}"))
}

impl Request for proto::SetCommonResourceRequest {
    type Answer = proto::CommonResource;

    const METHOD: Method = change("CommonResources/Set", &[Administrator]);

    fn about(&self) -> About {
        let of_all = self.directories.iter().flat_map(|ways| &ways.resources);
        about(&self.name).and(of_all.map(|resource| Target::Resource(resource.clone())))
    }

    async fn run(self, context: &Context) -> Result<proto::CommonResource, AdminError> {
        names::name("common resource", &self.name)?;
        let directories: Vec<_> = self
            .directories
            .into_iter()
            .map(|it| it.resources)
            .collect();
        let mut all: Vec<_> = directories.iter().flatten().collect();
        let count = all.len();
        if directories.iter().any(Vec::is_empty) || count == 0 {
            let message =
                "a common resource has at least one resource, and so has each directory in it";
            return Err(AdminError::malformed(message));
        }
        if count > MAX_RESOURCES {
            return Err(AdminError::Malformed(format!(
                "a common resource has at most {MAX_RESOURCES} resources"
            )));
        }
        all.sort_unstable();
        all.dedup();
        if all.len() != count {
            let message = "a resource is given twice: each is asked once for a log-in";
            return Err(AdminError::malformed(message));
        }
        let common = CommonResource {
            name: self.name,
            directories,
        };
        let answer = shown(common.clone());
        context.note.add(words(&common));
        context
            .services
            .repository
            .common_resources()
            .set(common)
            .await?;
        Ok(answer)
    }
}

impl Request for proto::ListCommonResourcesRequest {
    type Answer = proto::ListCommonResourcesResponse;

    const METHOD: Method = read("CommonResources/List", LOOK);

    fn about(&self) -> About {
        About::server("")
    }

    async fn run(
        self,
        context: &Context,
    ) -> Result<proto::ListCommonResourcesResponse, AdminError> {
        let all = context
            .services
            .repository
            .common_resources()
            .list()
            .await?;
        Ok(proto::ListCommonResourcesResponse {
            common_resources: all.into_iter().map(shown).collect(),
        })
    }
}

impl Request for proto::ShowCommonResourceRequest {
    type Answer = proto::CommonResource;

    const METHOD: Method = read("CommonResources/Show", LOOK);

    fn about(&self) -> About {
        about(&self.name)
    }

    async fn run(self, context: &Context) -> Result<proto::CommonResource, AdminError> {
        find(context, &self.name).await.map(shown)
    }
}

impl Request for proto::RemoveCommonResourceRequest {
    type Answer = proto::RemoveCommonResourceResponse;

    const METHOD: Method = change("CommonResources/Remove", &[Administrator]);

    fn about(&self) -> About {
        about(&self.name)
    }

    async fn run(
        self,
        context: &Context,
    ) -> Result<proto::RemoveCommonResourceResponse, AdminError> {
        let nothing = CommonResource {
            name: self.name.clone(),
            directories: Vec::new(),
        };
        let commons = context.services.repository.common_resources();
        if !commons.set(nothing).await? {
            return Err(unknown(&self.name));
        }
        Ok(proto::RemoveCommonResourceResponse {})
    }
}

impl Request for proto::AuthenticateRequest {
    type Answer = proto::AuthenticateResponse;

    const METHOD: Method = own("CommonResources/Authenticate", &[Operator]);

    fn about(&self) -> About {
        about(&self.name)
    }

    async fn run(self, context: &Context) -> Result<proto::AuthenticateResponse, AdminError> {
        if self.with_detail {
            let what = "what each resource said";
            context.needs(Administrator, Self::METHOD, what).await?;
        }
        let with_detail = self.with_detail;
        let object = format!("account {}, through {}", self.account, self.name);
        let (common, asked) = match checked(context, self).await {
            Ok(checked) => checked,
            Err(error) => return Err(not_begun(context, &object, error).await),
        };
        let (services, subject) = (&context.services, &context.caller.subject);
        let found = log_in(&services.provisioning, subject, &common, asked).await?;
        let told = |tried: &Tried| proto::TriedResource {
            resource: tried.resource.clone(),
            detail: tried.words(),
        };
        let tried = found.tried.iter().filter(|_| with_detail);
        Ok(proto::AuthenticateResponse {
            tried: tried.map(told).collect(),
            outcome: Some(found.outcome),
        })
    }
}

/// Who wants to log in, and where.
async fn checked(
    context: &Context,
    request: proto::AuthenticateRequest,
) -> Result<(CommonResource, LogIn), AdminError> {
    let password = request.password.unwrap_or_default();
    if password.value.is_empty() {
        let message =
            "an empty password is never tried: a directory may take it for a log-in without any";
        return Err(AdminError::malformed(message));
    }
    if request.account.is_empty() {
        return Err(AdminError::malformed("the name of the account is missing"));
    }
    let common = find(context, &request.name).await?;
    let asked = LogIn {
        account: request.account,
        password,
        call_id: request.call_id,
        timeout_ms: request.timeout_ms,
        traceparent: context.trace.traceparent(),
    };
    Ok((common, asked))
}

/// Writes that a log-in was tried nowhere, and why.
async fn not_begun(context: &Context, object: &str, error: AdminError) -> AdminError {
    let draft = || {
        let subject = context.caller.subject.clone();
        Draft::new(subject, "call authenticate", object, Outcome::Unknown)
    };
    match CallEntry::ready(&context.services.audit, draft).await {
        Ok(entry) => {
            entry.end(Outcome::Failed, &error.to_string()).await;
            error
        }
        Err(unwritten) => unwritten.into(),
    }
}

async fn find(context: &Context, name: &str) -> Result<CommonResource, AdminError> {
    let commons = context.services.repository.common_resources();
    commons.find(name).await?.ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> AdminError {
    AdminError::NotFound(format!(
        "there is no common resource `{name}`: `portcullis common-resource list` shows those there are"
    ))
}

fn shown(common: CommonResource) -> proto::CommonResource {
    let directories = common.directories.into_iter();
    proto::CommonResource {
        name: common.name,
        directories: directories
            .map(|resources| proto::CommonDirectory { resources })
            .collect(),
    }
}

/// Its order in words.
fn words(common: &CommonResource) -> String {
    let directories = common.directories.iter().map(|ways| ways.join("+"));
    directories.collect::<Vec<_>>().join(", then ")
}
