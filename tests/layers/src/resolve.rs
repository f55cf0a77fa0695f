//! From a path to the module that defines what it names.

use std::collections::BTreeMap;

use crate::manifest::{Package, TargetKind};
use crate::modules::{Module, Modules};
use crate::scope::{Meaning, Name, Path, Scope};

/// The crates that come with the compiler.
const STANDARD: [&str; 5] = ["std", "core", "alloc", "proc_macro", "test"];

/// Every module of every package.
pub struct World {
    /// The packages, in the order of the workspace.
    pub packages: Vec<Package>,
    /// The modules of all their targets.
    pub modules: Vec<Module>,
    /// The root module of each package's library.
    libraries: BTreeMap<usize, usize>,
    by_name: BTreeMap<String, usize>,
}

/// Where the path of an import leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// To a module itself.
    Module(usize),
    /// To an item that this module defines.
    Item(usize),
    /// Into a crate that is not of this workspace, by the name that code uses.
    External(String),
    /// Into a crate of this workspace, or an unknown one, that the manifest does not name.
    Unnamed(String),
}

impl Place {
    /// The module that it is, or that defines it.
    pub fn module(&self) -> Option<usize> {
        match self {
            Self::Module(module) | Self::Item(module) => Some(*module),
            Self::External(_) | Self::Unnamed(_) => None,
        }
    }
}

/// Where a path stands.
#[derive(Clone, Copy)]
pub struct At<'a> {
    /// In which module.
    pub module: usize,
    /// In which blocks of it, the innermost last.
    pub blocks: &'a [Scope],
    /// What `$crate` means: the module that defines the macro.
    pub home: usize,
}

/// What is being looked up, so that imports in a ring end.
type Asked = Vec<(usize, String)>;

impl World {
    /// Puts the modules together.
    pub fn new(packages: Vec<Package>, modules: Modules) -> Self {
        let by_name = packages
            .iter()
            .enumerate()
            .map(|(number, package)| (package.name.clone(), number));
        let by_name = by_name.collect();
        Self {
            packages,
            modules: modules.all,
            libraries: modules.libraries,
            by_name,
        }
    }

    /// The package of this name, by its place.
    pub fn package(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The package whose library is imported by this name.
    pub fn library(&self, name: &str) -> Option<usize> {
        self.packages
            .iter()
            .position(|package| package.library == name)
    }

    /// Where a path leads; empty where its first part is no name that is known there.
    pub fn resolve(&self, at: At<'_>, path: &Path) -> Vec<Place> {
        self.follow(at, path, &mut Vec::new())
    }

    fn follow(&self, at: At<'_>, path: &Path, asked: &mut Asked) -> Vec<Place> {
        let Some((first, mut rest)) = path.parts.split_first() else {
            return Vec::new();
        };
        let module = &self.modules[at.module];
        let mut places = match first.as_str() {
            _ if path.leading => self.external(at.module, first),
            "crate" => vec![Place::Module(module.root)],
            "$crate" => vec![Place::Module(self.modules[at.home].root)],
            "self" => vec![Place::Module(at.module)],
            "super" => vec![Place::Module(module.parent.unwrap_or(at.module))],
            name => self.named(at, name, asked),
        };
        while let Some((name, more)) = rest.split_first() {
            rest = more;
            places = if name == "super" {
                places
                    .iter()
                    .filter_map(|place| self.above(place))
                    .collect()
            } else {
                self.inside(&places, name, asked)
            };
        }
        places.sort();
        places.dedup();
        places
    }

    fn above(&self, place: &Place) -> Option<Place> {
        Some(Place::Module(self.modules[place.module()?].parent?))
    }

    /// What a name means where it stands first: in the blocks around it, in its module, among the
    /// crates. That a macro may define it is believed last, for any word may stand in a macro.
    fn named(&self, at: At<'_>, name: &str, asked: &mut Asked) -> Vec<Place> {
        for with_macros in [false, true] {
            for (depth, block) in at.blocks.iter().enumerate().rev() {
                let key = (usize::MAX - depth, name.to_owned());
                if asked.contains(&key) {
                    continue;
                }
                asked.push(key);
                let found = self.in_scope(block, at, (name, with_macros), asked);
                asked.pop();
                if !found.is_empty() {
                    return found;
                }
            }
            let found = self.lookup(at.module, (name, with_macros), asked);
            if !found.is_empty() {
                return found;
            }
            let found = self.external(at.module, name);
            if !found.is_empty() {
                return found;
            }
        }
        let blocks = at.blocks.iter().rev();
        blocks
            .chain([&self.modules[at.module].scope])
            .find_map(|scope| self.foreign_glob(scope, at, asked))
            .into_iter()
            .collect()
    }

    /// The other crate of which a glob imports all: a name that is known nowhere else is from
    /// there.
    fn foreign_glob(&self, scope: &Scope, at: At<'_>, asked: &mut Asked) -> Option<Place> {
        for glob in &scope.globs {
            let key = (at.module, glob.path.parts.join("::") + "::*");
            if asked.contains(&key) {
                continue;
            }
            asked.push(key);
            for place in self.follow(at, &glob.path, asked) {
                let found = match place {
                    Place::External(_) => Some(place),
                    Place::Module(module) => {
                        let at = At {
                            module,
                            blocks: &[],
                            home: module,
                        };
                        self.foreign_glob(&self.modules[module].scope, at, asked)
                    }
                    Place::Item(_) | Place::Unnamed(_) => None,
                };
                if found.is_some() {
                    asked.pop();
                    return found;
                }
            }
            asked.pop();
        }
        None
    }

    /// What a name means in a module, with or without what macros may define; empty where it is
    /// none of its.
    fn lookup(&self, module: usize, name: (&str, bool), asked: &mut Asked) -> Vec<Place> {
        let key = (module, name.0.to_owned());
        if asked.contains(&key) {
            return Vec::new();
        }
        asked.push(key);
        let at = At {
            module,
            blocks: &[],
            home: module,
        };
        let found = self.in_scope(&self.modules[module].scope, at, name, asked);
        asked.pop();
        found
    }

    fn in_scope(
        &self,
        scope: &Scope,
        at: At<'_>,
        (name, with_macros): (&str, bool),
        asked: &mut Asked,
    ) -> Vec<Place> {
        let mut found = Vec::new();
        for meaning in scope.names.get(name).into_iter().flatten() {
            found.extend(self.meant(at, &meaning.meaning, asked));
        }
        if !found.is_empty() {
            return found;
        }
        for glob in &scope.globs {
            for place in self.follow(at, &glob.path, asked) {
                // Of another place, the `use` is an import by itself: variants of an enum, names of
                // another crate.
                if let Place::Module(module) = place {
                    found.extend(self.lookup(module, (name, with_macros), asked));
                }
            }
        }
        if found.is_empty() && with_macros && scope.in_macros.contains(name) {
            found.push(Place::Item(at.module));
        }
        found
    }

    fn meant(&self, at: At<'_>, meaning: &Meaning, asked: &mut Asked) -> Vec<Place> {
        match meaning {
            Meaning::Item => vec![Place::Item(at.module)],
            Meaning::Module(module) => vec![Place::Module(*module)],
            Meaning::Import(path) => self.follow(at, path, asked),
        }
    }

    /// One step further. What a module does not name by itself is made by a macro in it; what lies
    /// in an item is of that item.
    fn inside(&self, places: &[Place], name: &str, asked: &mut Asked) -> Vec<Place> {
        let mut found = Vec::new();
        for place in places {
            match place {
                Place::Module(module) => {
                    let named = self.lookup(*module, (name, true), asked);
                    found.extend(if named.is_empty() {
                        vec![Place::Item(*module)]
                    } else {
                        named
                    });
                }
                other => found.push(other.clone()),
            }
        }
        found
    }

    /// The crate of this name, as code of a module imports it.
    fn external(&self, module: usize, name: &str) -> Vec<Place> {
        let module = &self.modules[module];
        let package = &self.packages[module.package];
        if name == package.library && module.kind != TargetKind::Library {
            return self
                .libraries
                .get(&module.package)
                .map(|root| Place::Module(*root))
                .into_iter()
                .collect();
        }
        if let Some(dependency) = package.dependencies.get(name) {
            let library = self
                .package(&dependency.package)
                .and_then(|package| self.libraries.get(&package));
            return vec![library.map_or_else(
                || Place::External(name.to_owned()),
                |root| Place::Module(*root),
            )];
        }
        if STANDARD.contains(&name) {
            return vec![Place::External(name.to_owned())];
        }
        if self.library(name).is_some() && name != package.library {
            return vec![Place::Unnamed(name.to_owned())];
        }
        Vec::new()
    }

    /// Every module of which a glob of `module` imports something into `to`.
    pub fn offered(&self, module: usize, to: usize) -> Vec<Place> {
        let mut found = Vec::new();
        self.offer(module, to, &mut found, &mut Vec::new());
        found.sort();
        found.dedup();
        found
    }

    fn offer(&self, module: usize, to: usize, found: &mut Vec<Place>, asked: &mut Vec<usize>) {
        if asked.contains(&module) {
            return;
        }
        asked.push(module);
        let at = At {
            module,
            blocks: &[],
            home: module,
        };
        let inside = self.lies_in(to, module);
        let scope = &self.modules[module].scope;
        let visible = |name: &&Name| name.public || inside;
        for name in scope.names.values().flatten().filter(visible) {
            let places = self.meant(at, &name.meaning, &mut Vec::new());
            // A module among them is imported where a path leads into it.
            found.extend(
                places
                    .into_iter()
                    .filter(|place| !matches!(place, Place::Module(_))),
            );
        }
        if !scope.in_macros.is_empty() {
            found.push(Place::Item(module));
        }
        for glob in scope.globs.iter().filter(|glob| glob.public || inside) {
            for place in self.resolve(at, &glob.path) {
                match place {
                    Place::Module(further) => self.offer(further, to, found, asked),
                    other => found.push(other),
                }
            }
        }
    }

    fn lies_in(&self, module: usize, outer: usize) -> bool {
        let mut next = Some(module);
        while let Some(one) = next {
            if one == outer {
                return true;
            }
            next = self.modules[one].parent;
        }
        false
    }
}
