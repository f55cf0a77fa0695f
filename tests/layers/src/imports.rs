//! Every import of the code: what `use` names, what a path goes to, what stands in macros and
//! attributes.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Block, ImplItem, Item, ItemExternCrate, ItemMacro, ItemUse, Local, Macro, Meta,
    Stmt, TraitItem, VisRestricted,
};

use crate::finding::{Finding, Kind};
use crate::modules::is_for_tests;
use crate::resolve::{At, Place, World};
use crate::scope::{Path, Scope, Use, uses};
use crate::tokens::Tokens;

/// First parts of attributes and lints that are no crates.
const TOOLS: [&str; 5] = ["clippy", "diagnostic", "miri", "rustdoc", "rustfmt"];
const PRIMITIVES: [&str; 19] = [
    "bool", "char", "f32", "f64", "i128", "i16", "i32", "i64", "i8", "isize", "str", "u128", "u16",
    "u32", "u64", "u8", "usize", "Self", "self",
];

/// One import.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    /// The module in which it stands.
    pub from: usize,
    /// The line in that module's file.
    pub line: usize,
    /// Where it leads.
    pub to: Place,
    /// Whether it is compiled for tests alone.
    pub for_tests: bool,
}

/// A macro of the workspace.
struct Rules {
    home: usize,
    exported: bool,
    tokens: TokenStream,
}

/// Every import of every module, without repetition.
pub fn all(world: &World, findings: &mut Vec<Finding>) -> Vec<Import> {
    let mut macros = BTreeMap::new();
    for (number, module) in world.modules.iter().enumerate() {
        let mut collector = Collector {
            home: number,
            macros: &mut macros,
        };
        module
            .items
            .iter()
            .for_each(|item| collector.visit_item(item));
    }
    let mut found = BTreeSet::new();
    for (number, module) in world.modules.iter().enumerate() {
        let mut reader = Reader {
            world,
            macros: &macros,
            module: number,
            for_tests: module.for_tests,
            blocks: Vec::new(),
            found: &mut found,
            findings,
        };
        module.items.iter().for_each(|item| reader.visit_item(item));
    }
    found.into_iter().collect()
}

struct Collector<'a> {
    home: usize,
    macros: &'a mut BTreeMap<String, Vec<Rules>>,
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_item_macro(&mut self, item: &'ast ItemMacro) {
        if let Some(name) = &item.ident {
            let exported = item
                .attrs
                .iter()
                .any(|attribute| attribute.path().is_ident("macro_export"));
            let rules = Rules {
                home: self.home,
                exported,
                tokens: item.mac.tokens.clone(),
            };
            self.macros.entry(name.to_string()).or_default().push(rules);
        }
    }
}

struct Reader<'a> {
    world: &'a World,
    macros: &'a BTreeMap<String, Vec<Rules>>,
    module: usize,
    for_tests: bool,
    blocks: Vec<Scope>,
    found: &'a mut BTreeSet<Import>,
    findings: &'a mut Vec<Finding>,
}

impl Reader<'_> {
    fn at(&self, home: usize) -> At<'_> {
        At {
            module: self.module,
            blocks: &self.blocks,
            home,
        }
    }

    fn keep(&mut self, line: usize, places: Vec<Place>) {
        for to in places {
            let (from, for_tests) = (self.module, self.for_tests);
            self.found.insert(Import {
                from,
                line,
                to,
                for_tests,
            });
        }
    }

    fn find(&mut self, kind: Kind, line: usize, what: &str) {
        let module = &self.world.modules[self.module];
        let package = &self.world.packages[module.package];
        let text = format!("{}:{line} {what}", package.relative(&module.file));
        self.findings.push(Finding::new(&package.short, kind, text));
    }

    fn import(&mut self, one: &Use, home: usize) {
        let places = self.world.resolve(self.at(home), &one.path);
        if places.is_empty() {
            return self.find_unknown(one.line, &one.path);
        }
        if !one.glob {
            return self.keep(one.line, places);
        }
        for place in places {
            let Place::Module(module) = place else {
                self.keep(one.line, vec![place]);
                continue;
            };
            let offered = self.world.offered(module, self.module);
            self.keep(
                one.line,
                if offered.is_empty() {
                    vec![place]
                } else {
                    offered
                },
            );
        }
    }

    fn find_unknown(&mut self, line: usize, path: &Path) {
        let first = path.parts.first().map_or("", String::as_str);
        let what = format!(
            "imports {}, and `{first}` is neither in the manifest nor defined there",
            path.parts.join("::")
        );
        self.find(Kind::UnknownCrate, line, &what);
    }

    /// A path in code. A first part that is an item or was imported as one has its import
    /// elsewhere.
    fn path(&mut self, line: usize, path: &Path, home: usize, in_tokens: bool) {
        let Some(first) = path.parts.first() else {
            return;
        };
        let is_root = matches!(first.as_str(), "crate" | "$crate" | "super" | "self");
        if path.parts.len() == 1 && (is_root || !self.is_library(first)) {
            return;
        }
        if path.parts.len() > 1 && !is_root && PRIMITIVES.contains(&first.as_str()) {
            return;
        }
        let start = Path {
            parts: vec![first.clone()],
            leading: path.leading,
        };
        let begins = self.world.resolve(self.at(home), &start);
        if begins.is_empty() {
            // A parameter's associated item (`T::NAME`) begins with a capital.
            if !in_tokens
                && !TOOLS.contains(&first.as_str())
                && first.starts_with(|first: char| first.is_lowercase())
            {
                self.find_unknown(line, path);
            }
        } else if is_root || begins.iter().any(|place| !matches!(place, Place::Item(_))) {
            let places = self.world.resolve(self.at(home), path);
            self.keep(line, places);
        }
    }

    /// Whether a word that stands alone is a crate of the workspace, by which a macro may make a
    /// path.
    fn is_library(&self, word: &str) -> bool {
        self.world.library(word).is_some()
    }

    fn tokens(&mut self, tokens: Tokens, home: usize, called_at: Option<usize>) {
        for (path, line) in &tokens.paths {
            self.path(called_at.unwrap_or(*line), path, home, true);
        }
        for one in tokens.uses {
            let line = called_at.unwrap_or(one.line);
            // What is imported in a macro is known in what it makes alone: it is not looked up
            // again.
            let one = Use { line, ..one };
            if called_at.is_none() || !self.world.resolve(self.at(home), &one.path).is_empty() {
                self.import(&one, home);
            }
        }
        for (name, line) in tokens.crates {
            let path = Path {
                parts: vec![name],
                leading: true,
            };
            let one = Use {
                path,
                name: None,
                glob: false,
                public: false,
                line: called_at.unwrap_or(line),
            };
            self.import(&one, home);
        }
        if called_at.is_none() {
            for (line, how) in tokens.hidden {
                self.find(Kind::Hidden, line, &format!("hides an import: it {how}"));
            }
        }
    }

    /// What the rules of a called macro make here.
    fn call(&mut self, name: &str, line: usize) {
        let package = self.world.modules[self.module].package;
        for rules in self.macros.get(name).into_iter().flatten() {
            if rules.exported || self.world.modules[rules.home].package == package {
                let tokens = Tokens::of_rules(rules.tokens.clone());
                self.tokens(tokens, rules.home, Some(line));
            }
        }
    }

    fn attribute_tokens(&mut self, tokens: TokenStream) {
        let mut words = Vec::new();
        texts(tokens.clone(), &mut words);
        for (text, line) in words {
            if let Ok(path) = syn::parse_str::<syn::Path>(&text) {
                self.path(line, &Path::of(&path), self.module, true);
            }
        }
        let mut found = Tokens::of_call(tokens);
        found.uses.clear();
        found.hidden.clear();
        self.tokens(found, self.module, None);
    }

    fn within(&mut self, attributes: &[Attribute], visit: impl FnOnce(&mut Self)) {
        let outside = self.for_tests;
        self.for_tests |= is_for_tests(attributes);
        visit(self);
        self.for_tests = outside;
    }
}

/// The strings among tokens, with their lines.
fn texts(tokens: TokenStream, found: &mut Vec<(String, usize)>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => texts(group.stream(), found),
            TokenTree::Literal(literal) => {
                let line = literal.span().start().line;
                if let syn::Lit::Str(text) = syn::Lit::new(literal) {
                    found.push((text.value(), line));
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        self.within(attributes(item), |reader| visit::visit_item(reader, item));
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs[..],
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            _ => &[],
        };
        self.within(attributes, |reader| visit::visit_impl_item(reader, item));
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        let attributes = match item {
            TraitItem::Const(item) => &item.attrs[..],
            TraitItem::Fn(item) => &item.attrs,
            TraitItem::Type(item) => &item.attrs,
            _ => &[],
        };
        self.within(attributes, |reader| visit::visit_trait_item(reader, item));
    }

    fn visit_local(&mut self, local: &'ast Local) {
        self.within(&local.attrs, |reader| visit::visit_local(reader, local));
    }

    fn visit_block(&mut self, block: &'ast Block) {
        let items = block.stmts.iter().filter_map(|statement| match statement {
            Stmt::Item(item) => Some(item),
            _ => None,
        });
        self.blocks.push(Scope::of(items));
        visit::visit_block(self, block);
        self.blocks.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for one in uses(item) {
            self.import(&one, self.module);
        }
    }

    fn visit_item_extern_crate(&mut self, item: &'ast ItemExternCrate) {
        if item.ident != "self" {
            let path = Path {
                parts: vec![item.ident.to_string()],
                leading: true,
            };
            let line = item.ident.span().start().line;
            self.import(
                &Use {
                    path,
                    name: None,
                    glob: false,
                    public: false,
                    line,
                },
                self.module,
            );
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        // Modules of files and of modules are read by themselves: this one stands in a block.
        let line = item.ident.span().start().line;
        self.find(
            Kind::Hidden,
            line,
            "hides imports: it declares a module in a block",
        );
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let line = path.span().start().line;
        self.path(line, &Path::of(path), self.module, false);
        visit::visit_path(self, path);
    }

    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}

    fn visit_item_macro(&mut self, item: &'ast ItemMacro) {
        if item.ident.is_some() {
            item.attrs
                .iter()
                .for_each(|attribute| self.visit_attribute(attribute));
            self.tokens(Tokens::of_rules(item.mac.tokens.clone()), self.module, None);
        } else {
            visit::visit_item_macro(self, item);
        }
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.visit_path(&call.path);
        let Some(last) = call.path.segments.last() else {
            return;
        };
        let line = last.ident.span().start().line;
        let name = last.ident.to_string();
        if matches!(name.as_str(), "include" | "include_proto") {
            self.find(
                Kind::Hidden,
                line,
                "hides imports: it includes code that is not read",
            );
        }
        self.tokens(Tokens::of_call(call.tokens.clone()), self.module, None);
        self.call(&name, line);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("doc") {
            return;
        }
        visit::visit_attribute(self, attribute);
        if let Meta::List(list) = &attribute.meta {
            self.attribute_tokens(list.tokens.clone());
        }
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
