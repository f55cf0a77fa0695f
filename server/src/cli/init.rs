use crate::config::Config;
use crate::serve::init::{InitError, init};

/// `portcullis-server init`
pub(super) fn run(config: &Config) -> Result<(), InitError> {
    let made = super::serve::runtime(1)
        .map_err(InitError::Runtime)?
        .block_on(init(config))?;
    println!("repository   {}", config.repository_file().display());
    println!("secret       {}", config.secret_file.display());
    println!("server id    {}", made.server_id);
    println!("gateway key  {}", made.gateway_key);
    println!();
    println!("Back up the secret apart from the repository: each is of no use without the other.");
    println!("Next: `portcullis-server serve`.");
    Ok(())
}
