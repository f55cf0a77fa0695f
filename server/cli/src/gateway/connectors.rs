//! What `gateway add --connectors` puts into every bundle, looked at before any gateway is
//! registered.

use std::path::Path;

use portcullis_host::config::{Section, parse};
use portcullis_host::text;
use portcullis_proto::gateway_file::{COMMON_SECTIONS, CONNECTOR_TYPES, OWN_SECTIONS};

use crate::error::CliError;

/// Bytes of the file at most.
const MAX_LEN: u64 = 1 << 20;
/// Stands for the table of the bundle after which the file comes.
const BUNDLE: &str = "bundle";

/// A part of a gateway's configuration, the same for all of them.
#[derive(Debug)]
pub(super) struct Connectors {
    text: String,
    has_tls: bool,
}

impl Connectors {
    /// Reads the file, and looks at what a bundle makes of it. What stands within a connector is
    /// looked at by the gateway, which knows it.
    ///
    /// # Errors
    /// [`CliError::Usage`], with all that is wrong and its lines; [`CliError::File`].
    pub(super) fn read(path: &Path) -> Result<Self, CliError> {
        let content = text::read_file(path, MAX_LEN).map_err(CliError::text(path))?;
        let text = content.as_str().to_owned();
        // A key before the first table would become one of the table that comes before.
        let in_bundle = format!("[{BUNDLE}]\n{text}");
        let checked = parse(path, &in_bundle, |root, _| check(root));
        let has_tls = checked.map_err(|problems| {
            let lines = problems.into_iter().map(|mut problem| {
                problem.line = problem.line.map(|line| line.saturating_sub(1).max(1));
                problem.to_string()
            });
            CliError::Usage(lines.collect::<Vec<_>>().join("\n"))
        })?;
        Ok(Self { text, has_tls })
    }

    /// As it stands in the file.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is a `[tls]`.
    pub(super) const fn has_tls(&self) -> bool {
        self.has_tls
    }
}

/// Whether there is a `[tls]`.
fn check(mut root: Section<'_>) -> bool {
    if let Some(bundle) = root.section(BUNDLE) {
        bundle.finish_with(|_, _| {
            "it stands before the first table, where it would become part of another one: begin with [connectors.NAME]".to_owned()
        });
    }
    let connectors = root.section("connectors").map(|mut section| {
        for (name, table) in section.named_tables() {
            let mut own = section.within(name, table);
            let Some(kind) = own.text_or("type", "give a type, as text") else {
                if !own.has("type") {
                    own.problem(
                        "type",
                        format!("missing: there are {}", CONNECTOR_TYPES.join(", ")),
                    );
                }
                continue;
            };
            if !CONNECTOR_TYPES.contains(&kind) {
                let there_are = CONNECTOR_TYPES.join(", ");
                own.problem(
                    "type",
                    format!("there is no `{kind}`; there are {there_are}"),
                );
            }
        }
    });
    if connectors.is_none() && !root.has("connectors") {
        root.problem("connectors", "missing: give at least one [connectors.NAME]");
    }
    for name in COMMON_SECTIONS {
        root.section(name);
    }
    let has_tls = root.has("tls");
    root.finish_with(|key, _| match OWN_SECTIONS.contains(&key) {
        true => "every bundle has this by itself: --address, --dial-out and --server say what stands there".to_owned(),
        false => format!(
            "no table that gateways have in common; there are connectors, {}",
            COMMON_SECTIONS.join(", ")
        ),
    });
    has_tls
}
