//! `portcullis`, the administrators' command: a client of the server's admin API.
//!
//! A noun is a file: the enum of its verbs, what each asks of the server, and what the answer looks
//! like. A verb that asks, shows or prompts in an involved way has its own file in the noun's
//! folder. A verb for a method that is there is one variant and its arm.

#![forbid(unsafe_code)]

mod approval;
mod audit;
mod bulk;
mod call;
mod call_view;
mod class;
mod common_resource;
mod context;
mod detail;
mod error;
mod fan_out;
mod fleet;
mod gateway;
mod import;
mod input;
mod key;
mod login;
mod login_setup;
mod mapping;
mod object;
mod pending;
mod policy;
mod queue;
mod reconcile;
mod resource;
mod rotate;
mod run;
mod schema;
mod server;
mod session_file;
mod status;
mod sync;
mod targets;
mod task;
mod time;
mod tls;
mod user;
mod view;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use portcullis_common::secret::wiping::Wiping;
use portcullis_host::command_line;
use portcullis_host::self_description::{Section, SelfDescription};

use context::{Context, Format};
use error::CliError;
use session_file::SessionFile;

/// Where the server's admin API listens unless its configuration says otherwise.
const DEFAULT_SOCKET: &str = "/run/portcullis/admin.sock";

const AFTER_HELP: &str = "\
Exit codes: 0 done; 1 failed, and nothing changed; 2 wrong usage; 3 nobody knows whether it was carried out (look, then
decide), also after an interrupt; 4 an action ran and ended with another code than 0; 5 a reconciliation could not read all.
With --output json, results go to stdout as one object or one array, and an error goes to stderr as
{\"error\":{\"kind\":\"…\",\"message\":\"…\"}}.
TRACEPARENT in the environment says which trace (W3C Trace Context) a command belongs to.
No secret is ever an argument: passwords come from a prompt, from standard input, or from a file.";

/// Administers a Portcullis server: its gateways, keys and resources, and the accounts and groups
/// behind them.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, about, after_help = AFTER_HELP, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct GlobalArgs {
    /// The server's admin socket
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "PORTCULLIS_SOCKET",
        default_value = DEFAULT_SOCKET
    )]
    socket: PathBuf,
    /// Where the session of `login` is kept; otherwise in ~/.config/portcullis/session
    #[arg(long, global = true, value_name = "FILE", env = "PORTCULLIS_SESSION")]
    session: Option<PathBuf>,
    /// How results and errors are printed
    #[arg(long, global = true, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show how the server is: gateways, alarms, calls, tasks, keys, audit log; --check for
    /// monitoring, --wait for scripts
    Status(status::StatusArgs),
    /// Log in as a user: from then on commands to this server act as that user, and no other
    Login(login::LoginArgs),
    /// End the session of `login`
    Logout,
    /// Sessions: who is logged in
    #[command(subcommand)]
    Session(login::SessionCommand),
    /// Servers: those that are at work on the repository
    #[command(subcommand)]
    Server(server::ServerCommand),
    /// Gateways: the agents on the resource hosts
    #[command(subcommand)]
    Gateway(gateway::GatewayCommand),
    /// The fleet as a whole: which versions fit, and upgrades in waves
    #[command(subcommand)]
    Fleet(fleet::FleetCommand),
    /// Keys: make, list and replace them, and encrypt what they protect anew
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Tasks: long work that the server does by itself
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// Resources: what accounts live on, each behind a connector of a gateway
    #[command(subcommand)]
    Resource(resource::ResourceCommand),
    /// Common resources: directories in a fixed order, among which a log-in finds its account
    #[command(subcommand)]
    CommonResource(common_resource::CommonResourceCommand),
    /// Users: the people of the identity system, their passwords and answers
    #[command(subcommand)]
    User(user::UserCommand),
    /// What passwords have to be: rules, dictionary, history
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Accounts of a resource
    #[command(subcommand)]
    Account(object::AccountCommand),
    /// Groups of a resource
    #[command(subcommand)]
    Group(object::GroupCommand),
    /// Show and search objects of any class on a resource, such as organizational units
    #[command(subcommand)]
    Object(object::ObjectCommand),
    /// Hold the accounts of a resource against a file or another resource, and repair what differs
    Reconcile(reconcile::ReconcileArgs),
    /// The audit log: who did what, and what came of it
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// List what waits for a second person (`admin.second_person`)
    Approvals,
    /// Approve, as the second person, what another user has asked for
    Approve(approval::ApproveArgs),
    /// Queued calls: what waits for its gateway, and what came of it
    #[command(subcommand)]
    Call(queue::QueueCommand),
    /// Show what has changed on a resource since the last time, and go on with --follow
    Sync(sync::SyncArgs),
    /// Run one of the actions that the gateway's configuration allows
    Run(run::RunArgs),
    /// Two authorities for TLS around the channel, and certificates under them: files, without a
    /// server
    #[command(subcommand)]
    Tls(tls::TlsCommand),
    #[command(flatten)]
    SelfDescription(SelfDescription),
}

/// Passwords pass through the buffers of libraries that do not erase them; freed memory never holds
/// one.
#[global_allocator]
static ALLOCATOR: Wiping = Wiping::new();

fn main() -> ExitCode {
    // Passwords and tokens pass through here: they are not to end in a core file.
    if let Err(error) = portcullis_host::hardening::forbid_core_dumps() {
        eprintln!("portcullis: cannot switch off core dumps, which would hold passwords: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::from(run_with(std::env::args_os().collect()))
}

fn run_with(arguments: Vec<OsString>) -> u8 {
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, wants_json(&arguments)),
    };
    let session = SessionFile::new(cli.global.session);
    let context = Context::new(cli.global.socket, session, cli.global.output);
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return context.fail(CliError::Runtime(error)),
    };
    let outcome = runtime.block_on(async {
        tokio::select! {
            biased;
            outcome = dispatch(cli.command, &context) => outcome,
            () = context.pending().interrupted() => Err(CliError::Interrupted {
                method: context.pending().method().unwrap_or_default(),
                call_id: context.pending().call_id(),
            }),
        }
    });
    // What it waits for in the background is nobody's any more.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => 0,
        Err(error) => context.fail(error),
    }
}

async fn dispatch(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Status(args) => args.run(context).await,
        Command::Login(args) => args.run(context).await,
        Command::Logout => login::logout(context).await,
        Command::Session(command) => command.run(context).await,
        Command::Server(command) => command.run(context).await,
        Command::Gateway(command) => command.run(context).await,
        Command::Fleet(command) => command.run(context).await,
        Command::Key(command) => command.run(context).await,
        Command::Task(command) => command.run(context).await,
        Command::Resource(command) => command.run(context).await,
        Command::CommonResource(command) => command.run(context).await,
        Command::User(command) => command.run(context).await,
        Command::Policy(command) => command.run(context).await,
        Command::Account(command) => command.run(context).await,
        Command::Group(command) => command.run(context).await,
        Command::Object(command) => command.run(context).await,
        Command::Reconcile(args) => args.run(context).await,
        Command::Audit(command) => command.run(context).await,
        Command::Approvals => approval::list(context).await,
        Command::Approve(args) => args.run(context).await,
        Command::Call(command) => command.run(context).await,
        Command::Sync(args) => args.run(context).await,
        Command::Run(args) => args.run(context).await,
        Command::Tls(command) => command.run(context),
        Command::SelfDescription(verb) => verb
            .tell::<Cli>(Section::Commands)
            .map_err(CliError::Output),
    }
}

/// Prints what clap has to say, and gives the exit code: help and version are no errors.
fn usage(error: &clap::Error, json: bool) -> u8 {
    if command_line::informs(error) {
        return command_line::inform(error);
    }
    if json {
        let text = command_line::own_words(error).unwrap_or_else(|| error.render().to_string());
        let message = text.trim().trim_start_matches("error: ");
        return context::fail_json(&CliError::usage(message));
    }
    command_line::refuse(error)
}

/// Whether `--output json` stands among arguments that do not parse as a whole.
fn wants_json(arguments: &[OsString]) -> bool {
    arguments.iter().any(|a| a == "--output=json")
        || arguments
            .windows(2)
            .any(|pair| pair[0] == "--output" && pair[1] == "json")
}
