//! What came of many calls, each of them and all together.

use std::time::SystemTime;

use portcullis_proto::gateway::v1::NativeError;
use serde_json::{Value, json};

use crate::call::Answer;
use crate::error::CliError;
use crate::view::{View, facts, list};

/// What came of one call.
pub(super) struct Part {
    pub(super) resource: String,
    /// The object's, where there are many.
    pub(super) name: Option<String>,
    /// Of the call that was made, as `portcullis call show` knows it.
    pub(super) call_id: Option<String>,
    pub(super) came: Result<Answer, CliError>,
}

impl Part {
    fn word(&self) -> &'static str {
        match &self.came {
            Ok(answer) => answer.word(),
            Err(CliError::Indeterminate { .. }) => "indeterminate",
            Err(_) => "failed",
        }
    }

    fn row(&self, brief: bool) -> Vec<String> {
        let why = match &self.came {
            Ok(answer) => answer.report().to_owned(),
            Err(error) => format!("{}: {error}", error.kind()),
        };
        let name = brief.then(|| self.name.clone().unwrap_or_default());
        let call_id = self.call_id.clone().unwrap_or_default();
        let cells = [self.word().to_owned(), call_id, why];
        let resource = self.resource.clone();
        std::iter::once(resource).chain(name).chain(cells).collect()
    }

    fn json(&self) -> Value {
        let mut out = json!({
            "resource": self.resource,
            "outcome": self.word(),
        });
        if let Some(call_id) = &self.call_id {
            out["call_id"] = call_id.as_str().into();
        }
        if let Some(name) = &self.name {
            out["name"] = name.as_str().into();
        }
        match &self.came {
            Ok(answer) => answer.insert_into(&mut out),
            Err(error) => {
                out["kind"] = error.kind().into();
                out["message"] = error.to_string().into();
                if let Some(NativeError { code, text }) = error.native() {
                    out["native"] = json!({ "code": code, "text": text });
                }
            }
        }
        out
    }
}

/// What came of all of them.
pub(super) struct Outcomes {
    pub(super) parts: Vec<Part>,
    /// Many objects: people are shown those alone on which it was not done.
    pub(super) brief: bool,
}

impl Outcomes {
    fn count(&self, word: &str) -> usize {
        self.parts.iter().filter(|part| part.word() == word).count()
    }

    /// Whether all of it is done. What nobody knows outweighs what failed.
    pub(super) fn verdict(&self, id: &str) -> Result<(), CliError> {
        let (id, total) = (id.to_owned(), self.parts.len());
        match (self.count("indeterminate"), self.count("failed")) {
            (0, 0) => Ok(()),
            (0, failed) => Err(CliError::ManyFailed { id, failed, total }),
            (indeterminate, _) => Err(CliError::ManyIndeterminate {
                id,
                indeterminate,
                total,
            }),
        }
    }
}

impl View for Outcomes {
    fn table(&self, _: SystemTime) -> String {
        let brief = self.brief;
        let shown = self
            .parts
            .iter()
            .filter(|part| !brief || part.came.is_err());
        let rows: Vec<_> = shown.map(|part| part.row(brief)).collect();
        let heading: &[&str] = match brief {
            true => &["resource", "name", "outcome", "call", "why"],
            false => &["resource", "outcome", "call", "why"],
        };
        let table = (!rows.is_empty()).then(|| list(heading, rows));
        let some = |word| Some(self.count(word)).filter(|count| *count > 0);
        let counts = ["done", "queued", "failed", "indeterminate"];
        let counts = counts.map(|word| (word, some(word).map(|count| count.to_string())));
        let counts = brief.then(|| facts(counts));
        let told: Vec<_> = table.into_iter().chain(counts).collect();
        told.join("\n\n")
    }

    fn json(&self) -> Value {
        self.parts.iter().map(Part::json).collect()
    }
}
