//! The modules of every target, as `mod` declares them, with their code.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Attribute, Expr, Item, ItemMod, Lit, Meta};

use crate::finding::{Finding, Kind};
use crate::manifest::{Package, TargetKind};
use crate::scope::{Meaning, Scope};
use crate::sources::{Sources, folder_of, join, strip_folder};

/// A module with what stands in it.
pub struct Module {
    /// The package, by its place among all.
    pub package: usize,
    /// What its target is compiled for.
    pub kind: TargetKind,
    /// The root module of its target.
    pub root: usize,
    /// The module that declares it.
    pub parent: Option<usize>,
    /// The file in which it stands.
    pub file: String,
    /// Whether it is compiled for tests alone.
    pub for_tests: bool,
    /// Its names.
    pub scope: Scope,
    /// Its items, without the modules among them.
    pub items: Vec<Item>,
}

/// The modules of all targets.
pub struct Modules {
    /// In the order in which they are declared.
    pub all: Vec<Module>,
    /// The root module of each package's library.
    pub libraries: BTreeMap<usize, usize>,
}

/// Reads the modules of all targets. Files that do not parse, that are missing or that no module
/// declares are findings.
pub fn read(
    sources: &Sources,
    packages: &[Package],
    standalone: &BTreeSet<String>,
    findings: &mut Vec<Finding>,
) -> Modules {
    let mut reader = Reader {
        sources,
        packages,
        modules: Vec::new(),
        libraries: BTreeMap::new(),
        read: standalone.clone(),
        findings,
    };
    for (number, package) in packages.iter().enumerate() {
        for target in &package.targets {
            reader.read_target(number, target.kind, &target.root);
        }
    }
    reader.find_orphans();
    Modules {
        all: reader.modules,
        libraries: reader.libraries,
    }
}

/// Where a file looks for the modules that it declares.
struct Folders {
    /// Modules without a path.
    children: String,
    /// What `#[path]` is relative to.
    paths: String,
}

/// What a module inherits from where it is declared.
struct Declared {
    package: usize,
    kind: TargetKind,
    parent: Option<usize>,
    file: String,
    for_tests: bool,
}

struct Reader<'a> {
    sources: &'a Sources,
    packages: &'a [Package],
    modules: Vec<Module>,
    libraries: BTreeMap<usize, usize>,
    read: BTreeSet<String>,
    findings: &'a mut Vec<Finding>,
}

impl Reader<'_> {
    fn read_target(&mut self, package: usize, kind: TargetKind, root: &str) {
        let folder = folder_of(root).to_owned();
        let declared = Declared {
            package,
            kind,
            parent: None,
            file: root.to_owned(),
            for_tests: kind == TargetKind::Test,
        };
        let folders = Folders {
            children: folder.clone(),
            paths: folder,
        };
        let module = self.read_file(declared, &folders);
        if let (TargetKind::Library, Some(module)) = (kind, module) {
            self.libraries.insert(package, module);
        }
    }

    fn read_file(&mut self, declared: Declared, folders: &Folders) -> Option<usize> {
        let file = &declared.file;
        self.read.insert(file.clone());
        let parsed = syn::parse_file(self.sources.get(file)?);
        match parsed {
            Ok(parsed) => {
                let for_tests = declared.for_tests || is_for_tests(&parsed.attrs);
                Some(self.add(
                    Declared {
                        for_tests,
                        ..declared
                    },
                    parsed.items,
                    folders,
                ))
            }
            Err(error) => {
                let at = self.relative(&declared, error.span().start().line);
                self.find(
                    &declared,
                    Kind::Unreadable,
                    format!("{at} does not parse: {error}; mend it first, for what it declares is missed elsewhere"),
                );
                None
            }
        }
    }

    fn relative(&self, declared: &Declared, line: usize) -> String {
        format!(
            "{}:{line}",
            self.packages[declared.package].relative(&declared.file)
        )
    }

    fn find(&mut self, declared: &Declared, kind: Kind, text: String) {
        let package = &self.packages[declared.package].short;
        self.findings.push(Finding::new(package, kind, text));
    }

    fn add(&mut self, declared: Declared, items: Vec<Item>, folders: &Folders) -> usize {
        let number = self.modules.len();
        let root = declared
            .parent
            .map_or(number, |parent| self.modules[parent].root);
        let (modules, items): (Vec<_>, Vec<_>) = items
            .into_iter()
            .partition(|item| matches!(item, Item::Mod(_)));
        self.modules.push(Module {
            package: declared.package,
            kind: declared.kind,
            root,
            parent: declared.parent,
            file: declared.file,
            for_tests: declared.for_tests,
            scope: Scope::of(&items),
            items,
        });
        for item in modules {
            if let Item::Mod(item) = item {
                self.add_child(number, item, folders);
            }
        }
        number
    }

    fn add_child(&mut self, parent: usize, item: ItemMod, folders: &Folders) {
        let above = &self.modules[parent];
        let mut declared = Declared {
            package: above.package,
            kind: above.kind,
            parent: Some(parent),
            file: above.file.clone(),
            for_tests: above.for_tests || is_for_tests(&item.attrs),
        };
        let ident = item.ident.to_string();
        let name = ident.strip_prefix("r#").unwrap_or(&ident);
        let public = !matches!(item.vis, syn::Visibility::Inherited);
        let mut children = Vec::new();
        if let Some((_, items)) = item.content {
            let folder = match paths(&item.attrs).first() {
                Some(path) => join(&folders.paths, path),
                None => join(&folders.children, name),
            };
            let inside = Folders {
                children: folder.clone(),
                paths: folder,
            };
            children.push(self.add(declared, items, &inside));
        } else {
            let files = self.files_of(&item.attrs, name, folders);
            if files.is_empty() {
                let at = self.relative(&declared, item.ident.span().start().line);
                self.find(
                    &declared,
                    Kind::Unreadable,
                    format!("{at} declares the module {name}, whose file is not there"),
                );
            }
            for (file, inside) in files {
                declared.file = file;
                let one = Declared {
                    file: declared.file.clone(),
                    ..declared
                };
                children.extend(self.read_file(one, &inside));
            }
        }
        for child in children {
            self.modules[parent]
                .scope
                .add(name, Meaning::Module(child), public);
        }
    }

    /// The files of a module that stands in none of this file: one, or one for each `cfg_attr` that
    /// names a path.
    fn files_of(
        &self,
        attributes: &[Attribute],
        name: &str,
        folders: &Folders,
    ) -> Vec<(String, Folders)> {
        let named = paths(attributes);
        let mut found = Vec::new();
        for path in &named {
            let file = join(&folders.paths, path);
            let folder = folder_of(&file).to_owned();
            found.push((
                file,
                Folders {
                    children: folder.clone(),
                    paths: folder,
                },
            ));
        }
        if named.is_empty() {
            let folder = join(&folders.children, name);
            let beside = format!("{folder}.rs");
            let paths = folder_of(&beside).to_owned();
            found.push((
                beside,
                Folders {
                    children: folder.clone(),
                    paths,
                },
            ));
            let inside = join(&folder, "mod.rs");
            found.push((
                inside,
                Folders {
                    children: folder.clone(),
                    paths: folder,
                },
            ));
        }
        found.retain(|(file, _)| self.sources.get(file).is_some());
        found
    }

    fn find_orphans(&mut self) {
        for package in self.packages {
            let others = self.packages.iter().filter(|other| {
                other.folder != package.folder
                    && strip_folder(&other.folder, &package.folder).is_some()
            });
            let others: Vec<_> = others.collect();
            for path in self.sources.below(&package.folder) {
                let elsewhere = others
                    .iter()
                    .any(|other| strip_folder(path, &other.folder).is_some());
                if path.ends_with(".rs") && !elsewhere && !self.read.contains(path) {
                    let text = format!(
                        "{} belongs to no module: nothing declares it",
                        package.relative(path)
                    );
                    self.findings
                        .push(Finding::new(&package.short, Kind::Orphan, text));
                }
            }
        }
    }
}

/// What `#[path = "…"]` and `#[cfg_attr(…, path = "…")]` name.
fn paths(attributes: &[Attribute]) -> Vec<String> {
    let mut found = Vec::new();
    for attribute in attributes {
        match &attribute.meta {
            Meta::List(list) if list.path.is_ident("cfg_attr") => {
                let parser = syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated;
                let metas = list.parse_args_with(parser).into_iter().flatten();
                found.extend(metas.skip(1).filter_map(|meta| path_in(&meta)));
            }
            meta => found.extend(path_in(meta)),
        }
    }
    found
}

fn path_in(meta: &Meta) -> Option<String> {
    let Meta::NameValue(pair) = meta else {
        return None;
    };
    match &pair.value {
        Expr::Lit(literal) if pair.path.is_ident("path") => match &literal.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether attributes let an item be compiled for tests alone.
pub fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => list
            .parse_args::<Meta>()
            .is_ok_and(|meta| asks_for_tests(&meta)),
        // `#[test]`, `#[tokio::test]`.
        meta => meta
            .path()
            .segments
            .last()
            .is_some_and(|part| part.ident == "test"),
    })
}

fn asks_for_tests(condition: &Meta) -> bool {
    let Meta::List(list) = condition else {
        return condition.path().is_ident("test");
    };
    let parser = syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated;
    let Ok(parts) = list.parse_args_with(parser) else {
        return false;
    };
    if list.path.is_ident("all") {
        parts.iter().any(asks_for_tests)
    } else {
        list.path.is_ident("any") && !parts.is_empty() && parts.iter().all(asks_for_tests)
    }
}
