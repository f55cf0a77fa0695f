//! `portcullis-server init`: a repository, its secret and its first keys.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::config::{Config, SecretSource};
use crate::keys::protection::files;
use crate::keys::protection::pbe::Kdf;
use crate::serve::init::{InitError, InitProtection, init_protected};

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// What protects the keys in the repository.
    #[arg(long, value_enum, default_value_t)]
    protection: Protection,
    /// Take the secret from this file; the server's secret file is made from it, where there is
    /// none.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// How the key is derived from the secret.
    #[arg(long, value_enum, default_value_t)]
    kdf: KdfChoice,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Protection {
    /// A secret kept apart from the repository.
    #[default]
    Pbe,
    /// None but a key that is compiled in and public: whoever has the repository has everything.
    Default,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum KdfChoice {
    /// PBKDF2-HMAC-SHA-256.
    #[default]
    Pbkdf2,
    /// scrypt.
    Scrypt,
}

/// `portcullis-server init`
pub(super) fn run(config: &Config, arguments: &InitArgs) -> Result<(), InitError> {
    let protection = match arguments.protection {
        Protection::Default => InitProtection::Default,
        Protection::Pbe => InitProtection::Pbe {
            secret: arguments
                .secret_file
                .as_deref()
                .map(files::read_private)
                .transpose()?,
            kdf: match arguments.kdf {
                KdfChoice::Pbkdf2 => Kdf::Pbkdf2,
                KdfChoice::Scrypt => Kdf::Scrypt,
            },
        },
    };
    let made = super::serve::runtime(1)
        .map_err(InitError::Runtime)?
        .block_on(init_protected(config, protection))?;
    println!("repository   {}", config.repository_file().display());
    if arguments.protection == Protection::Pbe {
        println!("secret       {}", place(&config.secret));
    }
    println!("server id    {}", made.server_id);
    println!("gateway key  {}", made.gateway_key);
    println!();
    match arguments.protection {
        Protection::Pbe => println!(
            "Back up the secret apart from the repository: each is of no use without the other."
        ),
        Protection::Default => println!(
            "The keys are NOT protected: whoever gets hold of the repository has everything.\n\
             `portcullis key protect pbe` protects them."
        ),
    }
    println!("Next: `portcullis-server serve`.");
    Ok(())
}

fn place(source: &SecretSource) -> String {
    match source {
        SecretSource::File(path) => path.display().to_string(),
        SecretSource::Credential(name) => format!("the credential `{name}`"),
        SecretSource::Prompt => "typed at each start".to_owned(),
    }
}
