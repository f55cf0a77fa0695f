//! On Windows: by its manager of services.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{CliError, Verb, Which, install, remove, upgrade};
use crate::cli::say;
use crate::service::instance::{Instance, NoInstance, SERVICE};
use crate::service::windows_service::control::{self, ControlError, Standing};
use crate::service::windows_service::run;

/// Why the service was not installed, removed, started or stopped.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ServiceError {
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("{name}: {source}", name = .0, source = NoInstance)]
    Instance(String),
    #[error(
        "{path} is the configuration of the gateway `{found}`, not of `{wanted}`: give --instance {found}, or --config another file",
        path = path.display()
    )]
    OtherInstance {
        path: PathBuf,
        found: String,
        wanted: String,
    },
    #[error("{} {problem}", path.display())]
    Folder { path: PathBuf, problem: String },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot find this program: {0}")]
    Program(io::Error),
    #[error("cannot remove {what}: {source}")]
    Remove { what: String, source: io::Error },
    #[error("cannot remember which services ran: {0}")]
    Remember(io::Error),
}

impl From<ControlError> for CliError {
    fn from(error: ControlError) -> Self {
        Self::Service(error.into())
    }
}

pub(super) fn service(config: Option<&Path>, verb: &Verb) -> Result<ExitCode, CliError> {
    match verb {
        Verb::Install(arguments) => install::install(config, arguments)?,
        Verb::Uninstall(arguments) => remove::uninstall(config, arguments)?,
        Verb::Start(which) => each(which, |name| match control::start(name)? {
            true => say(&format!("{name} is running")),
            false => say(&format!("{name} was running already")),
        })?,
        Verb::Stop(which) => each(which, |name| match control::stop(name)? {
            true => say(&format!("{name} has stopped")),
            false => say(&format!("{name} was not running")),
        })?,
        Verb::Status(which) => return status(which),
        Verb::Run => run::run(config.map(Path::to_owned))?,
        Verb::Hold => upgrade::hold()?,
        Verb::Retire => upgrade::retire()?,
        Verb::Resume => upgrade::resume()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn status(which: &Which) -> Result<ExitCode, CliError> {
    let mut all_run = true;
    each(which, |name| {
        let standing = control::standing(name)?;
        all_run &= standing.running;
        describe(name, &standing)
            .iter()
            .try_for_each(|line| say(line))
    })?;
    Ok(match all_run {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn describe(name: &str, standing: &Standing) -> Vec<String> {
    let process = standing.process.map(|id| format!(", process {id}"));
    vec![
        format!(
            "{name} is {}{}",
            standing.state,
            process.unwrap_or_default()
        ),
        format!("    starts   {}", standing.start),
        format!("    account  {}", standing.account),
        format!("    runs     {}", standing.command.display()),
    ]
}

/// Does it with the service that is named, or with each of this program's.
pub(super) fn each(
    which: &Which,
    mut act: impl FnMut(&str) -> Result<(), CliError>,
) -> Result<(), CliError> {
    if which.all {
        return ours()?.iter().try_for_each(|name| act(name));
    }
    act(&instance(&which.instance)?.service())
}

/// The gateway of that name.
pub(super) fn instance(name: &str) -> Result<Instance, ServiceError> {
    name.parse()
        .map_err(|NoInstance| ServiceError::Instance(name.to_owned()))
}

/// The gateway that a service runs.
pub(super) fn instance_of(service: &str) -> Result<Instance, ServiceError> {
    let name = service.strip_prefix(SERVICE).unwrap_or_default();
    instance(name.strip_prefix('-').unwrap_or_default())
}

/// The services of this host that run this program.
pub(super) fn ours() -> Result<Vec<String>, ServiceError> {
    let program = program()?;
    let mut ours = Vec::new();
    for name in control::installed()? {
        match control::standing(&name) {
            Ok(standing) if runs(&standing.command, &program) => ours.push(name),
            Ok(_) | Err(ControlError::NotInstalled(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(ours)
}

/// This program.
pub(super) fn program() -> Result<PathBuf, ServiceError> {
    std::env::current_exe().map_err(ServiceError::Program)
}

/// Whether a command line begins with this program, in quotes or not. Names of files are the same
/// in capitals.
fn runs(command: &Path, program: &Path) -> bool {
    let command = command.to_string_lossy().to_lowercase();
    let program = program.to_string_lossy().to_lowercase();
    command.trim_start_matches('"').starts_with(&program)
}
