//! `portcullis tls …`: two authorities for TLS around the channel, and certificates under them.
//! Works on a folder alone, and asks no server.

mod authority;
mod record;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use portcullis_host::names::{MAX_NAME, host_port, is_name};
use serde_json::json;

use crate::context::Context;
use crate::error::CliError;
use crate::time::{now, time_and_age};
use authority::{Authority, Files, Holder};
use record::Issued;

/// The longest that a certificate may be valid, in days.
const LONGEST: u32 = 3_650;

#[derive(Debug, Subcommand)]
pub(crate) enum TlsCommand {
    /// Make two authorities, one for servers and one for gateways, each with its key and an empty
    /// list of what it has revoked
    Init {
        /// The folder, which only you may read; made where it is missing
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
    /// Issue a certificate and a key for a server: HOST.pem and HOST.key, by its first host
    Server {
        /// The names and addresses under which gateways dial it, or know it by `tls.server_name`
        #[arg(required = true, value_name = "HOST")]
        hosts: Vec<String>,
        #[command(flatten)]
        args: IssueArgs,
    },
    /// Issue a certificate and a key for each of these gateways: NAME.pem and NAME.key
    Gateway {
        /// The names under which they are registered
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        args: IssueArgs,
    },
    /// Revoke every certificate that was issued for a name, and write the list anew, which the
    /// other side reads by `tls.revoked`
    Revoke {
        /// Whose it is
        side: SideArg,
        /// The server's first host, or the gateway's name
        name: String,
        /// The folder of the authorities
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
    /// List what was issued, and until when it is valid, or since when it is revoked
    List {
        /// The folder of the authorities
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct IssueArgs {
    /// The folder of the authorities
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The folder for what is issued, made where it is missing; without it the present one
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// For how many days it is valid
    #[arg(long, value_name = "N", default_value_t = 397, value_parser = clap::value_parser!(u32).range(1..=i64::from(LONGEST)))]
    days: u32,
}

/// Whose certificate it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SideArg {
    /// A server's
    Server,
    /// A gateway's
    Gateway,
}

impl SideArg {
    const fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Gateway => "gateway",
        }
    }
}

impl TlsCommand {
    pub(crate) fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Init { dir } => init(context, &dir),
            Self::Server { hosts, args } => {
                hosts.iter().try_for_each(|host| check_host(host))?;
                issue(context, SideArg::Server, vec![hosts], &args)
            }
            Self::Gateway { names, args } => {
                names.iter().try_for_each(|name| check_name(name))?;
                let each = names.into_iter().map(|name| vec![name]).collect();
                issue(context, SideArg::Gateway, each, &args)
            }
            Self::Revoke { side, name, dir } => revoke(context, side, &name, &dir),
            Self::List { dir } => list(context, &dir),
        }
    }
}

fn init(context: &Context, dir: &Path) -> Result<(), CliError> {
    portcullis_host::private_files::create_private_dir(dir).map_err(|source| CliError::File {
        action: "make",
        path: dir.to_owned(),
        source,
    })?;
    let sides = [SideArg::Server, SideArg::Gateway];
    for side in sides {
        Files::new(dir, side).must_be_free()?;
    }
    for side in sides {
        Authority::make(dir, side)?;
    }
    let sentence = format!(
        "made in {}: servers-ca.pem (gateways believe it: `server_ca`) and gateways-ca.pem (servers believe it: `gateway_ca`), their keys, and lists of what is revoked (`revoked`).\n\
         Whoever has a key there can pass for any server or gateway towards TLS: keep the folder off the servers and gateways, and back it up.\n\
         Next: `portcullis tls server HOST --dir {0}` and `portcullis tls gateway NAME --dir {0}`.",
        dir.display()
    );
    context.say(&sentence, &json!({ "dir": dir }))
}

fn issue(
    context: &Context,
    side: SideArg,
    each: Vec<Vec<String>>,
    args: &IssueArgs,
) -> Result<(), CliError> {
    let authority = Authority::open(&args.dir, side)?;
    prepare(&args.out)?;
    // All of them, or none.
    for name in each.iter().filter_map(|names| names.first()) {
        Holder::new(name, &args.out).must_be_free()?;
    }
    let mut made = Vec::new();
    for names in &each {
        made.push(authority.issue(names, args.days, &args.out)?);
    }
    let lines = made.iter().map(|made| {
        format!(
            "{} and {}, valid until {}",
            made.files.certificate.display(),
            made.files.key.display(),
            humantime::format_rfc3339_seconds(made.until)
        )
    });
    let sentence = lines.collect::<Vec<_>>().join("\n");
    let json = made.iter().map(|made| {
        json!({
            "certificate": made.files.certificate,
            "key": made.files.key,
            "valid_until": humantime::format_rfc3339_seconds(made.until).to_string(),
        })
    });
    context.say(&sentence, &json.collect())
}

/// Sees that files can be made in `out`, before anything is entered in a list: makes the folder
/// where its last part is missing, one that only its owner reads, and tries a file in it.
fn prepare(out: &Path) -> Result<(), CliError> {
    match DirBuilder::new().mode(0o700).create(out) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(CliError::file("make the folder", out)(error)),
    }
    let tried = tempfile::NamedTempFile::new_in(out).map(drop);
    tried.map_err(CliError::file("write to", out))
}

fn revoke(context: &Context, side: SideArg, name: &str, dir: &Path) -> Result<(), CliError> {
    let authority = Authority::open(dir, side)?;
    let count = authority.revoke(name)?;
    if count == 0 {
        return Err(CliError::usage(format!(
            "no certificate that is valid was issued for {} `{name}`: `portcullis tls list --dir {}` shows those that were",
            side.word(),
            dir.display()
        )));
    }
    let list = Files::new(dir, side).revoked;
    let sentence = format!(
        "revoked {count}; bring {} to where the other side reads it ([tls] revoked), and have it read its configuration again",
        list.display()
    );
    context.say(&sentence, &json!({ "revoked": count, "list": list }))
}

fn list(context: &Context, dir: &Path) -> Result<(), CliError> {
    let (mut lines, mut all) = (Vec::new(), Vec::new());
    for side in [SideArg::Server, SideArg::Gateway] {
        for issued in record::read(&Files::new(dir, side).record)? {
            lines.push(line(side, &issued));
            all.push(json!({
                "side": side.word(),
                "name": issued.name,
                "serial": issued.serial,
                "valid_until_unix_s": issued.until_s,
                "revoked": issued.revoked_s.is_some(),
                "revoked_unix_s": issued.revoked_s,
            }));
        }
    }
    if lines.is_empty() {
        lines.push("nothing was issued yet".to_owned());
    }
    context.say(&lines.join("\n"), &all.into())
}

fn line(side: SideArg, issued: &Issued) -> String {
    let ms = |seconds: u64| i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX);
    let (state, at) = match issued.revoked_s {
        Some(at) => ("revoked", at),
        None => ("valid until", issued.until_s),
    };
    let at = time_and_age(ms(at), now()).unwrap_or_default();
    format!(
        "{}  {}  {state} {at}  {}",
        side.word(),
        issued.name,
        issued.serial
    )
}

fn check_host(host: &str) -> Result<(), CliError> {
    let plain = host.parse::<std::net::IpAddr>().is_ok() || host_port(host, Some(1)).is_ok();
    if plain && !host.contains([':', '[']) || host.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "`{host}` is neither a host's name nor an IP address: give it without a port"
    )))
}

fn check_name(name: &str) -> Result<(), CliError> {
    if is_name(name) {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "`{name}` is no gateway's name: 1 to {MAX_NAME} of A-Z a-z 0-9 . _ -, beginning with a letter or a digit"
    )))
}
