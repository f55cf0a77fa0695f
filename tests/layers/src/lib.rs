//! Holds the workspace to its one direction: what may import what, among crates and among the
//! folders of a crate.
//!
//! A run goes through these steps, each a module:
//!
//! 1. [`sources`] reads the Rust files and the manifests, or takes them from memory.
//! 2. [`manifest`] finds the packages, their targets and what they depend on.
//! 3. [`modules`] parses every file that a `mod` declares, with what each module names and
//!    re-exports.
//! 4. [`imports`] visits all code and resolves every path (with [`resolve`]) to the module that
//!    defines its item. What stands in macros is read from their tokens (`tokens`).
//! 5. [`check`] compares the imports with the [`arrows`], and looks for [`circles`].
//!
//! [`comments`] looks at how comments are laid out, with the same files.
//!
//! Every `cfg` is read as if it held, so that the code of both platforms is seen.
#![forbid(unsafe_code)]

pub mod arrows;
pub mod check;
pub mod circles;
pub mod comments;
pub mod finding;
pub mod graph;
pub mod imports;
pub mod manifest;
pub mod modules;
pub mod resolve;
pub mod scope;
pub mod sources;
#[cfg(test)]
mod tests;
mod tokens;

use std::collections::BTreeSet;

use arrows::Arrows;
use finding::Finding;
use graph::Graph;
use imports::Import;
use resolve::World;
use sources::Sources;

/// What a workspace looks like to this check.
pub struct Survey {
    /// Its modules.
    pub world: World,
    /// Every import in them.
    pub imports: Vec<Import>,
    /// What keeps the imports from being read: files that do not parse, macros that hide an import
    /// and the like.
    pub findings: Vec<Finding>,
}

impl Survey {
    /// Reads a workspace; files in `standalone` belong to no module and are not missed.
    pub fn new(sources: &Sources, standalone: &BTreeSet<String>) -> Self {
        let mut findings = check::standalone(sources, standalone);
        let packages = manifest::packages(sources, &mut findings);
        let modules = modules::read(sources, &packages, standalone, &mut findings);
        let world = World::new(packages, modules);
        let imports = imports::all(&world, &mut findings);
        Self {
            world,
            imports,
            findings,
        }
    }

    /// Compares the imports with the arrows. All that is wrong is returned, in the order of crates
    /// and files.
    pub fn check(&self, arrows: &Arrows) -> Vec<Finding> {
        let graph = Graph::new(&self.world, &self.imports);
        let mut findings = self.findings.clone();
        findings.extend(check::crates(&self.world, &self.imports, arrows));
        findings.extend(check::folders(&graph, arrows));
        findings.extend(check::circles(&graph));
        let mut seen = BTreeSet::new();
        findings.retain(|finding| seen.insert(finding.clone()));
        findings
    }
}
