//! What every program tells of its own command line: completions for shells, and manual pages.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Subcommand};
use clap_complete::Shell;

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
    /// Write manual pages into a folder, such as /usr/local/share/man/man1
    Man {
        /// The folder; made where it is missing
        folder: PathBuf,
    },
}

impl SelfDescription {
    /// Tells what is asked for, of the program whose command line `T` reads.
    ///
    /// # Errors
    /// What the system said.
    pub fn tell<T: CommandFactory>(&self) -> io::Result<()> {
        match self {
            Self::Completions { shell } => completions::<T>(*shell),
            Self::Man { folder } => man::<T>(folder),
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

fn man<T: CommandFactory>(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(T::command(), folder)
}
