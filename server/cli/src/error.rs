//! What can go wrong, said so that the reader knows what to do next.

use std::io;
use std::path::{Path, PathBuf};

use portcullis_host::text::TextError;
use portcullis_proto::gateway::v1::{Failure, FailureKind, NativeError};
use tonic::Code;

use crate::view::printable;

/// Exit code of wrong usage, as clap's own.
pub(crate) const EXIT_USAGE: u8 = 2;
const EXIT_FAILED: u8 = 1;
const EXIT_INDETERMINATE: u8 = 3;
const EXIT_ACTION: u8 = 4;
const EXIT_INCOMPLETE: u8 = 5;

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The command line, or what was typed or piped in, makes no sense.
    #[error("{0}")]
    Usage(String),
    /// There is no server behind the socket.
    #[error(
        "no server listens at {}: start `portcullis-server serve`, or give --socket PATH", path.display()
    )]
    NoServer { path: PathBuf },
    /// The socket is another user's.
    #[error(
        "not allowed to use {}: run this as a user to whom the server's configuration gives a capability, or as root", path.display()
    )]
    SocketForbidden { path: PathBuf },
    /// Any other trouble with the socket.
    #[error("cannot talk to the server at {}: {source}", path.display())]
    Connect { path: PathBuf, source: io::Error },
    /// The server refused, with a reason of its own.
    #[error("{}", printable(message))]
    Refused { code: Code, message: String },
    /// The connection to the server was lost before it answered.
    #[error(
        "the connection to the server was lost before it answered ({}): see whether it still runs with `portcullis status`, then try again",
        printable(detail)
    )]
    Lost { detail: String },
    /// The call failed on the resource; nothing has changed there.
    #[error("{}{}", printable(message), in_its_own_words(native.as_deref(), message))]
    CallFailed {
        call_id: String,
        kind: FailureKind,
        message: String,
        /// What the target itself answered.
        native: Option<Box<NativeError>>,
    },
    /// The resource does not know the token of a sync any more.
    #[error(
        "{source}: changes may have been missed. Give `portcullis sync {resource} --class {class} --restart`, and then read all objects, such as with `portcullis object list {resource} --class {class}`"
    )]
    TokenForgotten {
        resource: String,
        class: String,
        source: Box<CliError>,
    },
    /// Nobody knows whether the call was carried out.
    #[error("{}", printable(message))]
    Indeterminate {
        call_id: String,
        message: String,
        /// Because the connection to the server was lost: no further call has a chance.
        server_lost: bool,
    },
    /// What was tried is not the user's.
    #[error("the {what} is not that of user {user}")]
    NoMatch { what: &'static str, user: String },
    /// A password that was tried breaks rules.
    #[error("the password does not meet the policy: {}", printable(&violations.join("; ")))]
    PolicyBroken { violations: Vec<String> },
    /// An answer that this version does not understand.
    #[error(
        "the server's answer makes no sense to this version of portcullis ({0}): do both have the same version?"
    )]
    BadAnswer(&'static str),
    /// A file of the caller's.
    #[error("cannot {action} {}: {}", path.display(), why(source))]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// The terminal or a pipe.
    #[error("cannot read from standard input: {0}")]
    Input(io::Error),
    /// The terminal or a pipe.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    /// Nobody reads standard output any more: no error, and nothing is said.
    #[error("nobody reads standard output any more")]
    Unread,
    /// It was done, and the terminal or a pipe does not take the answer.
    #[error(
        "it was done, but its answer cannot be written to standard output: {source}; look at what there is now{}",
        how_to_look(call_id.as_deref())
    )]
    Unshown {
        call_id: Option<String>,
        source: io::Error,
    },
    /// The connection to the server was lost after something was sent that changes something.
    #[error(
        "the connection to the server was lost before it answered ({}): nobody knows whether {method} was carried out; look at what there is now{}",
        printable(detail),
        how_to_look(call_id.as_deref())
    )]
    Unanswered {
        method: String,
        call_id: Option<String>,
        detail: String,
    },
    /// Ctrl-C, SIGTERM or SIGHUP, after something was sent that changes something.
    #[error(
        "{method} was sent, and nobody knows whether it was carried out; look at what there is now{}",
        how_to_look(call_id.as_deref())
    )]
    Interrupted {
        method: String,
        call_id: Option<String>,
    },
    /// What is shown only once could not be shown.
    #[error("{what} could not be shown: {source}; {remedy}")]
    NotShown {
        what: &'static str,
        source: io::Error,
        remedy: String,
    },
    /// Some of what was asked for was done, and then something went wrong.
    #[error("{done}; then: {source}")]
    Partly { done: String, source: Box<CliError> },
    /// The answer has been printed: the action ran, and ended with a code other than 0.
    #[error("the action ran and ended with code {code}")]
    ActionFailed {
        call_id: String,
        code: i32,
        /// End with this code.
        pass: bool,
    },
    /// The process could not set itself up.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// The report has been printed: the audit log, or an export of it, is not what the server
    /// wrote.
    #[error("not as the server wrote it: {}", printable(what))]
    AuditFault { what: String },
    /// The summary has been printed: the push ended because another key is current.
    #[error(
        "the push of gateway key {key} ended because another gateway key was made current meanwhile: `portcullis key status` shows which; its own push goes on"
    )]
    Superseded { key: String },
    /// The summary has been printed: some lines of an import failed.
    #[error("{failed} of {total} lines failed: mend them, then give the same command again")]
    ImportFailed { failed: u64, total: u64 },
    /// The summary has been printed: the end of the file was not reached.
    #[error("stopped before the end of the file: give the same command again to go on")]
    ImportStopped,
    /// The summary has been printed: row after row found that nothing can be done there now.
    #[error(
        "stopped before line {line}, with {done} lines done, for nothing can be done there now: {}. The lines from there on were not begun: mend that, then give the same command again, which goes on with what is not done",
        printable(because)
    )]
    ImportHeldUp {
        line: u64,
        done: u64,
        because: String,
    },
    /// Interrupted twice, with calls on their way.
    #[error(
        "left, with {under_way} calls on their way of which nobody knows what came: give the same command again, it looks before it acts"
    )]
    ImportLeft { under_way: usize },
    /// The summary has been printed: what came of some lines of an import is not known.
    #[error(
        "nobody knows what came of {indeterminate} of {total} lines: give the same command again, it looks before it acts"
    )]
    ImportIndeterminate { indeterminate: u64, total: u64 },
    /// The outcomes have been printed: what came of some of many calls is not known.
    #[error(
        "nobody knows what came of {indeterminate} of {total} calls: `portcullis call show` with the id of each tells more. The same command with --call-id {id} asks again, and makes nothing twice"
    )]
    ManyIndeterminate {
        id: String,
        indeterminate: usize,
        total: usize,
    },
    /// Interrupted twice, with some of many calls on their way.
    #[error(
        "left, with {under_way} calls on their way of which nobody knows what came: the same command with --call-id {id} asks for them, and makes nothing twice"
    )]
    ManyLeft { id: String, under_way: usize },
    /// One of several calls, which could not be made for what the resource said before.
    #[error("{message}")]
    Unprepared { kind: &'static str, message: String },
    /// One of several calls, which was not begun any more.
    #[error("interrupted before it was begun")]
    Unbegun,
    /// The outcomes have been printed: some of many calls failed.
    #[error(
        "{failed} of {total} calls failed. The same command with --call-id {id} tries those again that were not reached (`unavailable`, `busy`, `interrupted`), and makes nothing twice; once another fault is mended, `portcullis call retry` with its id makes one again"
    )]
    ManyFailed {
        id: String,
        failed: usize,
        total: usize,
    },
    /// One side was not read to its end: nobody knows what is missing.
    #[error("incomplete: {source}; nothing was repaired{next}")]
    ReconcileIncomplete {
        source: Box<CliError>,
        /// What to do, behind a full stop; empty: the source says it.
        next: &'static str,
    },
    /// The resource has nothing of what the command asks for, so that it is wrong.
    #[error("{0}; nothing was compared")]
    ReconcileWrong(Box<CliError>),
    /// The counts have been printed.
    #[error(
        "nothing was repaired: {count} are {what}, and --most-{option} allows {most}: look at the differences before you raise it"
    )]
    ReconcileTooMany {
        what: &'static str,
        option: &'static str,
        count: u64,
        most: u64,
    },
    /// The counts have been printed.
    #[error(
        "nothing was repaired: `{}` is missing and `{}` is unknown, and their names differ in case only: where they are the same account, give --ignore-case; where they are not, delete the unknown one by hand",
        printable(missing),
        printable(unknown)
    )]
    ReconcileCase { missing: String, unknown: String },
    /// The counts have been printed.
    #[error(
        "nothing was repaired: the source has no account at all, so that all {unknown} accounts would be deleted; a source that the right to read was taken from looks the same. Where they are to go, delete them by `portcullis account delete`"
    )]
    ReconcileEmpty { unknown: u64 },
    /// The counts have been printed, and each failure.
    #[error("{failed} of {total} repairs failed: give the same command again to see what is left")]
    ReconcileFailed { failed: u64, total: u64 },
    /// The same, where nobody knows what came of some.
    #[error(
        "nobody knows what came of {indeterminate} of {total} repairs: give the same command again to see what is left"
    )]
    ReconcileIndeterminate { indeterminate: u64, total: u64 },
    /// Its line has been printed, and is all that is said: something needs a look.
    #[error("something needs a look: `portcullis status` tells more")]
    NeedsLook { code: u8 },
    /// The list of the others has been printed: some calls were not taken back.
    #[error("{failed} of {total} calls could not be taken back; the first: {first}")]
    CallsKept {
        failed: usize,
        total: usize,
        first: Box<CliError>,
    },
    /// The list of the others has been printed: some resources keep their passwords, or may.
    #[error("the passwords of {failed} of {total} resources were not changed; the first: {first}")]
    PasswordsKept {
        failed: usize,
        total: usize,
        first: Box<CliError>,
    },
    /// The list has been printed: for some gateways no token was made.
    #[error("{failed} of {total} gateways got no token: the list says why")]
    TokensFailed { failed: usize, total: usize },
    /// The list has been printed: some gateways were not registered.
    #[error(
        "{failed} of {total} gateways were not registered: the list says why; the same command with --if-absent goes on with them, and leaves the others as they are"
    )]
    GatewaysFailed { failed: usize, total: usize },
    /// The list has been printed: not everything fits the version.
    #[error(
        "{}{gateways} gateways do not fit that version: the list says what to do",
        if *server { "this server and " } else { "" }
    )]
    VersionsUnfit { server: bool, gateways: usize },
    /// It may not be upgraded now.
    #[error(
        "gateway {} is not released to be upgraded: `portcullis fleet upgrade status` shows which wave is",
        printable(gateway)
    )]
    NotReleased { gateway: String },
    /// Its report has been printed.
    #[error(
        "task {id} failed: {}; `portcullis task resume {id}` goes on with what is left to do",
        printable(reason)
    )]
    TaskFailed { id: u64, reason: String },
    /// Its report has been printed.
    #[error(
        "task {id} was cancelled: `portcullis task resume {id}` goes on with what is left to do"
    )]
    TaskCancelled { id: u64 },
    /// Whoever waited for it does not wait any more.
    #[error(
        "task {id} goes on by itself: `portcullis task watch {id}` follows it, `portcullis task cancel {id}` ends it"
    )]
    TaskLeft { id: u64 },
    /// Whoever waited for it does not wait any more, or the server was lost.
    #[error(
        "call {call_id} goes on by itself: `portcullis call watch {call_id}` follows it, `portcullis call show {call_id}` tells how it stands"
    )]
    CallLeft { call_id: String },
    /// The server stopped under it.
    #[error(
        "the server stopped: task {id} goes on when it starts again, and `portcullis task watch {id}` follows it then"
    )]
    TaskSuspended { id: u64 },
}

/// What the system said of a file, or where it only says that there is one, what to do about it.
fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AlreadyExists if error.get_ref().is_none() => {
            "it is there already; name another file, or move that one away".to_owned()
        }
        _ => error.to_string(),
    }
}

/// What the target answered, as far as the message does not say it already.
fn in_its_own_words(native: Option<&NativeError>, message: &str) -> String {
    let Some(NativeError { code, text }) = native else {
        return String::new();
    };
    let new = |part: &str| !part.is_empty() && !message.contains(part);
    match (new(code), new(text)) {
        (true, true) => format!(
            " (the target answered {}: {})",
            printable(code),
            printable(text)
        ),
        (true, false) => format!(" (the target answered {})", printable(code)),
        (false, true) => format!(" (the target answered: {})", printable(text)),
        (false, false) => String::new(),
    }
}

fn how_to_look(call_id: Option<&str>) -> String {
    match call_id {
        Some(id) => format!(
            ", at `portcullis audit list --object {id}`, or for a queued call at `portcullis call show {id}`, then decide"
        ),
        None => ", or at `portcullis audit list --since 1h`, then decide".to_owned(),
    }
}

impl CliError {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// What came of a call that failed.
    pub(crate) fn failed(call_id: String, failure: Failure) -> Self {
        Self::CallFailed {
            call_id,
            kind: failure.kind(),
            message: failure.message,
            native: failure.native.map(Box::new),
        }
    }

    /// What the target itself answered, for programs.
    pub(crate) fn native(&self) -> Option<&NativeError> {
        match self {
            Self::CallFailed { native, .. } => native.as_deref(),
            Self::TokenForgotten { source, .. } | Self::Partly { source, .. } => source.native(),
            _ => None,
        }
    }

    /// Makes an error about a file of what the system says of it.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// Makes an error of what keeps a file from being read as text.
    pub(crate) fn text(path: &Path) -> impl Fn(TextError) -> Self {
        move |error| match error {
            TextError::Io(source) => Self::file("read", path)(source),
            other => Self::Usage(format!("{}: {other}", path.display())),
        }
    }

    /// A stable word for programs.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::NoServer { .. } => "no-server",
            Self::SocketForbidden { .. } => "permission-denied",
            Self::Connect { .. } | Self::Lost { .. } => "connection",
            Self::Refused { code, .. } => code_word(*code),
            Self::Superseded { .. } => "superseded",
            Self::CallFailed { kind, .. } => failure_word(*kind),
            Self::Indeterminate { .. }
            | Self::ImportIndeterminate { .. }
            | Self::ReconcileIndeterminate { .. }
            | Self::ManyIndeterminate { .. }
            | Self::ManyLeft { .. }
            | Self::ImportLeft { .. }
            | Self::Unanswered { .. } => "indeterminate",
            Self::ManyFailed { .. } => "some",
            Self::Unprepared { kind, .. } => kind,
            Self::ReconcileIncomplete { .. } => "incomplete",
            Self::ReconcileTooMany { .. } => "too-many",
            Self::ReconcileCase { .. } => "case",
            Self::ReconcileEmpty { .. } => "empty",
            Self::ReconcileFailed { .. } => "reconcile",
            Self::Interrupted { .. } | Self::Unbegun => "interrupted",
            Self::Unread | Self::Unshown { .. } | Self::NotShown { .. } => "io",
            Self::TokenForgotten { source, .. }
            | Self::Partly { source, .. }
            | Self::CallsKept { first: source, .. }
            | Self::PasswordsKept { first: source, .. }
            | Self::ReconcileWrong(source) => source.kind(),
            Self::ActionFailed { .. } => "action",
            Self::NoMatch { .. } => "bad-credentials",
            Self::PolicyBroken { .. } => "rejected",
            Self::BadAnswer(_) => "bad-answer",
            Self::File { .. } => "file",
            Self::Input(_) | Self::Output(_) | Self::Runtime(_) => "io",
            Self::AuditFault { .. } => "audit",
            Self::ImportFailed { .. } | Self::ImportHeldUp { .. } | Self::ImportStopped => "import",
            Self::TokensFailed { .. } => "tokens",
            Self::GatewaysFailed { .. } => "gateways",
            Self::VersionsUnfit { .. } => "versions",
            Self::NotReleased { .. } => "not-released",
            Self::NeedsLook { .. } => "needs-look",
            Self::TaskFailed { .. }
            | Self::TaskCancelled { .. }
            | Self::TaskLeft { .. }
            | Self::TaskSuspended { .. } => "task",
            Self::CallLeft { .. } => "call",
        }
    }

    /// Whether `portcullis call show` knows the call that came to this: the server may have taken
    /// it.
    pub(crate) fn left_a_call(&self) -> bool {
        match self {
            Self::CallFailed { .. }
            | Self::Indeterminate { .. }
            | Self::Unanswered { .. }
            | Self::Interrupted { .. } => true,
            Self::Partly { source, .. } => source.left_a_call(),
            _ => false,
        }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            // Files to be read are read before anything is sent.
            Self::Usage(_) | Self::File { action: "read", .. } | Self::ReconcileWrong(_) => {
                EXIT_USAGE
            }
            Self::NeedsLook { code } => *code,
            Self::Indeterminate { .. }
            | Self::ImportIndeterminate { .. }
            | Self::ReconcileIndeterminate { .. }
            | Self::ManyIndeterminate { .. }
            | Self::ManyLeft { .. }
            | Self::ImportLeft { .. }
            | Self::Unanswered { .. }
            | Self::Interrupted { .. }
            | Self::Unshown { .. }
            | Self::NotShown { .. }
            | Self::Partly { .. }
            | Self::CallLeft { .. }
            | Self::TaskLeft { .. }
            | Self::TaskSuspended { .. } => EXIT_INDETERMINATE,
            Self::ActionFailed { code, pass, .. } => u8::try_from(*code)
                .ok()
                .filter(|code| *pass && *code != 0)
                .unwrap_or(EXIT_ACTION),
            Self::ReconcileIncomplete { .. } => EXIT_INCOMPLETE,
            Self::Unread => 0,
            _ => EXIT_FAILED,
        }
    }

    /// Whether a file of the caller's was to be new, and is not.
    pub(crate) fn is_there_already(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::AlreadyExists)
    }

    /// The id of the call that it is about, if it is about one.
    pub(crate) fn call_id(&self) -> Option<&str> {
        match self {
            Self::CallFailed { call_id, .. }
            | Self::Indeterminate { call_id, .. }
            | Self::ActionFailed { call_id, .. }
            | Self::CallLeft { call_id } => Some(call_id),
            Self::Interrupted { call_id, .. }
            | Self::Unanswered { call_id, .. }
            | Self::Unshown { call_id, .. } => call_id.as_deref(),
            Self::TokenForgotten { source, .. } => source.call_id(),
            _ => None,
        }
    }
}

impl From<tonic::Status> for CliError {
    fn from(status: tonic::Status) -> Self {
        let message = status.message().to_owned();
        // A status that the server sent has no source; one that tonic makes of a broken connection
        // has.
        if std::error::Error::source(&status).is_some() {
            Self::Lost { detail: message }
        } else {
            Self::Refused {
                code: code(&status),
                message,
            }
        }
    }
}

/// The code of an error of the server's. It leaves `UNAVAILABLE` to what a client says of a server
/// that it does not reach, and gives its own kind for the same.
pub(crate) fn code(status: &tonic::Status) -> Code {
    let kind = status.metadata().get("portcullis-kind");
    match kind.map(|kind| kind.as_bytes()) {
        Some(b"unavailable") => Code::Unavailable,
        _ => status.code(),
    }
}

/// The kind of a call's failure, as a word.
pub(crate) fn failure_word(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Invalid => "invalid",
        FailureKind::NotFound => "not-found",
        FailureKind::AlreadyExists => "already-exists",
        FailureKind::Refused => "refused",
        FailureKind::Unsupported => "unsupported",
        FailureKind::BadCredentials => "bad-credentials",
        FailureKind::Unavailable => "unavailable",
        FailureKind::Rejected => "rejected",
        FailureKind::Busy => "busy",
        FailureKind::Internal => "internal",
        FailureKind::Denied => "denied",
        FailureKind::Policy => "policy",
        FailureKind::AccountLocked => "account-locked",
        FailureKind::AccountDisabled => "account-disabled",
        FailureKind::PasswordExpired => "password-expired",
        // Of a newer gateway, or none at all.
        FailureKind::Unspecified => "other",
        FailureKind::NotBegun => "not-begun",
        FailureKind::Late => "late",
        FailureKind::Forgotten => "forgotten",
    }
}

fn code_word(code: Code) -> &'static str {
    match code {
        Code::InvalidArgument | Code::OutOfRange => "invalid",
        Code::NotFound => "not-found",
        Code::AlreadyExists => "already-exists",
        Code::PermissionDenied | Code::Unauthenticated => "permission-denied",
        Code::FailedPrecondition | Code::Aborted => "refused",
        Code::Unavailable => "unavailable",
        Code::ResourceExhausted => "busy",
        Code::Unimplemented => "unsupported",
        _ => "internal",
    }
}
