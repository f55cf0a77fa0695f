//! What every verb works with: the way to the server, and the way results and errors are printed.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use hyper_util::rt::TokioIo;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use portcullis_host::output;
use portcullis_proto::gateway::v1::NativeError;
use portcullis_proto::grpc::Channel;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tonic::transport::{self, Endpoint};
use tower::service_fn;

use crate::error::CliError;
use crate::pending::Pending;
use crate::session_file::SessionFile;
use crate::time::now;
use crate::view::View;

/// The variable by which whoever runs a command says which trace it belongs to.
const TRACEPARENT: &str = "TRACEPARENT";

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
    /// The server, as the session file names it.
    server: String,
    session: SessionFile,
    format: Format,
    pending: Pending,
}

impl Context {
    pub(crate) fn new(socket: PathBuf, session: SessionFile, format: Format) -> Self {
        Self {
            server: socket.display().to_string(),
            socket,
            session,
            format,
            pending: Pending::default(),
        }
    }

    /// What this command has sent that changes something.
    pub(crate) fn pending(&self) -> &Pending {
        &self.pending
    }

    /// Whether results are for programs.
    pub(crate) fn json(&self) -> bool {
        self.format == Format::Json
    }

    /// The server, as the session file names it.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// Where the session is kept.
    pub(crate) fn session(&self) -> &SessionFile {
        &self.session
    }

    /// A client of one of the server's services, over a connection of its own. Where there is a
    /// session at this server, it is presented.
    pub(crate) async fn client<C>(&self, new: fn(Channel) -> C) -> Result<C, CliError> {
        let channel = self.channel().await?;
        Ok(new(match self.session.read(&self.server)? {
            Some(secret) => channel.presenting(&secret),
            None => channel,
        }))
    }

    /// The same, without a session.
    pub(crate) async fn anonymous<C>(&self, new: fn(Channel) -> C) -> Result<C, CliError> {
        Ok(new(self.channel().await?))
    }

    async fn channel(&self) -> Result<Channel, CliError> {
        let transport = connect(&self.socket).await?;
        let channel = Channel::watched(transport, self.pending.watcher());
        let traceparent = std::env::var(TRACEPARENT).ok();
        Ok(channel.within(traceparent.as_deref()))
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

    /// Prints text to standard output, and ends its line. A pipe whose reader went away is no
    /// error: the outcome decides.
    pub(crate) fn line(&self, text: &str) -> Result<(), CliError> {
        output::print(&format!("{}\n", text.trim_end_matches('\n'))).map_err(CliError::Output)
    }

    /// Prints text to standard output as it is: a piece of something longer, of which nothing more
    /// is asked for where nobody reads on.
    pub(crate) fn write(&self, text: &str) -> Result<(), CliError> {
        io::stdout()
            .write_all(text.as_bytes())
            .map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => CliError::Unread,
                _ => CliError::Output(error),
            })
    }

    /// Tells people on a terminal what goes on; programs that asked for JSON are not told.
    pub(crate) fn note(&self, text: &str) {
        if !self.json() {
            // Notes are a courtesy: a closed terminal does not stop the work.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// A bar on standard error, for people on a terminal; hidden from everybody else. `None`:
    /// nobody knows how many there are.
    pub(crate) fn bar(&self, total: Option<u64>, template: &str) -> ProgressBar {
        if self.json() || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar
    }

    /// Prints an error, and gives the exit code. Where something was sent that changes something,
    /// what would otherwise say that nothing has changed says that nobody knows.
    pub(crate) fn fail(&self, error: CliError) -> u8 {
        let error = match (error, self.pending.method()) {
            (CliError::Unread, _) => return 0,
            // A monitor shows the one line that was printed.
            (CliError::NeedsLook { code }, _) => return code,
            (CliError::Output(source), Some(_)) => CliError::Unshown {
                call_id: self.pending.call_id(),
                source,
            },
            (CliError::Lost { detail }, Some(method)) => CliError::Unanswered {
                method,
                call_id: self.pending.call_id(),
                detail,
            },
            (error, _) => error,
        };
        let error = &error;
        match self.format {
            Format::Json => fail_json(error),
            Format::Table => {
                let call = error
                    .call_id()
                    .map(|id| format!(" (call {id})"))
                    .unwrap_or_default();
                let what = match error {
                    CliError::Indeterminate { .. } | CliError::Unanswered { .. } => "indeterminate",
                    CliError::Interrupted { .. } => "interrupted",
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
    if let Some(NativeError { code, text }) = error.native() {
        body["native"] = json!({ "code": code, "text": text });
    }
    // Where standard error is closed, the exit code still tells.
    let _ = writeln!(io::stderr(), "{}", json!({ "error": body }));
    error.exit_code()
}

/// Connects to the admin API at `path`.
async fn connect(path: &Path) -> Result<transport::Channel, CliError> {
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
