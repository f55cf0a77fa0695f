//! The arrows that there are: which folder of a crate imports from which, at every depth.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use crate::circles::{Circle, Uses, circles};
use crate::imports::Import;
use crate::resolve::{Place, World};
use crate::sources::{folder_of, strip_folder};

/// One import between two folders, as findings tell it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// The importing file.
    pub from: String,
    /// The line in it.
    pub line: usize,
    /// The file that defines what is imported.
    pub to: String,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.from, self.line)
    }
}

/// The imports between two folders or files that lie in one folder.
pub type Edges = BTreeMap<(String, String), BTreeSet<Site>>;

/// The folders of one target. A name is that of a folder, or of a file without `.rs`.
#[derive(Debug)]
pub struct Tree {
    /// The package, by its place.
    pub package: usize,
    /// The package's short name.
    pub name: String,
    /// The file of its root module.
    pub root: String,
    /// What lies in each folder (the empty list: at the top), and whether that is a folder itself.
    pub inside: BTreeMap<Vec<String>, BTreeMap<String, bool>>,
    /// What is imported in each folder between what lies in it.
    pub edges: BTreeMap<Vec<String>, Edges>,
    /// What modules import of the root module itself.
    pub of_root: Edges,
}

impl Tree {
    /// The circles of what lies in a folder: of folders alone, or of files as well. At the top of a
    /// crate a file counts as a folder.
    pub fn circles(&self, folder: &[String], files: bool) -> Vec<Circle> {
        let is_node = |name: &String| files || folder.is_empty() || self.is_folder(folder, name);
        let mut uses = Uses::new();
        for (from, to) in self.edges.get(folder).into_iter().flat_map(BTreeMap::keys) {
            if is_node(from) && is_node(to) {
                uses.entry(from.clone()).or_default().insert(to.clone());
            }
        }
        circles(&uses)
    }

    fn is_folder(&self, folder: &[String], name: &str) -> bool {
        self.inside
            .get(folder)
            .and_then(|inside| inside.get(name))
            .copied()
            .unwrap_or_default()
    }
}

/// The folders of every target that has some. What is compiled for tests alone is left out.
#[derive(Debug)]
pub struct Graph {
    /// A tree for each target, in the order of the packages.
    pub trees: Vec<Tree>,
}

impl Graph {
    /// Sorts the imports into the trees.
    pub fn new(world: &World, imports: &[Import]) -> Self {
        let mut trees: BTreeMap<usize, Tree> = BTreeMap::new();
        for module in world.modules.iter().filter(|module| !module.for_tests) {
            let root = &world.modules[module.root].file;
            let package = &world.packages[module.package];
            let tree = trees.entry(module.root).or_insert_with(|| Tree {
                package: module.package,
                name: package.short.clone(),
                root: root.clone(),
                inside: BTreeMap::new(),
                edges: BTreeMap::new(),
                of_root: BTreeMap::new(),
            });
            let parts = position(root, &module.file);
            for depth in 0..parts.len() {
                let inside = tree.inside.entry(parts[..depth].to_vec()).or_default();
                let is_folder = depth + 1 < parts.len() || module.file.ends_with("/mod.rs");
                *inside.entry(parts[depth].clone()).or_default() |= is_folder;
            }
        }
        for import in imports {
            add(world, &mut trees, import);
        }
        Self {
            trees: trees.into_values().collect(),
        }
    }

    /// How many circles there are in all, of folders alone or of files as well.
    pub fn count_circles(&self, files: bool) -> usize {
        let of = |tree: &Tree| {
            let folders = tree.inside.keys();
            folders
                .map(|folder| tree.circles(folder, files).len())
                .sum::<usize>()
        };
        self.trees.iter().map(of).sum()
    }
}

fn add(world: &World, trees: &mut BTreeMap<usize, Tree>, import: &Import) {
    let from = &world.modules[import.from];
    let Some(to) = import.to.module().map(|module| &world.modules[module]) else {
        return;
    };
    if from.root != to.root || import.for_tests || from.for_tests {
        return;
    }
    let Some(tree) = trees.get_mut(&from.root) else {
        return;
    };
    let (source, target) = (
        position(&tree.root, &from.file),
        position(&tree.root, &to.file),
    );
    let shared = source
        .iter()
        .zip(&target)
        .take_while(|(one, other)| one == other)
        .count();
    let package = &world.packages[from.package];
    let site = Site {
        from: package.relative(&from.file).to_owned(),
        line: import.line,
        to: package.relative(&to.file).to_owned(),
    };
    let edges = match (source.get(shared), target.get(shared)) {
        (Some(one), Some(other)) => {
            let edges = tree.edges.entry(target[..shared].to_vec()).or_default();
            edges.entry((one.clone(), other.clone())).or_default()
        }
        // A name like `crate::Thing`, of which the root is the home. An import of the root itself
        // names nothing yet.
        (Some(one), None) if shared == 0 && matches!(import.to, Place::Item(_)) => tree
            .of_root
            .entry((one.clone(), String::new()))
            .or_default(),
        _ => return,
    };
    edges.insert(site);
}

/// The folders on the way to a file and the file itself, as seen from the folder of its target's
/// root module.
fn position(root: &str, file: &str) -> Vec<String> {
    if file == root {
        return Vec::new();
    }
    let Some(path) = strip_folder(file, folder_of(root)) else {
        return Vec::new();
    };
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    path.split('/').map(str::to_owned).collect()
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for tree in self.trees.iter().filter(|tree| !tree.edges.is_empty()) {
            writeln!(f, "{} ({})", tree.name, tree.root)?;
            for (folder, edges) in &tree.edges {
                if !folder.is_empty() {
                    writeln!(f, "  in {}", folder.join("/"))?;
                }
                write_edges(f, edges)?;
            }
        }
        Ok(())
    }
}

fn write_edges(f: &mut fmt::Formatter<'_>, edges: &Edges) -> fmt::Result {
    let mut lines: BTreeMap<&str, String> = BTreeMap::new();
    for ((from, to), sites) in edges {
        let line = lines.entry(from).or_default();
        write!(
            line,
            "{}{to} {}",
            if line.is_empty() { "" } else { ", " },
            sites.len()
        )?;
    }
    for (from, line) in lines {
        writeln!(f, "    {from} -> {line}")?;
    }
    Ok(())
}
