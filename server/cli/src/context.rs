//! What every verb works with: the way to the server, and the way results and errors are printed.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use hyper_util::rt::TokioIo;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::error::CliError;
use crate::time::now;
use crate::view::View;

/// How results and errors are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people: columns and sentences
    #[default]
    Table,
    /// For programs: one JSON object or array
    Json,
}

/// What every verb works with.
#[derive(Debug)]
pub(crate) struct Context {
    socket: PathBuf,
    format: Format,
}

impl Context {
    pub(crate) fn new(socket: PathBuf, format: Format) -> Self {
        Self { socket, format }
    }

    /// Whether results are for programs.
    pub(crate) fn json(&self) -> bool {
        self.format == Format::Json
    }

    /// A client of one of the server's services, over a connection of its own.
    pub(crate) async fn client<C>(&self, new: fn(Channel) -> C) -> Result<C, CliError> {
        Ok(new(connect(&self.socket).await?))
    }

    /// Prints a result as the caller asked for it.
    pub(crate) fn print(&self, view: &impl View) -> Result<(), CliError> {
        match self.format {
            Format::Table => self.line(&view.table(now())),
            Format::Json => self.print_json(&view.json()),
        }
    }

    /// Prints a sentence for people, or `json` for programs.
    pub(crate) fn say(&self, sentence: &str, json: &Value) -> Result<(), CliError> {
        match self.format {
            Format::Table => self.line(sentence),
            Format::Json => self.print_json(json),
        }
    }

    /// Prints a JSON value, for people to read too.
    pub(crate) fn print_json(&self, value: &Value) -> Result<(), CliError> {
        self.line(&format!("{value:#}"))
    }

    /// Prints text to standard output, and ends its line.
    pub(crate) fn line(&self, text: &str) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        out.write_all(text.trim_end_matches('\n').as_bytes())
            .and_then(|()| out.write_all(b"\n"))
            .and_then(|()| out.flush())
            .map_err(CliError::Output)
    }

    /// Prints text to standard output as it is: a piece of something longer.
    pub(crate) fn write(&self, text: &str) -> Result<(), CliError> {
        io::stdout()
            .write_all(text.as_bytes())
            .map_err(CliError::Output)
    }

    /// Tells people on a terminal what goes on; programs that asked for JSON are not told.
    pub(crate) fn note(&self, text: &str) {
        if !self.json() {
            // Notes are a courtesy: a closed terminal does not stop the work.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// A bar on standard error, for people on a terminal; hidden from everybody else.
    pub(crate) fn bar(&self, total: u64, template: &str) -> ProgressBar {
        if self.json() || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar
    }

    /// Prints an error, and gives the exit code.
    pub(crate) fn fail(&self, error: &CliError) -> u8 {
        match self.format {
            Format::Json => fail_json(error),
            Format::Table => {
                let call = error
                    .call_id()
                    .map(|id| format!(" (call {id})"))
                    .unwrap_or_default();
                let what = match error {
                    CliError::Indeterminate { .. } => "indeterminate",
                    _ => "error",
                };
                // Where standard error is closed, the exit code still tells.
                let _ = writeln!(io::stderr(), "{what}: {error}{call}");
                error.exit_code()
            }
        }
    }
}

/// Prints an error as JSON, and gives the exit code.
pub(crate) fn fail_json(error: &CliError) -> u8 {
    let mut body = json!({ "kind": error.kind(), "message": error.to_string() });
    if let Some(id) = error.call_id() {
        body["call_id"] = id.into();
    }
    // Where standard error is closed, the exit code still tells.
    let _ = writeln!(io::stderr(), "{}", json!({ "error": body }));
    error.exit_code()
}

/// Connects to the admin API at `path`.
async fn connect(path: &Path) -> Result<Channel, CliError> {
    // Connected here, not by tonic, so that the reason can be told; one connection serves the whole
    // command.
    let stream = UnixStream::connect(path)
        .await
        .map_err(|source| explain(path, source))?;
    let mut once = Some(stream);
    // The address is never dialled: the connector ignores it.
    Endpoint::from_static("http://portcullis.invalid")
        .connect_with_connector(service_fn(move |_| {
            let stream = once.take().map(TokioIo::new);
            async move { stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
        }))
        .await
        .map_err(|error| CliError::Lost {
            detail: error.to_string(),
        })
}

fn explain(path: &Path, source: io::Error) -> CliError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => CliError::NoServer { path },
        io::ErrorKind::PermissionDenied => CliError::SocketForbidden { path },
        _ => CliError::Connect { path, source },
    }
}
