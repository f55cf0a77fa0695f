//! Many gateways registered at once: a bundle each, a token each and apart from it, and one list of
//! what came of them. A name that is there is told before anything is done.

use std::collections::HashSet;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf, absolute};

use clap::Args;
use portcullis_host::names;
use portcullis_proto::admin::v1::gateways_client::GatewaysClient;
use portcullis_proto::admin::v1::{AddGatewayRequest, ListGatewaysRequest};
use serde_json::json;
use tonic::Code;
use zeroize::Zeroizing;

use super::bundle::{self, Bundle, Common};
use super::connectors::Connectors;
use super::made::{Came, Made, write_list};
use super::roster::Wanted;
use super::token::{NewFile, is_taken, is_written, lost};
use super::{at_once, install};
use crate::context::Context;
use crate::error::CliError;
use crate::time::now;
use crate::view::View;

/// The list of them, in the folder of their bundles.
pub(super) const LIST: &str = "gateways.csv";
/// Names that a message has; the others are counted.
const NAMED: usize = 20;
/// Where the server waits for gateways that dial out.
const SERVER_PORT: u16 = 9279;

/// Where they go.
#[derive(Debug, Args)]
pub(super) struct ManyArgs {
    /// Make a bundle for each in this folder: NAME/gateway.toml, without any secret; and
    /// gateways.csv, the list of them
    #[arg(long, value_name = "DIR", requires = "tokens", conflicts_with_all = ["name", "token_file"])]
    out: Option<PathBuf>,
    /// Write each token to a file of its own in this other folder, NAME.token, readable by you
    /// alone
    #[arg(long, value_name = "DIR", requires = "out")]
    tokens: Option<PathBuf>,
    /// Into the bundles of those that dial the server: where they reach it. The port is 9279 where
    /// none is given
    #[arg(long, value_name = "HOST:PORT", requires = "out")]
    server: Option<String>,
    /// Into every bundle: the connectors, as they stand in this file, and other tables that all
    /// gateways have in common, such as `[tls]`
    #[arg(long, value_name = "FILE", requires = "out")]
    connectors: Option<PathBuf>,
}

/// How all of them are registered.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    pub(super) allow_pairing: bool,
    pub(super) if_absent: bool,
}

/// One of them, with all that it needs at hand.
struct Planned {
    request: AddGatewayRequest,
    bundle: Bundle,
    token_file: PathBuf,
    /// It is reached through TLS alone, and its bundle has none.
    lacks_tls: bool,
}

impl ManyArgs {
    /// Registers them. Until the first request nothing but folders and bundles is made.
    pub(super) async fn run(
        self,
        context: &Context,
        wanted: Vec<Wanted>,
        manner: Manner,
    ) -> Result<(), CliError> {
        let (Some(out), Some(tokens)) = (&self.out, &self.tokens) else {
            return Err(CliError::usage(
                "say where the bundles and the tokens of several gateways go: --out DIR --tokens ANOTHER",
            ));
        };
        apart(out, tokens)?;
        let common = self.common(manner)?;
        let gateways = context.client(GatewaysClient::new).await?;
        let present = present(&gateways, &wanted, manner.if_absent).await?;
        let mut planned = Vec::with_capacity(wanted.len());
        for gateway in wanted {
            let token_file = tokens.join(format!("{}.token", gateway.name));
            if !present.contains(&gateway.name) && is_taken(&token_file) {
                let error = io::ErrorKind::AlreadyExists.into();
                return Err(CliError::file("create", &token_file)(error));
            }
            planned.push(Planned {
                bundle: Bundle::new(out, &gateway, &common)?,
                lacks_tls: gateway.require_tls && !common.has_tls(),
                request: request(gateway, manner),
                token_file,
            });
        }
        prepare(out, tokens, &planned).map_err(unregistered)?;
        let made = add(context, &gateways, planned).await?;
        // What came of them is told in any case.
        let listed = write_list(&out.join(LIST), &made);
        tell(context, &made).and(listed)
    }

    fn common(&self, manner: Manner) -> Result<Common, CliError> {
        let server = self.server.as_deref().map(|server| {
            names::host_port(server, Some(SERVER_PORT))
                .map_err(|error| CliError::Usage(format!("--server `{server}`: {error}")))
        });
        let connectors = self.connectors.as_deref().map(Connectors::read);
        Ok(Common {
            server: server.transpose()?,
            connectors: connectors.transpose()?,
            pairing: manner.allow_pairing,
        })
    }
}

/// Whoever carries the bundles is not to carry the tokens with them.
fn apart(out: &Path, tokens: &Path) -> Result<(), CliError> {
    let found = |path: &Path| real(path).map_err(CliError::file("find", path));
    let (bundles, secrets) = (found(out)?, found(tokens)?);
    if bundles.starts_with(&secrets) || secrets.starts_with(&bundles) {
        return Err(CliError::usage(
            "--out and --tokens name folders one in the other: bundles and tokens are carried apart, so give two that are",
        ));
    }
    Ok(())
}

/// Where a folder lies, or will lie: without links and `..`, which lead elsewhere than it seems.
fn real(path: &Path) -> io::Result<PathBuf> {
    let mut real = PathBuf::new();
    for part in absolute(path)?.components() {
        if part == Component::ParentDir {
            real.pop();
            continue;
        }
        real.push(part);
        if let Ok(found) = real.canonicalize() {
            real = found;
        }
    }
    Ok(real)
}

fn request(gateway: Wanted, manner: Manner) -> AddGatewayRequest {
    AddGatewayRequest {
        dial_out: gateway.address.is_empty(),
        name: gateway.name,
        address: gateway.address,
        allow_pairing: manner.allow_pairing,
        groups: gateway.groups,
        if_absent: manner.if_absent,
        require_tls: gateway.require_tls,
    }
}

/// Which of them are registered already.
///
/// # Errors
/// [`CliError::Refused`] with all of their names, unless they may be there.
async fn present(
    gateways: &GatewaysClient,
    wanted: &[Wanted],
    allowed: bool,
) -> Result<HashSet<String>, CliError> {
    let listed = gateways.clone().list(ListGatewaysRequest::default()).await;
    let listed = listed?.into_inner().gateways.into_iter();
    let registered: HashSet<String> = listed.map(|gateway| gateway.name).collect();
    let both: Vec<_> = (wanted.iter())
        .filter(|one| registered.contains(&one.name))
        .map(|one| one.name.clone())
        .collect();
    if both.is_empty() || allowed {
        return Ok(both.into_iter().collect());
    }
    let mut named = both.iter().take(NAMED).cloned().collect::<Vec<_>>();
    if both.len() > NAMED {
        named.push(format!("and {} more", both.len() - NAMED));
    }
    Err(CliError::Refused {
        code: Code::AlreadyExists,
        message: format!(
            "{} of {} names are registered already: {}; nothing was done. With --if-absent the others are added, and those stay as they are",
            both.len(),
            wanted.len(),
            named.join(", ")
        ),
    })
}

/// The folders, and all the bundles; where that fails, no bundle.
fn prepare(out: &Path, tokens: &Path, planned: &[Planned]) -> Result<(), CliError> {
    make_folder(out)?;
    make_folder(tokens)?;
    let bundles: Vec<_> = planned.iter().map(|one| &one.bundle).collect();
    bundle::write_all(&bundles)
}

/// What failed, failed before anything was asked of the server.
fn unregistered(error: CliError) -> CliError {
    match error {
        CliError::File {
            action,
            path,
            source,
        } => CliError::File {
            action,
            path,
            source: io::Error::new(
                source.kind(),
                format!("{source}; nothing was registered, and no new bundle was left"),
            ),
        },
        other => other,
    }
}

fn make_folder(folder: &Path) -> Result<(), CliError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(CliError::file("create the folder", folder))
}

async fn add(
    context: &Context,
    gateways: &GatewaysClient,
    planned: Vec<Planned>,
) -> Result<Vec<Made>, CliError> {
    let requests: Vec<_> = planned
        .iter()
        .map(|one| (one.request.clone(), one.token_file.clone()))
        .collect();
    let came = at_once::each(context, requests, |(request, token_file)| {
        let gateways = gateways.clone();
        async move { added(gateways, request, &token_file).await }
    });
    let made = planned.into_iter().zip(came.await?).map(|(one, came)| {
        let not_asked = || {
            Ok(Came::Failed(
                "interrupted before it was asked for".to_owned(),
            ))
        };
        Made {
            name: one.request.name,
            bundle: one.bundle.folder().to_owned(),
            token_file: one.token_file,
            lacks_tls: one.lacks_tls,
            came: came
                .unwrap_or_else(not_asked)
                .unwrap_or_else(|error| Came::Failed(error.to_string())),
        }
    });
    Ok(made.collect())
}

/// The token's file is there before anything is asked of the server, and goes away again where no
/// token comes. One that holds something is that of a gateway that is there.
async fn added(
    mut gateways: GatewaysClient,
    request: AddGatewayRequest,
    token_file: &Path,
) -> Result<Came, CliError> {
    let if_absent = request.if_absent;
    let file = match NewFile::create(token_file.to_owned()) {
        Ok(file) => Some(file),
        Err(error) if if_absent && error.is_there_already() => None,
        Err(error) => return Err(error),
    };
    let made = gateways.add(request).await?.into_inner();
    let gateway = made.gateway.ok_or(CliError::BadAnswer("no gateway"))?;
    let Some(token) = made.token else {
        return Ok(Came::Present {
            gateway_id: gateway.gateway_id,
            address: gateway.address,
            token_is_here: file.is_none() && is_written(token_file),
        });
    };
    let secret = Zeroizing::new(token.token);
    let lost = lost(&gateway.name);
    let file = file.ok_or_else(|| lost(io::ErrorKind::AlreadyExists.into()))?;
    file.keep(&secret).map_err(lost)?;
    Ok(Came::Added {
        gateway_id: gateway.gateway_id,
        address: gateway.address,
        expires: token.expires_unix_ms,
    })
}

fn tell(context: &Context, made: &Vec<Made>) -> Result<(), CliError> {
    let failed = made.iter().filter(|one| one.failed()).count();
    let lines = made.first().map(|one| install::with_bundle(&one.name));
    if context.json() {
        let install = lines
            .map(|[package, archive]| json!({ "from_package": package, "from_archive": archive }));
        context.print_json(&json!({
            "gateways": made.json(),
            "failed": failed,
            "install_first": install,
        }))?;
    } else {
        let table = made.table(now());
        let next = lines.map_or_else(String::new, |[package, archive]| {
            format!(
                "\n\nnext, on each host, in the folder where its bundle was carried to, as here for the first (the token is asked for, or read from standard input):\n    {package}\nor from the unpacked archive:\n    {archive}"
            )
        });
        context.line(&format!("{table}{next}"))?;
    }
    match failed {
        0 => Ok(()),
        failed => Err(CliError::GatewaysFailed {
            failed,
            total: made.len(),
        }),
    }
}
