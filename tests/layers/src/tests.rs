//! Tiny workspaces, each with one fault: what is found has to name both ends.

use crate::Survey;
use crate::arrows::Arrows;
use crate::finding::Kind;
use crate::sources::Sources;

/// Crates `high` and `low`; in `low` the folders `top`, `middle` and `base`, and the files `leaf`
/// and `side`.
const TREE: [(&str, &str); 13] = [
    (
        "Cargo.toml",
        "[workspace]\nmembers = [\"high\", \"low\"]\n[workspace.dependencies]\nportcullis-low = { path = \"low\" }",
    ),
    (
        "high/Cargo.toml",
        "[package]\nname = \"portcullis-high\"\n[dependencies]\nportcullis-low = { workspace = true }\nserde = \"1\"",
    ),
    (
        "high/src/main.rs",
        "use portcullis_low::top::Top;\nuse serde::Serialize;\nfn main() { portcullis_low::base::base(); }",
    ),
    (
        "low/Cargo.toml",
        "[package]\nname = \"portcullis-low\"\n[dev-dependencies]\ntempfile = \"3\"",
    ),
    (
        "low/src/lib.rs",
        "pub mod top;\npub mod middle;\npub mod base;\nmod leaf;\nmod side;\n",
    ),
    (
        "low/src/top/mod.rs",
        "use crate::middle::Middle;\nuse super::base::{self, Base as B};\npub struct Top(Middle, B);\n",
    ),
    (
        "low/src/middle/mod.rs",
        "mod inner;\npub mod outer;\npub use inner::Middle;\n",
    ),
    (
        "low/src/middle/inner.rs",
        "use crate::base::*;\nuse crate::leaf;\npub struct Middle(Base);\n",
    ),
    ("low/src/middle/outer/mod.rs", "mod deep;\n"),
    (
        "low/src/middle/outer/deep.rs",
        "use super::super::Middle;\n",
    ),
    (
        "low/src/base/mod.rs",
        "pub struct Base;\npub fn base() {}\n#[cfg(test)]\nmod tests { use super::*; use crate::top::Top; use tempfile::TempDir; }\n",
    ),
    ("low/src/leaf.rs", "pub fn leaf() {}\n"),
    ("low/src/side.rs", "pub fn side() {}\n"),
];

const ARROWS: &str = "
[crates]
high -> low
[low]
top -> middle -> base
middle, top => leaf   # and nothing else
side
";

/// What is found with some files replaced or added, sorted by nothing: the kind and the text of
/// each.
fn found_under(arrows: &str, changes: &[(&str, &str)]) -> Vec<(Kind, String)> {
    let mut sources = Sources::default();
    for (path, text) in TREE.iter().chain(changes) {
        sources.put(path, *text);
    }
    let mut findings = Vec::new();
    let arrows = Arrows::parse(arrows, &mut findings);
    findings.extend(Survey::new(&sources, &arrows.standalone).check(&arrows));
    findings
        .into_iter()
        .map(|finding| (finding.kind, finding.to_string()))
        .collect()
}

fn found(changes: &[(&str, &str)]) -> Vec<(Kind, String)> {
    found_under(ARROWS, changes)
}

#[track_caller]
fn only(changes: &[(&str, &str)], kind: Kind, text: &str) {
    assert_eq!(found(changes), [(kind, text.to_owned())]);
}

/// A climb of `base` to `top`, which makes a circle with what `top` uses of `base`.
#[track_caller]
fn climbs(base: &str, line: usize) {
    let found = found(&[("low/src/base/mod.rs", base)]);
    let climb = format!("low: src/base/mod.rs:{line} (base) climbs to src/top/mod.rs (top)");
    assert_eq!(found[0], (Kind::Climb, climb));
    let circle = format!(
        "low: a circle of folders: base -> top -> base, the shortest of several among base, middle, top: \
         src/base/mod.rs:{line} (base) uses src/top/mod.rs (top); src/top/mod.rs:2 (top) uses src/base/mod.rs (base)"
    );
    assert_eq!(found[1], (Kind::Circle, circle));
    assert_eq!(found.len(), 2);
}

const BASE: &str = "pub struct Base;\npub fn base() {}\n";

#[test]
fn a_clean_tree_passes() {
    assert_eq!(found(&[]), []);
}

#[test]
fn a_climb_is_found() {
    climbs(&format!("{BASE}use crate::top::Top;"), 3);
}

#[test]
fn a_climb_by_a_full_path_in_a_body_is_found() {
    climbs(
        &format!("{BASE}fn up() {{\n let it = 1;\n crate::top::Top::new(it);\n}}"),
        5,
    );
}

#[test]
fn a_climb_in_a_block_is_found() {
    climbs(&format!("{BASE}fn up() {{\n use crate::top;\n}}"), 4);
}

#[test]
fn a_climb_by_an_alias_of_the_root_is_found() {
    climbs(
        &format!("{BASE}use crate as root;\ntype Up = root::top::Top;"),
        4,
    );
}

#[test]
fn a_climb_by_another_name_of_the_crate_is_found() {
    let lib = format!("extern crate self as whole;\n{}", TREE[4].1);
    let base = format!("{BASE}use crate::whole::top::Top;");
    let found = found(&[("low/src/lib.rs", &lib), ("low/src/base/mod.rs", &base)]);
    assert_eq!(
        found[0].1,
        "low: src/base/mod.rs:3 (base) climbs to src/top/mod.rs (top)"
    );
}

#[test]
fn a_climb_in_a_signature_is_found() {
    climbs(
        &format!("{BASE}impl From<super::top::Top> for Base {{}}"),
        3,
    );
}

#[test]
fn a_climb_through_a_re_export_is_found() {
    let lib = "pub mod top;\npub mod middle;\npub mod base;\nmod leaf;\nmod side;\npub use top::Top as Renamed;\n";
    let base = format!("{BASE}use crate::Renamed;");
    let found = found(&[("low/src/lib.rs", lib), ("low/src/base/mod.rs", &base)]);
    assert_eq!(
        found[0].1,
        "low: src/base/mod.rs:3 (base) climbs to src/top/mod.rs (top)"
    );
}

#[test]
fn a_climb_through_a_glob_is_found() {
    climbs(&format!("{BASE}use crate::top::*;"), 3);
    // The glob of a module that re-exports by a glob.
    let lib = "pub mod top;\npub mod middle;\npub mod base;\nmod leaf;\nmod side;\npub mod all { pub use crate::top::*; }\n";
    let base = format!("{BASE}use crate::all::*;");
    let found = found(&[("low/src/lib.rs", lib), ("low/src/base/mod.rs", &base)]);
    assert_eq!(
        found[0].1,
        "low: src/base/mod.rs:3 (base) climbs to src/top/mod.rs (top)"
    );
}

#[test]
fn a_climb_inside_a_macro_is_found() {
    climbs(
        &format!("{BASE}fn up() {{ println!(\"{{}}\",\n crate::top::NAME); }}"),
        4,
    );
    climbs(
        &format!("{BASE}macro_rules! up {{ () => {{\n $crate::top::Top::new() }} }}"),
        4,
    );
    climbs(
        &format!("{BASE}macro_rules! up {{ () => {{\n use $crate::{{top::Top}}; }} }}"),
        4,
    );
    climbs(&format!("{BASE}many! {{\n use super::top::Top; }}"), 4);
}

#[test]
fn a_climb_in_an_attribute_is_found() {
    climbs(
        &format!("{BASE}#[serde(with = \"crate::top::format\")]\nstruct It;"),
        3,
    );
}

#[test]
fn a_climb_by_what_a_macro_makes_elsewhere_is_found() {
    let leaf =
        "#[macro_export]\nmacro_rules! above { () => { super::top::Top } }\npub fn leaf() {}\n";
    let base = format!("{BASE}fn up() {{ crate::above!(); }}");
    let found = found(&[("low/src/leaf.rs", leaf), ("low/src/base/mod.rs", &base)]);
    assert!(
        found
            .iter()
            .any(|one| one.1 == "low: src/base/mod.rs:3 (base) climbs to src/top/mod.rs (top)"),
        "{found:#?}"
    );
}

#[test]
fn an_undeclared_arrow_is_found() {
    only(
        &[(
            "low/src/top/mod.rs",
            "use crate::side::side;\nuse crate::middle::Middle;\n",
        )],
        Kind::Undeclared,
        "low: src/top/mod.rs:1 (top) has no arrow to src/side.rs (side)",
    );
}

#[test]
fn an_arrow_for_one_is_not_for_those_above_it() {
    let arrows = ARROWS.replace("middle, top => leaf", "middle => leaf");
    assert_eq!(found_under(&arrows, &[]), []);
    let top = [("low/src/top/mod.rs", "use crate::leaf::leaf;\n")];
    let told = "low: src/top/mod.rs:1 (top) has no arrow to src/leaf.rs (leaf)".to_owned();
    assert_eq!(found_under(&arrows, &top), [(Kind::Undeclared, told)]);
}

#[test]
fn what_everything_may_use_uses_nothing() {
    let arrows = ARROWS.replace("middle, top => leaf", "* -> leaf");
    assert_eq!(found_under(&arrows, &[]), []);
    let found = found_under(&arrows, &[("low/src/leaf.rs", "use crate::side;\n")]);
    assert_eq!(
        found,
        [(
            Kind::Climb,
            "low: src/leaf.rs:1 (leaf) climbs to src/side.rs (side)".to_owned()
        )]
    );
}

#[test]
fn a_circle_of_folders_below_is_found() {
    let changes = [
        (
            "low/src/middle/mod.rs",
            "mod inner;\npub mod outer;\npub mod other;\npub use inner::Middle;\n",
        ),
        (
            "low/src/middle/outer/deep.rs",
            "use super::super::other::Other;\npub struct Deep;\n",
        ),
        (
            "low/src/middle/other/mod.rs",
            "use super::outer;\npub struct Other;\n",
        ),
    ];
    only(
        &changes,
        Kind::Circle,
        "low: a circle of folders in middle: other -> outer -> other: src/middle/other/mod.rs:1 (other) uses \
         src/middle/outer/mod.rs (outer); src/middle/outer/deep.rs:1 (outer) uses src/middle/other/mod.rs (other)",
    );
}

#[test]
fn the_folders_of_a_folder_can_have_arrows() {
    let arrows = format!("{ARROWS}\n[low/middle]\nouter -> inner\n");
    assert_eq!(found_under(&arrows, &[]), []);
    let inner = [(
        "low/src/middle/inner.rs",
        "use super::outer;\npub struct Middle;\n",
    )];
    let told =
        "low: src/middle/inner.rs:1 (inner) climbs to src/middle/outer/mod.rs (outer)".to_owned();
    assert_eq!(found_under(&arrows, &inner), [(Kind::Climb, told)]);
}

#[test]
fn what_a_macro_hides_is_found() {
    let hides = |text: &str, how: &str| {
        let base = format!("{BASE}{text}");
        only(
            &[("low/src/base/mod.rs", &base)],
            Kind::Hidden,
            &format!("low: src/base/mod.rs:3 hides {how}"),
        );
    };
    hides(
        "macro_rules! brings { ($it:path) => { use $it; } }",
        "an import: it imports by fragments of a macro, or `use` is no import there",
    );
    hides(
        "macro_rules! declares { ($it:ident) => { mod $it; } }",
        "an import: it declares a module in a macro",
    );
    hides(
        "fn up() { call!(crate, top); }",
        "an import: it gives `crate` alone to a macro",
    );
    hides(
        "macro_rules! goes { ($it:ident) => { crate::$it::Top } }",
        "an import: it goes on from a crate's root with a fragment of a macro",
    );
    hides(
        "macro_rules! joins { ($($it:ident),*) => { $($it)::* } }",
        "an import: it puts a path together from fragments of a macro",
    );
    hides(
        "include!(\"more.rs\");",
        "imports: it includes code that is not read",
    );
    hides(
        "fn up() { select! { _ = 1 => include!(\"more.rs\") } }",
        "an import: it includes code that is not read",
    );
    hides(
        "fn up() { mod inside { use super::super::top::Top; } }",
        "imports: it declares a module in a block",
    );
}

#[test]
fn a_file_that_does_not_parse_is_found() {
    let found = found(&[("low/src/side.rs", "pub fn side() {\n  let = 1;\n}\n")]);
    assert_eq!(found[0].0, Kind::Unreadable);
    assert!(
        found[0]
            .1
            .starts_with("low: src/side.rs:2 does not parse: "),
        "{found:#?}"
    );
}

#[test]
fn a_module_without_its_file_is_found() {
    only(
        &[("low/src/side.rs", "mod gone;\n")],
        Kind::Unreadable,
        "low: src/side.rs:1 declares the module gone, whose file is not there",
    );
}

#[test]
fn an_unknown_crate_is_found() {
    only(
        &[("low/src/side.rs", "use unknown::Thing;\n")],
        Kind::UnknownCrate,
        "low: src/side.rs:1 imports unknown::Thing, and `unknown` is neither in the manifest nor defined there",
    );
    only(
        &[("low/src/side.rs", "fn side() { unknown::thing(); }\n")],
        Kind::UnknownCrate,
        "low: src/side.rs:1 imports unknown::thing, and `unknown` is neither in the manifest nor defined there",
    );
    only(
        &[(
            "low/src/side.rs",
            "#[cfg(windows)]\nuse portcullis_high::Thing;\n",
        )],
        Kind::UnknownCrate,
        "low: src/side.rs:2 imports portcullis_high, which Cargo.toml does not name",
    );
    only(
        &[("low/src/side.rs", "use tempfile::TempDir;\n")],
        Kind::UnknownCrate,
        "low: src/side.rs:1 imports tempfile, which Cargo.toml names for tests only",
    );
}

#[test]
fn a_crate_that_is_no_member_of_the_workspace_is_found() {
    let depends = |how: &str| {
        format!("[package]\nname = \"portcullis-low\"\n[dev-dependencies]\ntempfile = \"3\"\n{how}")
    };
    let hidden = |manifest: &str| {
        only(
            &[
                ("low/Cargo.toml", manifest),
                ("hidden/Cargo.toml", "[package]\nname = \"hidden\""),
                ("hidden/src/lib.rs", "pub struct Hidden;"),
                ("low/src/side.rs", "pub use hidden::Hidden;"),
            ],
            Kind::UnknownCrate,
            "low: Cargo.toml (low) depends on hidden in hidden, which the workspace's Cargo.toml does not name as a member",
        );
    };
    hidden(&depends(
        "[dependencies]\nhidden = { path = \"../hidden\" }",
    ));
    hidden(&depends(
        "[target.'cfg(unix)'.dependencies.hidden]\npath = \"../high/../hidden/\"",
    ));
}

#[test]
fn an_orphan_is_found() {
    only(
        &[("low/src/lost.rs", "")],
        Kind::Orphan,
        "low: src/lost.rs belongs to no module: nothing declares it",
    );
    let arrows = format!("{ARROWS}\n[standalone]\nlow/src/lost.rs\n");
    assert_eq!(found_under(&arrows, &[("low/src/lost.rs", "")]), []);
    let told = "tests/layers/arrows declares low/src/lost.rs in [standalone], and there is none";
    assert_eq!(found_under(&arrows, &[]), [(Kind::Arrows, told.to_owned())]);
}

#[test]
fn both_platforms_are_read() {
    let side = "#[cfg(unix)]\n#[path = \"side/ours.rs\"]\nmod platform;\n#[cfg(windows)]\n#[path = \"side/theirs.rs\"]\nmod platform;\n";
    only(
        &[
            ("low/src/side.rs", side),
            ("low/src/side/ours.rs", ""),
            ("low/src/side/theirs.rs", "use unknown::It;"),
        ],
        Kind::UnknownCrate,
        "low: src/side/theirs.rs:1 imports unknown::It, and `unknown` is neither in the manifest nor defined there",
    );
}

#[test]
fn the_crates_are_held_to_their_arrows() {
    let manifest = "[package]\nname = \"portcullis-low\"\n[dev-dependencies]\ntempfile = \"3\"\nportcullis-high = { path = \"../high\" }";
    let test = "use portcullis_high::Thing;\n";
    let found = found(&[
        ("low/Cargo.toml", manifest),
        ("high/src/lib.rs", "pub struct Thing;\n"),
        ("low/tests/all.rs", test),
    ]);
    let told = [
        (
            Kind::Climb,
            "low: Cargo.toml (low) climbs to portcullis-high (high)".to_owned(),
        ),
        (
            Kind::Climb,
            "low: tests/all.rs:1 (low) climbs to high/src/lib.rs (high)".to_owned(),
        ),
    ];
    assert_eq!(found, told);
}

#[test]
fn a_crate_depends_on_what_it_is_allowed_alone() {
    let arrows = ARROWS.replace("high -> low", "high -> low\nhigh only portcullis-low");
    let told = "high: Cargo.toml (high) has no arrow to the crate serde".to_owned();
    assert_eq!(found_under(&arrows, &[]), [(Kind::Undeclared, told)]);
}

#[test]
fn stale_and_missing_names_are_found() {
    let arrows = ARROWS.replace("side", "gone");
    let told = [
        (
            Kind::Arrows,
            "tests/layers/arrows declares gone in [low], and there is none".to_owned(),
        ),
        (
            Kind::Arrows,
            "tests/layers/arrows does not declare side in [low]: give it its arrow".to_owned(),
        ),
    ];
    assert_eq!(found_under(&arrows, &[]), told);
}

#[test]
fn an_open_section_names_only_what_has_an_arrow() {
    let arrows = ARROWS.replace("side", "*");
    assert_eq!(found_under(&arrows, &[]), []);
    let told = "low: src/side.rs:1 (side) has no arrow to src/leaf.rs (leaf)".to_owned();
    let changed = [("low/src/side.rs", "use crate::leaf::leaf;\n")];
    assert_eq!(found_under(&arrows, &changed), [(Kind::Undeclared, told)]);
}

#[test]
fn a_declared_circle_is_refused() {
    let arrows = ARROWS.replace("side", "side\nbase -> top");
    let found = found_under(&arrows, &[]);
    assert_eq!(found[0].0, Kind::Arrows);
    assert!(
        found[0]
            .1
            .ends_with("declares a circle through base in [low]"),
        "{found:#?}"
    );
}
