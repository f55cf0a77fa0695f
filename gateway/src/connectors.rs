//! The connectors of this gateway: the table of their types, and those that the configuration
//! names.
//!
//! To add a type, give it a folder under `connector/`, its `mod` and its row of `TYPES` here, and
//! a row in `tests/connector_conformance.rs`, which proves that it keeps the rules of
//! [`Connector`].

#[path = "connector/active_directory/mod.rs"]
pub mod active_directory;
#[path = "connector/ldap/mod.rs"]
pub mod ldap;
#[path = "connector/script/mod.rs"]
pub mod script;
#[path = "connector/sql/mod.rs"]
pub mod sql;
#[cfg(unix)]
#[path = "connector/unix/mod.rs"]
pub mod unix;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::config::{Config, ConfigProblem, ConnectorConfig, ConnectorsConfig, Problems, Section};
use crate::connector::{Connector, Inspecting, Inspection};
use crate::guard::GuardRails;
use crate::model::{GuardDefaults, ObjectClass, Verb};

/// Every type of connector that there is on this operating system.
const TYPES: &[ConnectorType] = &[
    #[cfg(unix)]
    ConnectorType::new("unix", unix::configure, unix::GUARD_DEFAULTS),
    ConnectorType::new("ldap", ldap::configure, ldap::GUARD_DEFAULTS),
    ConnectorType::new(
        "active-directory",
        active_directory::configure,
        active_directory::GUARD_DEFAULTS,
    ),
    ConnectorType::new("script", script::configure, GuardDefaults::NOTHING),
    ConnectorType::new("sql", sql::configure, GuardDefaults::NOTHING),
];

/// Reads the connector's own keys, all of them even where one is wrong: a key that is not asked for
/// is reported as unknown. What is wrong becomes a problem of the section.
type Configure = fn(&str, &mut Section<'_>) -> Option<Arc<dyn Connector>>;

/// A type of connector.
struct ConnectorType {
    /// What `type` says in the configuration.
    name: &'static str,
    configure: Configure,
    /// What it protects where the configuration is silent.
    guard_defaults: GuardDefaults,
}

impl ConnectorType {
    const fn new(name: &'static str, configure: Configure, guard_defaults: GuardDefaults) -> Self {
        Self {
            name,
            configure,
            guard_defaults,
        }
    }

    fn named(name: &str) -> Option<&'static Self> {
        TYPES.iter().find(|found| found.name == name)
    }
}

/// A connector with its guard rails, as the configuration has it.
#[derive(Clone, Debug)]
pub struct Configured {
    /// What carries out the verbs.
    pub connector: Arc<dyn Connector>,
    /// What any server may have it do.
    pub guard_rails: Arc<GuardRails>,
}

impl Configured {
    /// What calls would meet on this host, changes only where the guard rails let any through.
    pub fn inspect(&self) -> Inspection {
        self.inspect_by(None)
    }

    /// The same where the owner of this folder carries the calls out.
    fn inspect_by(&self, owner_of: Option<&Path>) -> Inspection {
        let changes = Verb::ALL
            .into_iter()
            .any(|verb| verb.changes() && self.guard_rails.allows(verb));
        self.connector.inspect(Inspecting { changes, owner_of })
    }

    /// The verbs that both the connector and its guard rails leave open.
    pub fn open_verbs(&self) -> Vec<Verb> {
        let classes = [ObjectClass::Account, ObjectClass::Group]
            .into_iter()
            .chain(self.connector.further_classes());
        let on_objects: BTreeSet<_> = classes
            .flat_map(|class| self.connector.verbs(class))
            .collect();
        let has = |verb: &Verb| match verb {
            Verb::Test | Verb::Schema => true,
            Verb::Run => !self.connector.actions().is_empty(),
            Verb::RotatePassword => self.connector.rotates_password(),
            verb => on_objects.contains(verb),
        };
        Verb::ALL
            .into_iter()
            .filter(|verb| has(verb) && self.guard_rails.allows(*verb))
            .collect()
    }
}

/// A file that was only just begun to be written says the same.
const NONE_LEFT: &str = "there is none, and a reload that removes every connector is refused, for that is what a file looks like that is only half written: write the file whole and reload again; if none is wanted, restart the gateway";

/// The connectors that the configuration names.
#[derive(Clone, Debug, Default)]
pub struct Connectors {
    by_name: BTreeMap<String, Configured>,
}

impl Connectors {
    /// Reads and checks every connector's own configuration.
    ///
    /// # Errors
    /// Every [`ConfigProblem`] found.
    pub fn from_config(config: &ConnectorsConfig) -> Result<Self, Vec<ConfigProblem>> {
        let problems = Problems::new(&config.file);
        let by_name = config
            .connectors
            .iter()
            .filter_map(|entry| Some((entry.name.clone(), configure(entry, &problems)?)))
            .collect();
        let found = problems.into_vec();
        if found.is_empty() {
            Ok(Self { by_name })
        } else {
            Err(found)
        }
    }

    /// Those of a configuration that was read again. What it does not change is kept, with all that
    /// it holds; the calls under way keep theirs in any case. The second value says what changed.
    ///
    /// # Errors
    /// Every [`ConfigProblem`] found: nothing has changed then.
    pub fn read_again(
        &self,
        former: &ConnectorsConfig,
        config: &ConnectorsConfig,
    ) -> Result<(Self, Vec<String>), Vec<ConfigProblem>> {
        let mut fresh = Self::from_config(config)?;
        let mut changes = Vec::new();
        for entry in &config.connectors {
            let name = &entry.name;
            let before = former.connectors.iter().find(|one| one.name == *name);
            let (Some(kept), Some(before)) = (self.find(name), before) else {
                changes.push(format!("connector `{name}` added"));
                continue;
            };
            if before.table.says_the_same(&entry.table) {
                if kept.connector.look_again() {
                    changes.push(format!("connector `{name}` found other scripts"));
                }
                fresh.by_name.insert(name.clone(), kept.clone());
                continue;
            }
            changes.push(format!("connector `{name}` changed"));
            let rails = fresh.by_name.get_mut(name);
            if let Some(rails) = rails.and_then(|new| Arc::get_mut(&mut new.guard_rails)) {
                rails.succeed(&kept.guard_rails);
            }
        }
        let gone = self
            .by_name
            .keys()
            .filter(|name| fresh.find(name).is_none());
        changes.extend(gone.map(|name| format!("connector `{name}` removed")));
        Ok((fresh, changes))
    }

    /// Refuses a file that removes every connector of the gateway, whichever of its processes has
    /// them: a process may be left without any.
    ///
    /// # Errors
    /// The [`ConfigProblem`] that says so.
    pub fn refuse_none_left(
        former: &ConnectorsConfig,
        config: &ConnectorsConfig,
    ) -> Result<(), Vec<ConfigProblem>> {
        if former.connectors.is_empty() || !config.connectors.is_empty() {
            return Ok(());
        }
        let problems = Problems::new(&config.file);
        problems.add(None, "connectors", NONE_LEFT);
        Err(problems.into_vec())
    }

    /// What calls would meet on this host, as lines of text: faults, and what else should be known.
    pub fn inspect(&self) -> Inspection {
        self.inspect_by(|_| None)
    }

    /// The same for whoever looks at the gateway of this configuration from outside, such as root:
    /// the user whose state folder it is carries the calls out, in processes that of the worker's.
    pub fn inspect_of(&self, config: &Config) -> Inspection {
        self.inspect_by(|name| {
            let entries = &config.connectors.connectors;
            let entry = entries.iter().find(|entry| entry.name == name)?;
            Some(config.state_dir_of(entry.worker))
        })
    }

    fn inspect_by<'a>(&self, owner_of: impl Fn(&str) -> Option<&'a Path>) -> Inspection {
        let mut all = Inspection::default();
        for (name, configured) in self.iter() {
            let kind = configured.connector.kind();
            let named = |line| format!("connector `{name}` ({kind}): {line}");
            let found = configured.inspect_by(owner_of(name));
            all.faults.extend(found.faults.into_iter().map(named));
            all.notes.extend(found.notes.into_iter().map(named));
        }
        if self.by_name.is_empty() {
            all.notes.push(
                "there is no connector in the configuration: nothing can be provisioned here"
                    .to_owned(),
            );
        }
        all
    }

    /// What is wrong with the connectors' own configuration.
    pub fn problems(config: &ConnectorsConfig) -> Vec<ConfigProblem> {
        Self::from_config(config).err().unwrap_or_default()
    }

    /// Adds a connector under a name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, configured: Configured) -> Self {
        self.by_name.insert(name.into(), configured);
        self
    }

    /// The connector of this name.
    pub fn find(&self, name: &str) -> Option<&Configured> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Configured)> {
        self.by_name
            .iter()
            .map(|(name, found)| (name.as_str(), found))
    }
}

fn configure(entry: &ConnectorConfig, problems: &Problems) -> Option<Configured> {
    let mut section = Section::new(entry.path(), &entry.table, problems);
    let kind = section.text("type");
    let Some(found) = ConnectorType::named(&entry.kind) else {
        if let Some(kind) = kind {
            let allowed = allowed_types();
            section.problem("type", format!("`{kind}`: {allowed} allowed here"));
        }
        return None;
    };
    let connector = (found.configure)(&entry.name, &mut section);
    let rails = section.section("guard_rails");
    let guard_rails = GuardRails::from_section(&entry.name, &found.guard_defaults, rails);
    section.finish();
    Some(Configured {
        connector: connector?,
        guard_rails: Arc::new(guard_rails),
    })
}

/// The names of all types, with the verb that goes with their number.
fn allowed_types() -> String {
    let names: Vec<_> = TYPES
        .iter()
        .map(|found| format!("`{}`", found.name))
        .collect();
    match names.split_last() {
        Some((last, [])) => format!("{last} is"),
        Some((last, before)) => format!("{} and {last} are", before.join(", ")),
        None => "none is".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_line_in_the_conformance_suite() {
        let suite = include_str!("../tests/connector_conformance.rs");
        for ConnectorType { name, .. } in TYPES {
            let folder = name.replace('-', "_");
            let line = format!("#[path = \"../src/connector/{folder}/tests/conformance.rs\"]");
            assert!(
                suite.contains(&line),
                "tests/connector_conformance.rs lacks {line}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_other_programs_know_of_a_configuration_is_what_it_has() {
        use portcullis_proto::gateway_file::{COMMON_SECTIONS, CONNECTOR_TYPES, OWN_SECTIONS};
        let types: BTreeSet<_> = TYPES.iter().map(|found| found.name).collect();
        assert_eq!(types, BTreeSet::from(CONNECTOR_TYPES));
        let problem = Config::parse(Path::new("gateway.toml"), "no_key = 1").unwrap_err();
        let known = problem[0].message.split('`').skip(1).step_by(2);
        let own = ["instance", "state_dir", "connectors"];
        let known: BTreeSet<_> = known.filter(|key| !own.contains(key)).collect();
        let told: BTreeSet<_> = COMMON_SECTIONS.into_iter().chain(OWN_SECTIONS).collect();
        assert_eq!(known, told);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_wrong_elsewhere_hides_nothing_of_the_connectors() {
        let text = "[limits]\ncalls = 0\n[connectors.a]\ntype = \"unix\"\nshells = 1\n\
                    [connectors.b]\ntype = 7\n[connectors.c]\n";
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, text).unwrap();
        let found = Config::load(Some(file.path()), Connectors::problems).unwrap_err();
        let begins = [
            (2, "limits.calls: "),
            (5, "connectors.a.shells: unknown key"),
            (7, "connectors.b.type: "),
            (8, "connectors.c.type: missing"),
        ];
        assert_eq!(found.len(), begins.len(), "{found:#?}");
        for (found, (line, begin)) in found.iter().zip(begins) {
            let begin = format!("{}, line {line}: {begin}", file.path().display());
            assert!(found.to_string().starts_with(&begin), "{found}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn all_that_is_wrong_with_a_connector_is_reported_at_once() {
        let text = "[connectors.a]\ntype = \"unix\"\nprefix = \"srv\"\nshells = 1\n\
                    [connectors.a.guard_rails]\nread_only = 1\n\
                    [connectors.b]\ntype = \"script\"\ntimeout = \"0s\"\nshells = 1\n";
        let config = Config::parse(Path::new("gateway.toml"), text).unwrap();
        let found = Connectors::from_config(&config.connectors).unwrap_err();
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        let begins = [
            "gateway.toml, line 3: connectors.a.prefix: ",
            "gateway.toml, line 4: connectors.a.shells: unknown key",
            "gateway.toml, line 6: connectors.a.guard_rails.read_only: ",
            "gateway.toml, line 7: connectors.b.folder: missing",
            "gateway.toml, line 9: connectors.b.timeout: ",
            "gateway.toml, line 10: connectors.b.shells: unknown key",
        ];
        assert_eq!(found.len(), begins.len(), "{found:#?}");
        for (found, begin) in found.iter().zip(begins) {
            assert!(found.starts_with(begin), "{found}");
        }
    }
}
