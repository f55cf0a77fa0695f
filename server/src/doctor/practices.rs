//! Practices that the configuration alone shows: how the server is reached, who may do what, what
//! is audited.

use portcullis_host::doctor::Diagnosis;

use crate::config::{Config, Principal, SecretSource, What};

/// More than so many users and groups with the widest capability are no restriction.
const MOST_ADMINISTRATORS: usize = 4;

pub(super) fn examine(config: &Config, diagnosis: &mut Diagnosis) {
    reached(config, diagnosis);
    administrators(config, diagnosis);
    secret(config, diagnosis);
    audit(config, diagnosis);
}

fn reached(config: &Config, diagnosis: &mut Diagnosis) {
    let socket = config.admin.socket.display();
    diagnosis.fine(
        "administration",
        format!("only over the Unix socket {socket}: no password crosses a network"),
    );
    match config.dial_out.listen {
        Some(address) => diagnosis.fine(
            "dial-out port",
            format!("gateways that dial out are awaited on {address}; `[dial_out] listen = \"\"` closes it"),
        ),
        None => diagnosis.fine("dial-out port", "closed"),
    }
    if let Some(peers) = &config.peers {
        diagnosis.fine(
            "peers port",
            format!(
                "other servers of this repository are awaited on {}, and dial {}; whoever is none of them is refused",
                peers.listen, peers.advertise
            ),
        );
    }
    match config.watch.listen {
        Some(address) if !address.ip().is_loopback() => diagnosis.warning(
            "watch port",
            format!("others than this host read health and metrics on {address}, and nobody proves who he is"),
            "listen on 127.0.0.1 and have an agent of your monitoring ask there, or keep it behind a firewall",
        ),
        Some(address) => diagnosis.fine("watch port", format!("{address}, for this host alone")),
        None => diagnosis.note(
            "watch port",
            "nobody is told health and metrics",
            "set [watch] listen = \"127.0.0.1:9280\", and take deploy/monitoring/alerts.yml",
        ),
    }
}

fn administrators(config: &Config, diagnosis: &mut Diagnosis) {
    let security = &config.capabilities.security_administrator;
    let groups = |list: &[Principal]| list.iter().any(|one| matches!(one, Principal::Group(_)));
    if config.capabilities.is_empty() {
        diagnosis.note(
            "least privilege",
            "root and the server's own user do everything: nobody else may do anything",
            "give people of their own what their work needs, in [capabilities]: the audit log then knows who it was",
        );
    } else if security.len() > MOST_ADMINISTRATORS || groups(security) {
        diagnosis.warning(
            "least privilege",
            format!(
                "{} users and groups are security-administrators",
                security.len()
            ),
            "name few users, and no group whose members others choose",
        );
    } else {
        diagnosis.fine("least privilege", "few are security-administrators");
    }
    if config.admin.second_person {
        diagnosis.fine(
            "second person",
            "what does the most harm has to be approved by another",
        );
    } else if security.len() > 1 {
        diagnosis.warning(
            "second person",
            "one alone can export keys without protection, unprotect them, or accept a changed audit log",
            "set [admin] second_person = true",
        );
    } else {
        diagnosis.note(
            "second person",
            "one alone can export keys without protection, unprotect them, or accept a changed audit log",
            "with two security-administrators, set [admin] second_person = true",
        );
    }
}

fn secret(config: &Config, diagnosis: &mut Diagnosis) {
    match &config.secret {
        SecretSource::File(path) if path.starts_with(&config.data_dir) => diagnosis.warning(
            "secret",
            format!("{} lies beside the repository that it opens: a copy of the folder is all that a thief needs", path.display()),
            "keep it elsewhere, or give it as an encrypted credential of the unit (secret_credential)",
        ),
        SecretSource::File(path) => diagnosis.fine("secret", path.display().to_string()),
        SecretSource::Credential(name) => {
            diagnosis.fine("secret", format!("the credential `{name}` of the unit"));
        }
        SecretSource::Prompt => diagnosis.fine("secret", "typed at each start"),
    }
}

fn audit(config: &Config, diagnosis: &mut Diagnosis) {
    if config.audit.calls {
        diagnosis.fine("auditing", "changes and calls leave entries");
    } else {
        diagnosis.warning(
            "auditing",
            "calls on resources leave no entries",
            "set [audit] calls = true",
        );
    }
    let everything = |what: What| what == What::Everything;
    if config.forward.iter().any(|place| everything(place.what)) {
        diagnosis.fine(
            "audit copies",
            "entries are sent elsewhere as they are written",
        );
    } else {
        diagnosis.note(
            "audit copies",
            "the log stands on this host alone",
            "send it elsewhere ([forward]), or export it now and then",
        );
    }
}
