//! `portcullis-server init`: a repository, its secret and its first keys.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::config::{Config, SecretSource};
use crate::keys::protection::files;
use crate::keys::protection::pbe::Kdf;
use crate::repository::Store;
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

/// `portcullis-server init`: what was made, in words.
pub(super) fn run(config: &Config, arguments: &InitArgs) -> Result<String, InitError> {
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
    let secret = match arguments.protection {
        Protection::Pbe => format!("secret       {}\n", place(&config.secret)),
        Protection::Default => String::new(),
    };
    let advice = match arguments.protection {
        Protection::Pbe => {
            "Back up the secret apart from the repository: each is of no use without the other."
        }
        Protection::Default => {
            "The keys are NOT protected: whoever gets hold of the repository has everything.\n\
             `portcullis key protect pbe` protects them."
        }
    };
    Ok(format!(
        "repository   {}\n{secret}server id    {}\ngateway key  {}\n\n{advice}\nNext: `portcullis-server serve`.\n",
        Store::of(config),
        made.server_id,
        made.gateway_key,
    ))
}

fn place(source: &SecretSource) -> String {
    match source {
        SecretSource::File(path) => path.display().to_string(),
        SecretSource::Credential(name) => format!("the credential `{name}`"),
        SecretSource::Prompt => "typed at each start".to_owned(),
    }
}
