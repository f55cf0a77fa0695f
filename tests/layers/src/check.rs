//! Compares the arrows that there are with those that are declared.

use std::collections::{BTreeMap, BTreeSet};

use crate::arrows::{Arrows, Section};
use crate::circles::Circle;
use crate::finding::{Finding, Kind};
use crate::graph::{Edges, Graph, Tree};
use crate::imports::Import;
use crate::resolve::{Place, World};
use crate::sources::Sources;

/// How findings tell an arrow that is not allowed.
fn verdict(section: &Section, from: &str, to: &str) -> (Kind, &'static str) {
    if section.allows(to, from) {
        (Kind::Climb, "climbs to")
    } else {
        (Kind::Undeclared, "has no arrow to")
    }
}

/// What is declared to belong to no module, and is not there.
pub fn standalone(sources: &Sources, declared: &BTreeSet<String>) -> Vec<Finding> {
    let gone = declared.iter().filter(|path| sources.get(path).is_none());
    gone.map(|path| stale("standalone", path)).collect()
}

/// What is wrong between crates, in manifests and in imports.
pub fn crates(world: &World, imports: &[Import], arrows: &Arrows) -> Vec<Finding> {
    let nothing = Section::default();
    let section = arrows.sections.get("crates").unwrap_or(&nothing);
    let mut findings = Vec::new();
    for name in section.names.keys() {
        if world.packages.iter().all(|package| package.short != *name) {
            findings.push(stale("crates", name));
        }
    }
    for package in &world.packages {
        if !section.names.contains_key(&package.short) {
            findings.push(missing("crates", &package.short));
        }
        for dependency in package.dependencies.values() {
            let only = section.only.get(&package.short);
            if !dependency.for_tests && only.is_some_and(|only| !only.contains(&dependency.package))
            {
                let text = format!(
                    "Cargo.toml ({}) has no arrow to the crate {}",
                    package.short, dependency.package
                );
                findings.push(Finding::new(&package.short, Kind::Undeclared, text));
            }
            let Some(other) = world.package(&dependency.package) else {
                continue;
            };
            let other = &world.packages[other].short;
            if !section.allows(&package.short, other) {
                let (kind, verb) = verdict(section, &package.short, other);
                let text = format!(
                    "Cargo.toml ({}) {verb} {} ({other})",
                    package.short, dependency.package
                );
                findings.push(Finding::new(&package.short, kind, text));
            }
        }
    }
    findings.extend(
        imports
            .iter()
            .filter_map(|import| of_import(world, import, section)),
    );
    findings
}

fn of_import(world: &World, import: &Import, section: &Section) -> Option<Finding> {
    let module = &world.modules[import.from];
    let package = &world.packages[module.package];
    let at = format!("{}:{}", package.relative(&module.file), import.line);
    match &import.to {
        Place::Module(other) | Place::Item(other) => {
            let other = &world.modules[*other];
            let of = &world.packages[other.package];
            if other.package == module.package || section.allows(&package.short, &of.short) {
                return None;
            }
            let (kind, verb) = verdict(section, &package.short, &of.short);
            let text = format!(
                "{at} ({}) {verb} {} ({})",
                package.short, other.file, of.short
            );
            Some(Finding::new(&package.short, kind, text))
        }
        Place::Unnamed(name) => {
            let text = format!("{at} imports {name}, which Cargo.toml does not name");
            Some(Finding::new(&package.short, Kind::UnknownCrate, text))
        }
        Place::External(name) => {
            let dependency = package.dependencies.get(name)?;
            let allowed = !dependency.for_tests || import.for_tests || module.for_tests;
            let text = format!("{at} imports {name}, which Cargo.toml names for tests only");
            (!allowed).then(|| Finding::new(&package.short, Kind::UnknownCrate, text))
        }
    }
}

fn stale(section: &str, name: &str) -> Finding {
    let text = format!("tests/layers/arrows declares {name} in [{section}], and there is none");
    Finding::new("", Kind::Arrows, text)
}

fn missing(section: &str, name: &str) -> Finding {
    let text =
        format!("tests/layers/arrows does not declare {name} in [{section}]: give it its arrow");
    Finding::new("", Kind::Arrows, text)
}

/// What is wrong between the folders of each crate that has a section, at the top and in folders
/// that have one.
pub fn folders(graph: &Graph, arrows: &Arrows) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut trees: BTreeMap<&str, &Tree> = BTreeMap::new();
    for tree in &graph.trees {
        // The first target with folders is the library, where there is one.
        if !tree.inside.is_empty() {
            trees.entry(&tree.name).or_insert(tree);
        }
    }
    for (name, section) in arrows.sections.iter().filter(|(name, _)| *name != "crates") {
        let (package, folder) = name.split_once('/').unwrap_or((name, ""));
        let folder: Vec<String> = folder
            .split('/')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect();
        match trees
            .get(package)
            .filter(|tree| tree.inside.contains_key(&folder))
        {
            Some(tree) => in_folder(tree, name, &folder, section, &mut findings),
            None => findings.push(stale(name, if folder.is_empty() { package } else { name })),
        }
    }
    findings
}

fn in_folder(
    tree: &Tree,
    name: &str,
    folder: &[String],
    section: &Section,
    findings: &mut Vec<Finding>,
) {
    let inside = tree.inside.get(folder);
    let is_there = |name: &str| inside.is_some_and(|inside| inside.contains_key(name));
    findings.extend(
        section
            .names
            .keys()
            .filter(|one| !is_there(one))
            .map(|one| stale(name, one)),
    );
    for one in inside.into_iter().flat_map(BTreeMap::keys) {
        if !section.open && !section.names.contains_key(one) {
            findings.push(missing(name, one));
        }
    }
    for ((from, to), sites) in tree.edges.get(folder).into_iter().flatten() {
        if !section.allows(from, to) {
            let (kind, verb) = verdict(section, from, to);
            findings.extend(sites.iter().map(|site| {
                let text = format!("{site} ({from}) {verb} {} ({to})", site.to);
                Finding::new(&tree.name, kind, text)
            }));
        }
    }
    if folder.is_empty() {
        for ((from, _), sites) in &tree.of_root {
            findings.extend(sites.iter().map(|site| {
                let text = format!("{site} ({from}) climbs to {} (the crate's root)", site.to);
                Finding::new(&tree.name, Kind::Climb, text)
            }));
        }
    }
}

/// Every circle of folders, with one import for each of its arrows.
pub fn circles(graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    for tree in &graph.trees {
        for (folder, edges) in &tree.edges {
            for circle in tree.circles(folder, false) {
                let text = describe(folder, edges, &circle);
                findings.push(Finding::new(&tree.name, Kind::Circle, text));
            }
        }
    }
    findings
}

fn describe(folder: &[String], edges: &Edges, circle: &Circle) -> String {
    let mut names = circle.way.clone();
    names.extend(circle.way.first().cloned());
    let arrows: Vec<_> = names
        .windows(2)
        .filter_map(|pair| told(edges, pair))
        .collect();
    let mut text = "a circle of folders".to_owned();
    if !folder.is_empty() {
        text += &format!(" in {}", folder.join("/"));
    }
    text += &format!(": {}", names.join(" -> "));
    if circle.members.len() > circle.way.len() {
        let members: Vec<_> = circle.members.iter().map(String::as_str).collect();
        text += &format!(", the shortest of several among {}", members.join(", "));
    }
    format!("{text}: {}", arrows.join("; "))
}

fn told(edges: &Edges, pair: &[String]) -> Option<String> {
    let [from, to] = pair else { return None };
    let site = edges.get(&(from.clone(), to.clone()))?.first()?;
    Some(format!("{site} ({from}) uses {} ({to})", site.to))
}
