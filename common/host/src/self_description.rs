//! What every program tells of its own command line: completions for shells, and manual pages.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory, Subcommand};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::output;

/// The verbs for it. They need neither a configuration nor a server.
#[derive(Debug, Subcommand)]
pub enum SelfDescription {
    /// Print completions for a shell, such as: completions bash >
    /// /etc/bash_completion.d/PROGRAM
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write manual pages into a folder, such as /usr/local/share/man/man1 (of the programs that
    /// run as services: man8)
    Man {
        /// The folder; made where it is missing
        folder: PathBuf,
    },
}

/// The section of the manual that a program's pages belong to. So those of `portcullis gateway` and
/// of `portcullis-gateway`, which have the same name, do not meet.
#[derive(Clone, Copy, Debug)]
pub enum Section {
    /// 1, of a command that people give.
    Commands,
    /// 8, of a program that runs as a service.
    Services,
}

impl Section {
    const fn number(self) -> &'static str {
        match self {
            Self::Commands => "1",
            Self::Services => "8",
        }
    }
}

impl SelfDescription {
    /// Tells what is asked for, of the program whose command line `T` reads.
    ///
    /// # Errors
    /// What the system said.
    pub fn tell<T: CommandFactory>(&self, section: Section) -> io::Result<()> {
        match self {
            Self::Completions { shell } => completions::<T>(*shell),
            Self::Man { folder } => man::<T>(folder, section),
        }
    }
}

fn completions<T: CommandFactory>(shell: Shell) -> io::Result<()> {
    let mut command = T::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

fn man<T: CommandFactory>(folder: &Path, section: Section) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut command = T::command().disable_help_subcommand(true);
    command.build();
    pages(&command, folder, section)
}

/// A page for the command and for each verb below it.
fn pages(command: &Command, folder: &Path, section: Section) -> io::Result<()> {
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        pages(verb, folder, section)?;
    }
    let page = Man::new(command.clone()).section(section.number());
    page.generate_to(folder).map(drop)
}
