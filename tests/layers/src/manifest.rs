//! The packages of the workspace: what they are named, what they are compiled from and what they
//! depend on.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::finding::{Finding, Kind};
use crate::sources::{Sources, join, strip_folder};

/// A crate as code of a package imports it.
#[derive(Clone, Debug)]
pub struct Dependency {
    /// The package that it is of.
    pub package: String,
    /// Whether only tests, examples and benchmarks may import it.
    pub for_tests: bool,
    /// The folder in which it lies, where it is not from a registry.
    pub folder: Option<String>,
}

/// What a target is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// The library.
    Library,
    /// A program or the build script.
    Program,
    /// An example, a test or a benchmark.
    Test,
}

/// Something that is compiled by itself.
#[derive(Clone, Debug)]
pub struct Target {
    /// What for.
    pub kind: TargetKind,
    /// The file with its root module.
    pub root: String,
}

/// A member of the workspace.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name in the manifest.
    pub name: String,
    /// Its name without what all packages begin with.
    pub short: String,
    /// The folder of its manifest.
    pub folder: String,
    /// The name by which others import its library.
    pub library: String,
    /// What it may import, by the name that code uses.
    pub dependencies: BTreeMap<String, Dependency>,
    /// What it is compiled from.
    pub targets: Vec<Target>,
}

impl Package {
    /// A path of this package, as seen from its folder.
    pub fn relative<'a>(&self, path: &'a str) -> &'a str {
        strip_folder(path, &self.folder).unwrap_or(path)
    }
}

/// The members of the workspace, in its order. What cannot be read is among the findings.
pub fn packages(sources: &Sources, findings: &mut Vec<Finding>) -> Vec<Package> {
    let Some(root) = table(sources, "Cargo.toml", findings) else {
        return Vec::new();
    };
    let workspace = root.get("workspace").and_then(Value::as_table);
    let members = workspace.and_then(|workspace| workspace.get("members")?.as_array());
    let shared = workspace.and_then(|workspace| workspace.get("dependencies")?.as_table());
    let mut packages = Vec::new();
    for folder in members.into_iter().flatten().filter_map(Value::as_str) {
        let manifest = join(folder, "Cargo.toml");
        if let Some(table) = table(sources, &manifest, findings) {
            match package(sources, folder, &table, shared) {
                Some(package) => packages.push(package),
                None => findings.push(unreadable(&manifest, "names no package")),
            }
        }
    }
    if packages.is_empty() {
        findings.push(unreadable("Cargo.toml", "names no member of the workspace"));
    }
    find_strangers(&packages, findings);
    packages
}

/// Crates in a folder that is none of a member's: cargo builds them all the same, and takes those
/// below the workspace's root for members, but nobody reads their imports.
fn find_strangers(packages: &[Package], findings: &mut Vec<Finding>) {
    for package in packages {
        for dependency in package.dependencies.values() {
            let Some(folder) = &dependency.folder else {
                continue;
            };
            if packages.iter().all(|member| member.folder != *folder) {
                let text = format!(
                    "Cargo.toml ({}) depends on {} in {folder}, which the workspace's Cargo.toml does not name as a member",
                    package.short, dependency.package
                );
                findings.push(Finding::new(&package.short, Kind::UnknownCrate, text));
            }
        }
    }
}

fn unreadable(file: &str, why: &str) -> Finding {
    Finding::new("", Kind::Unreadable, format!("{file} {why}"))
}

fn table(sources: &Sources, file: &str, findings: &mut Vec<Finding>) -> Option<Table> {
    let Some(text) = sources.get(file) else {
        findings.push(unreadable(file, "is not there"));
        return None;
    };
    text.parse::<Table>()
        .map_err(|error| {
            findings.push(unreadable(
                file,
                &format!("does not parse: {}", error.message()),
            ))
        })
        .ok()
}

fn package(
    sources: &Sources,
    folder: &str,
    table: &Table,
    shared: Option<&Table>,
) -> Option<Package> {
    let name = table.get("package")?.get("name")?.as_str()?.to_owned();
    let library = table
        .get("lib")
        .and_then(|lib| lib.get("name")?.as_str())
        .unwrap_or(&name)
        .replace('-', "_");
    Some(Package {
        short: name.strip_prefix("portcullis-").unwrap_or(&name).to_owned(),
        folder: join("", folder),
        library,
        dependencies: dependencies(folder, table, shared),
        targets: targets(sources, folder, table),
        name,
    })
}

fn dependencies(
    folder: &str,
    table: &Table,
    shared: Option<&Table>,
) -> BTreeMap<String, Dependency> {
    let mut found = BTreeMap::new();
    // What a program depends on comes last, and holds for its tests as well.
    for (kind, for_tests) in [
        ("dev-dependencies", true),
        ("build-dependencies", false),
        ("dependencies", false),
    ] {
        let targets = table.get("target").and_then(Value::as_table);
        let tables = targets
            .into_iter()
            .flat_map(|targets| targets.iter().map(|(_, one)| one))
            .filter_map(|one| one.get(kind))
            .chain(table.get(kind));
        for (key, value) in tables.filter_map(Value::as_table).flatten() {
            let inherited = value.get("workspace").is_some();
            let (from, seen_from) = if inherited {
                let shared = shared.and_then(|shared| shared.get(key));
                (shared.unwrap_or(value), "")
            } else {
                (value, folder)
            };
            let path = from.get("path").and_then(Value::as_str);
            let package = from.get("package").and_then(Value::as_str).unwrap_or(key);
            let dependency = Dependency {
                package: package.to_owned(),
                for_tests,
                folder: path.map(|path| join(seen_from, path)),
            };
            found.insert(key.replace('-', "_"), dependency);
        }
    }
    found
}

fn targets(sources: &Sources, folder: &str, table: &Table) -> Vec<Target> {
    let mut found: Vec<Target> = Vec::new();
    let mut add = |kind, path: &str| {
        let root = join(folder, path);
        if sources.get(&root).is_some() && found.iter().all(|target| target.root != root) {
            found.push(Target { kind, root });
        }
    };
    let library = table.get("lib").and_then(|lib| lib.get("path")?.as_str());
    add(TargetKind::Library, library.unwrap_or("src/lib.rs"));
    add(TargetKind::Program, "build.rs");
    add(TargetKind::Program, "src/main.rs");
    for (section, inside, kind) in [
        ("bin", "src/bin", TargetKind::Program),
        ("example", "examples", TargetKind::Test),
        ("test", "tests", TargetKind::Test),
        ("bench", "benches", TargetKind::Test),
    ] {
        let named = table.get(section).and_then(Value::as_array);
        for path in named
            .into_iter()
            .flatten()
            .filter_map(|one| one.get("path")?.as_str())
        {
            add(kind, path);
        }
        let inside_folder = join(folder, inside);
        for path in sources.below(&inside_folder) {
            // A file, or a folder with `main.rs`, that lies directly in the folder of its kind.
            let rest = strip_folder(path, &inside_folder).unwrap_or(path);
            let is_root = match rest.split_once('/') {
                None => rest.ends_with(".rs"),
                Some((_, name)) => name == "main.rs",
            };
            // A package may lie in the folder of another's tests.
            let of_another = rest.split_once('/').is_some_and(|(name, _)| {
                sources
                    .get(&join(&inside_folder, &format!("{name}/Cargo.toml")))
                    .is_some()
            });
            if is_root && !of_another {
                add(kind, &join(inside, rest));
            }
        }
    }
    found
}
