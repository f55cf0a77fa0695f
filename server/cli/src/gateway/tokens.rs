//! `portcullis gateway token`: for one gateway, or for many, a file each.

use std::collections::HashSet;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_proto::admin::v1::gateways_client::GatewaysClient;
use portcullis_proto::admin::v1::{ListGatewaysRequest, NewTokenRequest};
use serde_json::json;
use tonic::Code;
use zeroize::Zeroizing;

use super::at_once;
use super::token::{NewFile, TokenOutput};
use crate::context::Context;
use crate::error::CliError;
use crate::view::printable;

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// The gateway's name; with --out, any number of names
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Those in this group; repeat for several
    #[arg(long = "group", value_name = "G", requires = "out")]
    groups: Vec<String>,
    /// Those that `gateway list --ahead` shows, which are evicted by that
    #[arg(long, requires = "out")]
    ahead: bool,
    /// Write each token to a file of its own in this folder, NAME.token, readable by you alone
    #[arg(long, value_name = "DIR", conflicts_with = "token_file")]
    out: Option<PathBuf>,
    /// Also where a gateway holds a key, which is forgotten then: as `gateway evict` before
    #[arg(long)]
    evict: bool,
    /// Also let it pair in default mode, once, after `portcullis-gateway pair` on its host
    #[arg(long)]
    allow_pairing: bool,
    #[command(flatten)]
    output: TokenOutput,
}

impl TokenArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        if self.names.is_empty() && self.groups.is_empty() && !self.ahead {
            return Err(CliError::usage(
                "name a gateway; or with --out DIR several, those of a --group, or those that are --ahead",
            ));
        }
        let mut gateways = context.client(GatewaysClient::new).await?;
        let (evict, allow_pairing) = (self.evict || self.ahead, self.allow_pairing);
        let request = |name: String| NewTokenRequest {
            name,
            allow_pairing,
            evict,
        };
        match (self.out, self.names.as_slice()) {
            (None, [name]) => {
                let sink = self.output.open()?;
                let made = gateways.new_token(request(name.clone())).await?;
                let made = made.into_inner();
                sink.hand_over(context, made.gateway, made.token)
            }
            (None, _) => Err(CliError::usage(
                "for several gateways name a folder: --out DIR",
            )),
            (Some(folder), _) => {
                let mut names = self.names;
                names.extend(chosen(&mut gateways, self.groups, self.ahead).await?);
                let mut once = HashSet::new();
                names.retain(|name| once.insert(name.clone()));
                let tokens = Tokens::new(folder)?;
                tokens.make(context, &gateways, names, request).await
            }
        }
    }
}

/// The names of those in the groups, or ahead, or both.
async fn chosen(
    gateways: &mut GatewaysClient,
    groups: Vec<String>,
    ahead: bool,
) -> Result<Vec<String>, CliError> {
    if groups.is_empty() && !ahead {
        return Ok(Vec::new());
    }
    let request = ListGatewaysRequest {
        groups: groups.clone(),
        ..ListGatewaysRequest::default()
    };
    let listed = gateways.list(request).await?.into_inner().gateways;
    let none_in = |group: &&String| listed.iter().all(|it| !it.groups.contains(group));
    if let Some(group) = groups.iter().find(none_in) {
        return Err(CliError::Refused {
            code: Code::NotFound,
            message: format!(
                "no gateway is in group `{group}`: `portcullis gateway list` shows who is in which"
            ),
        });
    }
    let wanted = listed.into_iter().filter(|it| it.ahead || !ahead);
    Ok(wanted.map(|gateway| gateway.name).collect())
}

/// A folder of tokens.
struct Tokens {
    folder: PathBuf,
}

impl Tokens {
    fn new(folder: PathBuf) -> Result<Self, CliError> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder);
        made.map_err(CliError::file("create the folder", &folder))?;
        Ok(Self { folder })
    }

    /// One for each, as far as it can be had; fails in the end where one could not.
    async fn make(
        self,
        context: &Context,
        gateways: &GatewaysClient,
        names: Vec<String>,
        request: impl Fn(String) -> NewTokenRequest,
    ) -> Result<(), CliError> {
        let total = names.len();
        let (mut made, mut refused) = (Vec::new(), Vec::new());
        for (name, path, came) in self.ask(context, gateways, names, request).await? {
            match came {
                Ok(()) => made.push((name, path)),
                Err(why) => refused.push((name, why)),
            }
        }
        let files = made
            .iter()
            .map(|(name, path)| json!({ "gateway": name, "token_file": path.to_string_lossy() }));
        let failures = refused
            .iter()
            .map(|(name, why)| json!({ "gateway": name, "error": why }));
        let json = json!({
            "tokens": files.collect::<Vec<_>>(),
            "failed": failures.collect::<Vec<_>>(),
        });
        let mut lines: Vec<_> = (made.iter())
            .map(|(name, path)| format!("{}: {}", printable(name), path.display()))
            .collect();
        lines.extend(
            refused
                .iter()
                .map(|(name, why)| format!("{}: NO TOKEN: {}", printable(name), printable(why))),
        );
        if lines.is_empty() {
            lines.push("no gateway is like that: no token was made".to_owned());
        }
        context.say(&lines.join("\n"), &json)?;
        match refused.len() {
            0 => Ok(()),
            failed => Err(CliError::TokensFailed { failed, total }),
        }
    }

    /// What came of each name, in their order. What an interrupt finds under way comes to its end:
    /// the gateway's former token is void by then.
    async fn ask(
        &self,
        context: &Context,
        gateways: &GatewaysClient,
        names: Vec<String>,
        request: impl Fn(String) -> NewTokenRequest,
    ) -> Result<Vec<Asked>, CliError> {
        let requests = (names.iter()).map(|name| (request(name.clone()), self.path(name)));
        let answers = at_once::each(context, requests, |(request, path)| {
            let mut gateways = gateways.clone();
            async move {
                let came = token_to(&mut gateways, request, &path).await;
                came.map_err(|error| error.to_string())
            }
        });
        let answers = answers.await?;
        let asked = names.into_iter().zip(answers).map(|(name, came)| {
            let path = self.path(&name);
            let not_asked = || Err("interrupted before it was asked for".to_owned());
            (name, path, came.unwrap_or_else(not_asked))
        });
        Ok(asked.collect())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.token"))
    }
}

/// A gateway's name, the file of its token, and why the token is not in it where it is not.
type Asked = (String, PathBuf, Result<(), String>);

/// The file is made before anything is asked of the server, and goes away again where no token
/// comes.
async fn token_to(
    gateways: &mut GatewaysClient,
    request: NewTokenRequest,
    path: &Path,
) -> Result<(), CliError> {
    let file = NewFile::create(path.to_owned())?;
    let made = gateways.new_token(request).await?.into_inner();
    let token = made.token.ok_or(CliError::BadAnswer("no token"))?.token;
    let kept = file.keep(&Zeroizing::new(token));
    kept.map_err(CliError::file("write the token to", path))?;
    Ok(())
}
