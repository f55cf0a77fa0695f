//! How an enrolment token is handed over: printed this once, or written to a new file.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_host::{output, private_files};
use portcullis_proto::admin::v1::gateways_client::GatewaysClient;
use portcullis_proto::admin::v1::{AddGatewayRequest, EnrolmentToken, Gateway, ShowGatewayRequest};
use rustix::fs::OFlags;
use serde_json::json;
use zeroize::Zeroizing;

use super::install::{FROM_ARCHIVE, FROM_PACKAGE};
use crate::context::Context;
use crate::error::CliError;
use crate::time::{now, rfc3339, time_and_age};
use crate::view::{View, printable};

/// Where the token goes.
#[derive(Debug, Args)]
pub(crate) struct TokenOutput {
    /// Write the token to this new file, readable by you alone, in place of printing it
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl TokenOutput {
    /// Opens the file before anything is asked of the server, or looks whether standard output
    /// takes more: a token that cannot be shown is never made.
    pub(crate) fn open(self) -> Result<TokenSink, CliError> {
        if self.token_file.is_none() {
            output::takes_more().map_err(CliError::Output)?;
        }
        Ok(TokenSink(self.token_file.map(NewFile::create).transpose()?))
    }
}

/// Registers a gateway, and hands its token over. One that may be there already may have had its
/// token written to this very file.
pub(super) async fn add(
    context: &Context,
    request: AddGatewayRequest,
    output: TokenOutput,
) -> Result<(), CliError> {
    let if_absent = request.if_absent;
    let sink = match output.open() {
        Ok(sink) => sink,
        Err(error) if if_absent && error.is_there_already() => {
            let name = request.name.clone();
            let mut gateways = context.client(GatewaysClient::new).await?;
            let found = gateways.show(ShowGatewayRequest { name }).await;
            found.map_err(|_| error)?;
            TokenSink(None)
        }
        Err(error) => return Err(error),
    };
    let mut gateways = context.client(GatewaysClient::new).await?;
    let made = gateways.add(request).await?.into_inner();
    if if_absent && made.token.is_none() {
        let gateway = made.gateway.ok_or(CliError::BadAnswer("no gateway"))?;
        context.note("it is registered already: nothing was changed");
        return context.print(&gateway);
    }
    sink.hand_over(context, made.gateway, made.token)
}

/// Takes the token, once there is one.
pub(crate) struct TokenSink(Option<NewFile>);

impl TokenSink {
    pub(crate) fn hand_over(
        self,
        context: &Context,
        gateway: Option<Gateway>,
        token: Option<EnrolmentToken>,
    ) -> Result<(), CliError> {
        let gateway = gateway.ok_or(CliError::BadAnswer("no gateway"))?;
        let token = token.ok_or(CliError::BadAnswer("no token"))?;
        let expires = token.expires_unix_ms;
        let text = Zeroizing::new(token.token);
        let lost = lost(&gateway.name);
        let path = self
            .0
            .map(|file| file.keep(&text))
            .transpose()
            .map_err(&lost)?;
        if context.json() {
            let shown = path.is_none().then(|| text.as_str());
            let answer = json!({
                "gateway": gateway.json(),
                "token": shown,
                "token_file": path.map(|path| path.to_string_lossy().into_owned()),
                "token_expires": rfc3339(expires),
                "install": { "from_package": FROM_PACKAGE, "from_archive": FROM_ARCHIVE },
            });
            return output::deliver(&format!("{answer:#}\n")).map_err(lost);
        }
        let page = page(&gateway, expires, &text, path.as_deref());
        output::deliver(&format!("{}\n", page.as_str())).map_err(lost)
    }
}

/// The token of this gateway was made, and nobody has it.
pub(super) fn lost(gateway: &str) -> impl Fn(io::Error) -> CliError {
    move |source| CliError::NotShown {
        what: "the gateway is registered, but its enrolment token",
        source,
        remedy: format!(
            "`portcullis gateway token {}` makes another",
            printable(gateway)
        ),
    }
}

/// What people are told: who is registered, where the token is, and what comes next.
fn page(gateway: &Gateway, expires: i64, token: &str, path: Option<&Path>) -> Zeroizing<String> {
    let until = time_and_age(expires, now()).unwrap_or_default();
    let reached = if gateway.address.is_empty() {
        "it dials this server".to_owned()
    } else {
        format!("this server dials {}", printable(&gateway.address))
    };
    let shared = match gateway.shares_address_with.as_slice() {
        [] => String::new(),
        others => format!(
            "\nwarning: that is the address of {} too, and one host answers there",
            printable(&others.join(", "))
        ),
    };
    let pairing = time_and_age(gateway.pairing_until_unix_ms, now())
        .map(|until| {
            format!(
                "\nor, until {until}: portcullis-gateway pair{}",
                pairing_name(gateway)
            )
        })
        .unwrap_or_default();
    let name = printable(&gateway.name);
    let head = format!(
        "gateway {name} is registered as {}; {reached}{shared}",
        gateway.gateway_id
    );
    let line = format!(
        "or in one line, where nothing is installed yet (the token is asked for, or read from standard input):\n    {FROM_PACKAGE}\nfrom the unpacked archive: {FROM_ARCHIVE}"
    );
    Zeroizing::new(match path {
        Some(path) => format!(
            "{head}\nits enrolment token is in {}, valid until {until}\nnext, on its host: portcullis-gateway enroll --token-file FILE{pairing}\n{line}",
            path.display()
        ),
        None => format!(
            "{head}\nits enrolment token, shown this once, valid until {until}:\n\n{}\n\nnext, on its host: portcullis-gateway enroll (it asks for the token){pairing}\n{line}",
            token
        ),
    })
}

/// What a gateway that dials out needs to pair, as it has no id by which it could be known.
fn pairing_name(gateway: &Gateway) -> String {
    match gateway.address.as_str() {
        "" => format!(
            ", with dial_out.name = \"{}\" in its configuration",
            printable(&gateway.name)
        ),
        _ => String::new(),
    }
}

/// A file that goes away again unless something was written to it.
pub(super) struct NewFile {
    file: File,
    path: PathBuf,
    kept: bool,
}

impl NewFile {
    /// Readable by its owner alone. A command that was killed on its way leaves an empty one
    /// behind, which is taken over.
    ///
    /// # Errors
    /// [`CliError::File`]; [`CliError::is_there_already`] where it holds something, is another
    /// user's, or is held by another command.
    pub(super) fn create(path: PathBuf) -> Result<Self, CliError> {
        let file = created(&path).map_err(CliError::file("create", &path))?;
        Ok(Self {
            file,
            path,
            kept: false,
        })
    }

    pub(super) fn keep(mut self, text: &str) -> io::Result<PathBuf> {
        self.file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.write_all(b"\n"))
            .and_then(|()| self.file.sync_all())?;
        self.kept = true;
        Ok(self.path.clone())
    }
}

/// Whether there is something at `path` that no command left behind empty, so that no token can go
/// there.
pub(super) fn is_taken(path: &Path) -> bool {
    let there = path.symlink_metadata();
    there.is_ok_and(|there| !is_left_over(&there))
}

/// Whether something was written to the file at `path`.
pub(super) fn is_written(path: &Path) -> bool {
    path.metadata().is_ok_and(|there| there.len() > 0)
}

/// An empty file of this user's own, under no other name.
fn is_left_over(there: &Metadata) -> bool {
    let own = private_files::exposure(there.uid(), there.mode()).is_none();
    there.is_file() && there.len() == 0 && there.nlink() == 1 && own
}

/// A new file, or an empty one that nobody holds. It is locked: of two commands at once the other
/// one does not take it for a left-over.
fn created(path: &Path) -> io::Result<File> {
    let there_already = || io::Error::from(io::ErrorKind::AlreadyExists);
    let new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let file = match new {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !is_taken(path) => {
            OpenOptions::new()
                .write(true)
                .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
                .open(path)?
        }
        other => other?,
    };
    // Where the file system has no locks, two commands at once are the caller's to avoid.
    if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        return Err(there_already());
    }
    // Whoever held it until now may have written to it, or removed it: then it has no name.
    match is_left_over(&file.metadata()?) {
        true => Ok(file),
        false => Err(there_already()),
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept {
            // An empty file that stays behind harms nobody; the error that led here is the one to
            // tell.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
