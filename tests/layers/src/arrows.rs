//! The file of the arrows that are declared. Its own header says how it reads; see
//! `tests/layers/arrows`.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::{Finding, Kind};

/// What may import what, by section: `crates`, a crate, or a folder of a crate.
#[derive(Debug, Default)]
pub struct Arrows {
    /// The sections, by name.
    pub sections: BTreeMap<String, Section>,
    /// Files that no module declares and none has to.
    pub standalone: BTreeSet<String>,
}

/// The arrows among crates, or among the folders that lie in one place.
#[derive(Debug, Default)]
pub struct Section {
    /// Every name, with the line where it first stands.
    pub names: BTreeMap<String, usize>,
    /// The only packages that a crate depends on, besides those of tests.
    pub only: BTreeMap<String, BTreeSet<String>>,
    /// `->`: whoever may use the left may use the right.
    chain: BTreeSet<(String, String)>,
    /// `=>`: the left alone may use the right.
    alone: BTreeSet<(String, String)>,
    /// `*`: there may be more than what is named.
    pub open: bool,
    /// `* ->`: what everything may use.
    leaves: BTreeSet<String>,
}

/// Where the file lies, as findings name it.
const FILE: &str = "tests/layers/arrows";

fn wrong(line: usize, what: &str) -> Finding {
    Finding::new("", Kind::Arrows, format!("{FILE}:{line} {what}"))
}

impl Arrows {
    /// Reads the file. What is wrong in it is among the findings.
    pub fn parse(text: &str, findings: &mut Vec<Finding>) -> Self {
        let mut arrows = Self::default();
        let mut section = None;
        for (number, line) in text.lines().enumerate() {
            let number = number + 1;
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            if let Some(name) = line
                .strip_prefix('[')
                .and_then(|line| line.strip_suffix(']'))
            {
                section = Some(name.to_owned());
            } else if section.as_deref() == Some("standalone") {
                arrows.standalone.insert(line.to_owned());
            } else if let Some(name) = &section {
                let section = arrows.sections.entry(name.clone()).or_default();
                if let Err(what) = section.read(line, number) {
                    findings.push(wrong(number, &what));
                }
            } else {
                findings.push(wrong(number, "stands in no section"));
            }
        }
        for (name, section) in &arrows.sections {
            section.find_circles(name, findings);
        }
        arrows
    }
}

fn names(list: &str) -> Result<Vec<&str>, String> {
    let names: Vec<_> = list.split(',').map(str::trim).collect();
    let is_name = |name: &&str| {
        !name.is_empty()
            && name
                .chars()
                .all(|one| one.is_alphanumeric() || "_-*".contains(one))
    };
    if names.iter().all(is_name) {
        Ok(names)
    } else {
        Err(format!(
            "'{list}' is no list of names with commas between them"
        ))
    }
}

impl Section {
    fn read(&mut self, line: &str, number: usize) -> Result<(), String> {
        if line == "*" {
            self.open = true;
            return Ok(());
        }
        if let Some((name, packages)) = line.split_once(" only ") {
            self.note(name.trim(), number);
            let packages = names(packages)?.into_iter().map(str::to_owned).collect();
            self.only.insert(name.trim().to_owned(), packages);
            return Ok(());
        }
        let (mark, chain) = if line.contains("=>") {
            ("=>", false)
        } else {
            ("->", true)
        };
        let ranks = line.split(mark).map(names).collect::<Result<Vec<_>, _>>()?;
        for name in ranks.iter().flatten().filter(|name| **name != "*") {
            self.note(name, number);
        }
        for pair in ranks.windows(2) {
            let [left, right] = pair else { continue };
            for (from, to) in left
                .iter()
                .flat_map(|from| right.iter().map(move |to| (*from, *to)))
            {
                let arrow = (from.to_owned(), to.to_owned());
                match (from, chain) {
                    ("*", _) => drop(self.leaves.insert(arrow.1)),
                    (_, true) => drop(self.chain.insert(arrow)),
                    (_, false) => drop(self.alone.insert(arrow)),
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, name: &str, line: usize) {
        self.names.entry(name.to_owned()).or_insert(line);
    }

    /// Whether `from` may use `to`.
    pub fn allows(&self, from: &str, to: &str) -> bool {
        let arrow = (from.to_owned(), to.to_owned());
        self.alone.contains(&arrow) || self.is_below(to, from)
    }

    fn is_below(&self, low: &str, high: &str) -> bool {
        if self.leaves.contains(low) && !self.leaves.contains(high) {
            return true;
        }
        let mut reached = BTreeSet::from([high]);
        let mut next = vec![high];
        while let Some(one) = next.pop() {
            for (_, to) in self.chain.iter().filter(|(from, _)| from == one) {
                if to == low {
                    return true;
                }
                if reached.insert(to) {
                    next.push(to);
                }
            }
        }
        false
    }

    /// Arrows that are declared in a circle would allow every climb in it.
    fn find_circles(&self, section: &str, findings: &mut Vec<Finding>) {
        for (name, line) in &self.names {
            let back = self
                .alone
                .iter()
                .any(|(from, to)| to == name && (from == name || self.is_below(from, name)));
            if self.is_below(name, name) || back {
                findings.push(wrong(
                    *line,
                    &format!("declares a circle through {name} in [{section}]"),
                ));
            }
        }
    }
}
