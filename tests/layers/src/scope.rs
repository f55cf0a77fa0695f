//! The names that stand in a module or a block: its items, and what it imports.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::{ForeignItem, Item, ItemUse, UseTree, Visibility};

/// A path as it stands in code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Its parts; the first may be `crate`, `self`, `super` or `$crate`.
    pub parts: Vec<String>,
    /// Whether it begins with `::`.
    pub leading: bool,
}

impl Path {
    /// The parts of a path of syn.
    pub fn of(path: &syn::Path) -> Self {
        let parts = path.segments.iter().map(|part| text(&part.ident)).collect();
        Self {
            parts,
            leading: path.leading_colon.is_some(),
        }
    }
}

fn text(ident: &syn::Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map(str::to_owned).unwrap_or(text)
}

/// One name of a `use`.
#[derive(Clone, Debug)]
pub struct Use {
    /// What is imported.
    pub path: Path,
    /// The name that it gets here; `None`: a glob, or `as _`.
    pub name: Option<String>,
    /// Whether all that the path offers is imported.
    pub glob: bool,
    /// Whether others can import it from here.
    pub public: bool,
    /// Where it stands.
    pub line: usize,
}

/// Every name that a `use` imports.
pub fn uses(item: &ItemUse) -> Vec<Use> {
    let mut found = Vec::new();
    let path = Path {
        parts: Vec::new(),
        leading: item.leading_colon.is_some(),
    };
    let public = is_public(&item.vis);
    flatten(&item.tree, path, public, &mut found);
    found
}

fn flatten(tree: &UseTree, mut path: Path, public: bool, found: &mut Vec<Use>) {
    let line = tree.span().start().line;
    let (name, glob) = match tree {
        UseTree::Path(one) => {
            path.parts.push(text(&one.ident));
            flatten(&one.tree, path, public, found);
            return;
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, path.clone(), public, found);
            }
            return;
        }
        UseTree::Name(one) => (last_part(&mut path, &one.ident), false),
        UseTree::Rename(one) => {
            last_part(&mut path, &one.ident);
            let name = text(&one.rename);
            ((name != "_").then_some(name), false)
        }
        UseTree::Glob(_) => (None, true),
    };
    found.push(Use {
        path,
        name,
        glob,
        public,
        line,
    });
}

/// Adds the last part of a path, and returns the name that it gives. `self` in a group is what the
/// group is of.
fn last_part(path: &mut Path, ident: &syn::Ident) -> Option<String> {
    let part = text(ident);
    if part != "self" || path.parts.is_empty() {
        path.parts.push(part);
    }
    path.parts.last().cloned()
}

fn is_public(visibility: &Visibility) -> bool {
    !matches!(visibility, Visibility::Inherited)
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub enum Meaning {
    /// An item that is defined here.
    Item,
    /// A module that is declared here.
    Module(usize),
    /// What a path leads to.
    Import(Path),
}

/// A name with what it stands for.
#[derive(Clone, Debug)]
pub struct Name {
    /// What it stands for.
    pub meaning: Meaning,
    /// Whether modules that do not lie within this one see it.
    pub public: bool,
}

/// The names of a module or a block.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// What each name stands for: a type, a value and a macro may share one.
    pub names: BTreeMap<String, Vec<Name>>,
    /// What is imported by globs.
    pub globs: Vec<Use>,
    /// The words in calls of macros that may define items: one of these names is defined here
    /// unless another meaning is found.
    pub in_macros: BTreeSet<String>,
}

impl Scope {
    /// The names of some items; of modules, [`Scope::add`] knows more.
    pub fn of<'a>(items: impl IntoIterator<Item = &'a Item>) -> Self {
        let mut scope = Self::default();
        for item in items {
            scope.add_item(item);
        }
        scope
    }

    /// Gives a name a meaning more.
    pub fn add(&mut self, name: &str, meaning: Meaning, public: bool) {
        let name = name.strip_prefix("r#").unwrap_or(name).to_owned();
        self.names
            .entry(name)
            .or_default()
            .push(Name { meaning, public });
    }

    fn add_item(&mut self, item: &Item) {
        let (ident, public) = match item {
            Item::Const(item) => (&item.ident, is_public(&item.vis)),
            Item::Enum(item) => (&item.ident, is_public(&item.vis)),
            Item::Fn(item) => (&item.sig.ident, is_public(&item.vis)),
            Item::Static(item) => (&item.ident, is_public(&item.vis)),
            Item::Struct(item) => (&item.ident, is_public(&item.vis)),
            Item::Trait(item) => (&item.ident, is_public(&item.vis)),
            Item::TraitAlias(item) => (&item.ident, is_public(&item.vis)),
            Item::Type(item) => (&item.ident, is_public(&item.vis)),
            Item::Union(item) => (&item.ident, is_public(&item.vis)),
            Item::Macro(item) => match &item.ident {
                Some(ident) => (ident, true),
                None => return words(item.mac.tokens.clone(), &mut self.in_macros),
            },
            Item::Use(item) => return self.add_uses(item),
            Item::ExternCrate(item) => {
                let name = item.rename.as_ref().map_or(&item.ident, |(_, name)| name);
                // `extern crate self as name` is the root of this crate.
                let of_itself = item.ident == "self";
                let first = if of_itself {
                    "crate".to_owned()
                } else {
                    text(&item.ident)
                };
                let path = Path {
                    parts: vec![first],
                    leading: !of_itself,
                };
                return self.add(
                    &name.to_string(),
                    Meaning::Import(path),
                    is_public(&item.vis),
                );
            }
            Item::ForeignMod(block) => return self.add_foreign(&block.items),
            _ => return,
        };
        self.add(&ident.to_string(), Meaning::Item, public);
    }

    fn add_uses(&mut self, item: &ItemUse) {
        for one in uses(item) {
            match &one.name {
                Some(name) => self.add(name, Meaning::Import(one.path), one.public),
                None if one.glob => self.globs.push(one),
                None => {}
            }
        }
    }

    fn add_foreign(&mut self, items: &[ForeignItem]) {
        for item in items {
            let (ident, visibility) = match item {
                ForeignItem::Fn(item) => (&item.sig.ident, &item.vis),
                ForeignItem::Static(item) => (&item.ident, &item.vis),
                ForeignItem::Type(item) => (&item.ident, &item.vis),
                _ => continue,
            };
            self.add(&ident.to_string(), Meaning::Item, is_public(visibility));
        }
    }
}

/// Every word in a call of a macro.
fn words(tokens: TokenStream, found: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => drop(found.insert(text(&ident))),
            TokenTree::Group(group) => words(group.stream(), found),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}
