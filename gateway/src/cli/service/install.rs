//! `service install`: everything is looked at before anything is made, and what was made goes
//! again where a later step fails.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use portcullis_common::rotation::EnrolmentToken;
use portcullis_host::clock;

use super::platform::{ServiceError, instance, program};
use super::{CliError, Install};
use crate::access_list::{self, Forbidden};
use crate::cli::{enroll, say};
use crate::config::{Config, Dial};
use crate::connectors::Connectors;
use crate::event_log;
use crate::key_store;
use crate::service::instance::{Instance, SERVICE};
use crate::service::settings::{Dialled, Settings};
use crate::service::windows_service::control::{self, NewService};

/// Sets a gateway up, and says what was done, also in the file that is asked for.
pub(super) fn install(config: Option<&Path>, arguments: &Install) -> Result<(), CliError> {
    let done = Plan::new(config, arguments).and_then(|plan| plan.carry_out());
    let (event, lines) = match &done {
        Ok(lines) => ("set_up", lines.join("\n")),
        Err(error) => ("not_set_up", format!("nothing was set up: {error}")),
    };
    let name = arguments.instance.parse::<Instance>();
    let source = name.map_or_else(|_| SERVICE.to_owned(), |instance| instance.service());
    event_log::tell(&source, event, &lines);
    if let Some(file) = &arguments.report {
        report(file, &lines)?;
    }
    done?.iter().try_for_each(|line| say(line))
}

/// What is to be there at the end.
struct Plan {
    instance: Instance,
    file: PathBuf,
    /// The text of the configuration, where there is none.
    settings: String,
    /// Who dials, where the arguments say so.
    dialled: Option<Dialled>,
    token: Option<EnrolmentToken>,
    program: PathBuf,
    start: bool,
}

/// What was made, for the case that a later step fails.
#[derive(Default)]
struct Made {
    settings: bool,
    keys: bool,
    service: bool,
}

impl Plan {
    fn new(config: Option<&Path>, arguments: &Install) -> Result<Self, CliError> {
        let instance = instance(&arguments.instance)?;
        let file = match config {
            Some(file) => std::path::absolute(file).map_err(|source| ServiceError::Write {
                path: file.to_owned(),
                source,
            })?,
            None => instance.config_file(),
        };
        let dialled = Dialled::read(&arguments.server, &arguments.listen)?;
        let powershell = powershell();
        let accounts = given(&arguments.local_accounts).map(Path::new);
        let settings = Settings {
            instance: &instance,
            dialled: &dialled,
            local_accounts: accounts.map(|folder| (folder, powershell.as_path())),
        };
        let settings = settings.text()?;
        let named = given(&arguments.server).or(given(&arguments.listen));
        let token = given(&arguments.token_file).map(|file| enroll::from_file(Path::new(file)));
        Ok(Self {
            dialled: named.map(|_| dialled),
            token: token.transpose()?,
            program: program()?,
            start: arguments.start,
            instance,
            file,
            settings,
        })
    }

    fn carry_out(&self) -> Result<Vec<String>, CliError> {
        let mut made = Made::default();
        self.steps(&mut made).inspect_err(|_| self.undo(&made))
    }

    fn steps(&self, made: &mut Made) -> Result<Vec<String>, CliError> {
        let mut said = Vec::new();
        made.settings = self.write_settings()?;
        let config =
            Config::load(Some(&self.file), Connectors::problems).map_err(CliError::Config)?;
        if config.instance != self.instance.name() {
            return Err(CliError::Service(ServiceError::OtherInstance {
                path: self.file.clone(),
                found: config.instance,
                wanted: self.instance.name().to_owned(),
            }));
        }
        said.push(match made.settings {
            true => format!("the settings are in {}", self.file.display()),
            false => format!("{} was there and stays as it is", self.file.display()),
        });
        said.extend(self.disregarded(&config));
        if let Some(token) = &self.token {
            let taken = enroll::take(&config, token, false)?;
            made.keys = taken.is_new;
            said.push(taken.said);
        }
        let name = self.instance.service();
        let installed = control::install(&NewService {
            instance: &self.instance,
            program: &self.program,
            config: &self.file,
        })?;
        made.service = installed.is_new;
        said.push(match installed.is_new {
            true => format!("the service {name} is installed"),
            false => format!("the service {name} was there, and starts this program now"),
        });
        let refused = installed.refused.into_iter();
        said.extend(
            refused.map(|what| format!("note: the manager of services did not take {what}")),
        );
        if let Err(error) = event_log::register(&name, &self.program) {
            said.push(format!(
                "note: the Event Log shows the events of {name} without their texts: {error}"
            ));
        }
        said.push(self.started(&config, &name)?);
        Ok(said)
    }

    /// Writes the configuration where there is none. `false`: there is one.
    fn write_settings(&self) -> Result<bool, ServiceError> {
        if self.file.exists() {
            return Ok(false);
        }
        let failed = |source| ServiceError::Write {
            path: self.file.clone(),
            source,
        };
        let folder = self.file.parent().unwrap_or(Path::new(""));
        access_list::create_private_folders(folder).map_err(failed)?;
        // Anybody may have made it before, who could then put another file in this one's place.
        access_list::check(folder, Forbidden::Writing).map_err(|error| ServiceError::Folder {
            path: folder.to_owned(),
            problem: error.to_string(),
        })?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&self.file)
            .map_err(failed)?;
        let written = file
            .write_all(self.settings.replace('\n', "\r\n").as_bytes())
            .and_then(|()| file.sync_all());
        written
            .inspect_err(|_| drop(fs::remove_file(&self.file)))
            .map_err(failed)?;
        Ok(true)
    }

    /// What was asked for, and stands otherwise in a configuration that was there.
    fn disregarded(&self, config: &Config) -> Option<String> {
        let differs = match (self.dialled.as_ref()?, &config.dial) {
            (Dialled::Listen(wanted), Dial::Listen(found)) => wanted != found,
            (Dialled::Server(wanted), Dial::Out { server, .. }) => wanted != server,
            _ => true,
        };
        differs.then(|| {
            "note: it says otherwise who dials and where, and that holds: edit it to change it"
                .to_owned()
        })
    }

    fn started(&self, config: &Config, name: &str) -> Result<String, CliError> {
        let enrolled = key_store::open(config).load_if_created()?.is_some();
        if !enrolled {
            return Ok(format!(
                "next: `portcullis-gateway --config \"{}\" enroll` with the token that `portcullis gateway add` printed, then `portcullis-gateway service start{}`",
                self.file.display(),
                self.option()
            ));
        }
        if !self.start {
            return Ok(format!(
                "next: `portcullis-gateway service start{}`",
                self.option()
            ));
        }
        control::start(name)?;
        Ok(format!("{name} is running"))
    }

    fn option(&self) -> String {
        match self.instance.name() {
            "default" => String::new(),
            name => format!(" --instance {name}"),
        }
    }

    /// Best effort: what fails here was told of already, by what failed before.
    fn undo(&self, made: &Made) {
        if made.service {
            let _ = control::uninstall(&self.instance.service());
            let _ = event_log::unregister(&self.instance.service());
        }
        if made.keys
            && let Ok(config) = Config::load(Some(&self.file), Connectors::problems)
        {
            let _ = key_store::open(&config).reset();
        }
        if made.settings {
            let _ = fs::remove_file(&self.file);
        }
    }
}

/// `None` where it is empty.
fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Where every Windows has it.
fn powershell() -> PathBuf {
    let root = std::env::var_os("SystemRoot");
    root.map_or_else(|| PathBuf::from(r"C:\Windows"), PathBuf::from)
        .join(r"System32\WindowsPowerShell\v1.0\powershell.exe")
}

fn report(path: &Path, lines: &str) -> Result<(), ServiceError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    access_list::create_private_folders(folder)
        .and_then(|()| OpenOptions::new().append(true).create(true).open(path))
        .and_then(|mut file| {
            let text = format!("{}\n{lines}\n", clock::text(clock::now()));
            file.write_all(text.replace('\n', "\r\n").as_bytes())
        })
        .map_err(|source| ServiceError::Write {
            path: path.to_owned(),
            source,
        })
}
