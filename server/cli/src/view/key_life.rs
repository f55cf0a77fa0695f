//! What protection, export, import and deletion did to keys.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::SystemTime;

use portcullis_common::id::{KeyId, ServerId};
use portcullis_proto::admin::v1::{
    DeleteKeyResponse, DependentValues, ExportedKey, ImportKeysResponse, ProtectResponse,
    Protection,
};
use serde_json::{Value, json};

use super::View;
use super::{facts, list};
use crate::time::rfc3339;
use crate::view::printable;

/// The warning that belongs to a repository without protection; `None`: it is protected.
pub(crate) fn protection_warning(protection: &Protection) -> Option<&'static str> {
    (protection.scheme == "default").then_some(
        "warning: the server keys are NOT protected: whoever gets hold of the repository has everything; `portcullis key protect pbe` protects them",
    )
}

/// A change of the protection.
pub(crate) struct ProtectView(pub(crate) ProtectResponse);

impl View for ProtectView {
    fn table(&self, _: SystemTime) -> String {
        let answer = &self.0;
        let protection = answer.protection.clone().unwrap_or_default();
        let mut text = facts([
            ("protection", Some(protection.scheme.clone())),
            ("derivation", Some(protection.derivation.clone())),
            ("generation", Some(protection.generation.to_string())),
            (
                "server keys",
                Some(format!("{} wrapped anew", answer.server_keys)),
            ),
            ("secret", Some(answer.secret_file.clone())),
        ]);
        if !answer.secret_file.is_empty() {
            text.push_str(
                "\nBack the secret file up now, apart from the repository. Backups of the repository made before open with the secret before only.",
            );
        }
        if !answer.to_be_placed.is_empty() && protection.scheme == "default" {
            let _ = write!(
                text,
                "\nTake {} out of the server's configuration: the next start refuses it beside a repository without protection.",
                printable(&answer.to_be_placed)
            );
        } else if !answer.to_be_placed.is_empty() {
            let _ = write!(
                text,
                "\nFrom the next start on, {} must hold the new secret: change it there now.",
                printable(&answer.to_be_placed)
            );
        }
        if let Some(warning) = protection_warning(&protection) {
            let _ = write!(text, "\n{warning}");
        }
        not_scrubbed(&mut text, &answer.not_scrubbed);
        text
    }

    fn json(&self) -> Value {
        let answer = &self.0;
        let protection = answer.protection.clone().unwrap_or_default();
        json!({
            "protection": protection.scheme,
            "derivation": some(&protection.derivation),
            "generation": protection.generation,
            "changed": rfc3339(protection.changed_unix_ms),
            "server_keys": answer.server_keys,
            "secret_file": some(&answer.secret_file),
            "to_be_placed": some(&answer.to_be_placed),
            "not_scrubbed": some(&answer.not_scrubbed),
        })
    }
}

/// An export that was written.
pub(crate) struct ExportView {
    pub(crate) file: PathBuf,
    pub(crate) keys: Vec<ExportedKey>,
    pub(crate) unprotected: bool,
}

impl View for ExportView {
    fn table(&self, _: SystemTime) -> String {
        let rows = self
            .keys
            .iter()
            .map(|key| vec![key.key_id.clone(), key.purpose.clone(), key.state.clone()]);
        let mut text = list(&["key", "purpose", "state"], rows);
        let _ = write!(
            text,
            "\n{} keys exported to {}",
            self.keys.len(),
            self.file.display()
        );
        if self.unprotected {
            text.push_str("\nwarning: the file is NOT protected: whoever reads it has these keys");
        }
        text
    }

    fn json(&self) -> Value {
        json!({
            "file": self.file,
            "unprotected": self.unprotected,
            "keys": self.keys.iter().map(key_json).collect::<Vec<_>>(),
        })
    }
}

/// An import, or what one would do.
pub(crate) struct ImportView {
    pub(crate) server_id: ServerId,
    pub(crate) answer: ImportKeysResponse,
    pub(crate) dry_run: bool,
}

impl View for ImportView {
    fn table(&self, _: SystemTime) -> String {
        let rows = self.answer.keys.iter().map(|key| {
            let what = match key.outcome.as_str() {
                "present" => "was here already",
                other => other,
            };
            let key = key.key.clone().unwrap_or_default();
            vec![key.key_id, key.purpose, key.state, what.to_owned()]
        });
        let mut text = format!("export of server {}\n", self.server_id);
        text.push_str(&list(&["key", "purpose", "state then", "now"], rows));
        for values in &self.answer.opened {
            let _ = write!(
                text,
                "\n{} {} open now",
                values.count,
                printable(&values.r#type)
            );
        }
        if self.answer.damaged > 0 {
            let _ = write!(
                text,
                "\n{} values do not open though their key is here: they were changed or moved",
                self.answer.damaged
            );
        }
        if self.answer.still_closed > 0 {
            let _ = write!(
                text,
                "\n{} values stay closed: their server key is still away",
                self.answer.still_closed
            );
        }
        if self.dry_run {
            text.push_str("\nnothing was changed: this is what the import would do");
        }
        text
    }

    fn json(&self) -> Value {
        let keys = self.answer.keys.iter().map(|key| {
            let mut value = key_json(&key.key.clone().unwrap_or_default());
            value["outcome"] = key.outcome.clone().into();
            value
        });
        json!({
            "server_id": self.server_id.to_string(),
            "dry_run": self.dry_run,
            "keys": keys.collect::<Vec<_>>(),
            "opened": self.answer.opened.iter().map(|values| json!({
                "type": values.r#type, "count": values.count,
            })).collect::<Vec<_>>(),
            "damaged": self.answer.damaged,
            "still_closed": self.answer.still_closed,
        })
    }
}

/// A deletion, or what depends on the key.
pub(crate) struct DeleteView {
    pub(crate) id: KeyId,
    pub(crate) answer: DeleteKeyResponse,
    pub(crate) deleted: bool,
}

impl DeleteView {
    /// In a sentence: what is lost with the key.
    pub(crate) fn summary(&self) -> String {
        let values: u64 = self.answer.values.iter().map(|values| values.count).sum();
        format!(
            "{} key {}: {values} values and {} gateways depend on it; {} values of the repository do not open now, {} without it",
            self.answer.purpose,
            self.id,
            self.answer.gateways.len(),
            self.answer.closed_before,
            self.answer.closed_after,
        )
    }
}

impl View for DeleteView {
    fn table(&self, _: SystemTime) -> String {
        let answer = &self.answer;
        let mut text = String::new();
        if !answer.values.is_empty() {
            let rows = answer.values.iter().map(|values| {
                vec![
                    values.r#type.clone(),
                    values.count.to_string(),
                    owners(values),
                ]
            });
            text.push_str(&list(&["type", "values", "of"], rows));
            text.push('\n');
        }
        if !answer.gateways.is_empty() {
            let rows = answer
                .gateways
                .iter()
                .map(|gateway| vec![gateway.name.clone(), gateway.dependency.clone()]);
            text.push_str(&list(&["gateway", "this key was"], rows));
            text.push('\n');
        }
        if self.deleted {
            let _ = write!(text, "{} key {} is deleted", answer.purpose, self.id);
            if answer.closed_after > answer.closed_before {
                let _ = write!(
                    text,
                    "\n{} values of the repository do not open any more, {} before",
                    answer.closed_after, answer.closed_before
                );
            }
            if !answer.gateways.is_empty() {
                text.push_str(
                    "\nthe gateways above have to enrol again: `portcullis gateway token NAME`",
                );
            }
        } else if answer.current {
            let _ = write!(
                text,
                "{} key {} is the current one: it is never deleted",
                answer.purpose, self.id
            );
        } else {
            text.push_str(&self.summary());
        }
        not_scrubbed(&mut text, &answer.not_scrubbed);
        text
    }

    fn json(&self) -> Value {
        let answer = &self.answer;
        json!({
            "key_id": self.id.to_string(),
            "purpose": answer.purpose,
            "deleted": self.deleted,
            "current": answer.current,
            "values": answer.values.iter().map(|values| json!({
                "type": values.r#type, "count": values.count, "owners": values.owners,
            })).collect::<Vec<_>>(),
            "gateways": answer.gateways.iter().map(|gateway| json!({
                "gateway": gateway.name, "dependency": gateway.dependency,
            })).collect::<Vec<_>>(),
            "closed_before": answer.closed_before,
            "closed_after": answer.closed_after,
            "not_scrubbed": some(&answer.not_scrubbed),
        })
    }
}

fn key_json(key: &ExportedKey) -> Value {
    json!({
        "key_id": key.key_id,
        "purpose": key.purpose,
        "kind": key.kind,
        "state": key.state,
    })
}

fn owners(values: &DependentValues) -> String {
    let mut text = values.owners.join(", ");
    if values.owners.len() as u64 >= 1000 && values.count > 1000 {
        text.push_str(", …");
    }
    text
}

fn not_scrubbed(text: &mut String, reason: &str) {
    if !reason.is_empty() {
        let _ = write!(
            text,
            "\nwarning: the old bytes could not be overwritten in the repository's files yet: {}",
            printable(reason)
        );
    }
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
