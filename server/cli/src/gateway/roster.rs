//! The gateways that `gateway add` registers at once: by a template, or from a file.

use std::collections::HashSet;
use std::path::Path;

use clap::Args;
use csv::{ReaderBuilder, StringRecord};
use portcullis_host::names::{self, MAX_NAME, is_name};
use portcullis_host::text;

use super::many::LIST;
use crate::error::CliError;

/// Gateways that are added by one command at most.
const MAX_GATEWAYS: u32 = 10_000;
/// Bytes of a file of gateways at most.
const MAX_FILE: u64 = 16 << 20;
/// In an address, where the gateway's name comes.
const NAME: &str = "{name}";
/// Between the groups of a row.
const GROUP_SEPARATOR: char = ';';
/// Digits that a number is filled up to at most.
const MAX_DIGITS: usize = 9;
/// The port on which gateways listen.
const GATEWAY_PORT: u16 = 9278;

/// How many, and what they are called.
#[derive(Debug, Args)]
pub(super) struct TemplateArgs {
    /// Register so many at once, with names by --template
    #[arg(long, value_name = "N", requires = "template", requires = "out",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_GATEWAYS)))]
    count: Option<u32>,
    /// The names of those: `%03d` becomes a number of at least 3 digits
    #[arg(long, value_name = "NAME-%03d", requires = "count")]
    template: Option<String>,
    /// The number of the first
    #[arg(long, value_name = "N", default_value_t = 1, requires = "count")]
    first: u32,
}

/// One gateway to be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: String,
    /// Where the server dials it; empty: it dials the server.
    pub(super) address: String,
    pub(super) groups: Vec<String>,
    pub(super) require_tls: bool,
}

impl TemplateArgs {
    /// Those that are wanted, where a number of them is.
    ///
    /// # Errors
    /// [`CliError::Usage`].
    pub(super) fn wanted(&self, like: &Wanted) -> Result<Option<Vec<Wanted>>, CliError> {
        let (Some(count), Some(template)) = (self.count, &self.template) else {
            return Ok(None);
        };
        if !like.address.is_empty() && !like.address.contains(NAME) && count > 1 {
            return Err(CliError::usage(
                "each gateway needs an address of its own: write {name} where its name comes, as in --address {name}.example.com",
            ));
        }
        let template = Template::parse(template).map_err(CliError::Usage)?;
        let numbers = (0..count).map(|index| u64::from(self.first) + u64::from(index));
        let all = numbers.map(|number| {
            let name = template.name(number);
            Wanted {
                address: like.address.replace(NAME, &name),
                name,
                ..like.clone()
            }
        });
        checked(all.collect(), |_| None).map(Some)
    }
}

/// What stands before and after the number of a name.
struct Template {
    before: String,
    digits: usize,
    after: String,
}

impl Template {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no template: give a name with the place of its number, as in web-%03d"
            )
        };
        let (before, rest) = text.split_once('%').ok_or_else(wrong)?;
        let (digits, after) = rest.split_once('d').ok_or_else(wrong)?;
        let digits = match digits {
            "" => 1,
            digits => digits.parse().map_err(|_| wrong())?,
        };
        if digits > MAX_DIGITS || after.contains('%') {
            return Err(wrong());
        }
        Ok(Self {
            before: before.to_owned(),
            digits,
            after: after.to_owned(),
        })
    }

    fn name(&self, number: u64) -> String {
        format!("{}{number:0w$}{}", self.before, self.after, w = self.digits)
    }
}

/// Those in a CSV file with the columns `name`, `address` (empty: it dials the server), `groups`
/// (`one;two`) and `require_tls`. What is given for all holds besides.
///
/// # Errors
/// [`CliError`], with the line.
pub(super) fn from_file(path: &Path, like: &Wanted) -> Result<Vec<Wanted>, CliError> {
    let content = text::read_file(path, MAX_FILE).map_err(CliError::text(path))?;
    let at = |line: u64, problem: String| {
        CliError::Usage(format!("{}, line {line}: {problem}", path.display()))
    };
    let (rows, lines) = rows(&content, like).map_err(|(line, problem)| at(line, problem))?;
    if rows.is_empty() {
        return Err(at(1, "it names no gateway".to_owned()));
    }
    let place = |index: usize| {
        let line = lines.get(index)?;
        Some(format!("{}, line {line}: ", path.display()))
    };
    checked(rows, place)
}

type Rows = (Vec<Wanted>, Vec<u64>);

fn rows(content: &str, like: &Wanted) -> Result<Rows, (u64, String)> {
    let mut reader = ReaderBuilder::new().from_reader(content.as_bytes());
    let fault = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        (line, format!("it is no CSV like its heading: {error}"))
    };
    let heading = reader.headers().map_err(fault)?.clone();
    let columns = Columns::new(&heading).map_err(|problem| (1, problem))?;
    let (mut all, mut lines) = (Vec::new(), Vec::new());
    for record in reader.into_records() {
        let record = record.map_err(fault)?;
        let line = record.position().map_or(1, csv::Position::line);
        let row = columns.row(&record, like);
        all.push(row.map_err(|problem| (line, problem))?);
        lines.push(line);
    }
    Ok((all, lines))
}

/// Where each column stands.
struct Columns {
    name: usize,
    address: Option<usize>,
    groups: Option<usize>,
    require_tls: Option<usize>,
}

impl Columns {
    fn new(heading: &StringRecord) -> Result<Self, String> {
        let known = ["name", "address", "groups", "require_tls"];
        for (index, title) in heading.iter().enumerate() {
            if !known.contains(&title.trim()) {
                return Err(format!(
                    "column {} is `{title}`, and there are: {}",
                    index + 1,
                    known.join(", ")
                ));
            }
            let title = title.trim();
            let same = heading.iter().filter(|other| other.trim() == title);
            if same.count() > 1 {
                return Err(format!("there are two columns `{title}`"));
            }
        }
        let place = |wanted| heading.iter().position(|title| title.trim() == wanted);
        Ok(Self {
            name: place("name").ok_or("its first line names no column `name`")?,
            address: place("address"),
            groups: place("groups"),
            require_tls: place("require_tls"),
        })
    }

    fn row(&self, record: &StringRecord, like: &Wanted) -> Result<Wanted, String> {
        let field = |place: Option<usize>| {
            let text = place.and_then(|place| record.get(place));
            text.unwrap_or_default().trim()
        };
        let require_tls = match field(self.require_tls) {
            "" => like.require_tls,
            "true" | "yes" | "1" => true,
            "false" | "no" | "0" => false,
            other => return Err(format!("require_tls is `{other}`, and is true or false")),
        };
        let groups = field(self.groups).split(GROUP_SEPARATOR).map(str::trim);
        let groups = groups.filter(|group| !group.is_empty()).map(str::to_owned);
        Ok(Wanted {
            name: field(Some(self.name)).to_owned(),
            address: field(self.address).to_owned(),
            groups: like.groups.iter().cloned().chain(groups).collect(),
            require_tls,
        })
    }
}

/// Each with a name and an address that can be, and no name twice; `place` says where one of them
/// stands. Files are called by these names, so nothing is left to the server to look at.
fn checked(
    mut all: Vec<Wanted>,
    place: impl Fn(usize) -> Option<String>,
) -> Result<Vec<Wanted>, CliError> {
    let mut once = HashSet::new();
    for (index, wanted) in all.iter_mut().enumerate() {
        let refuse = |problem: String| {
            let place = place(index).unwrap_or_default();
            CliError::Usage(format!("{place}{problem}"))
        };
        let Wanted { name, address, .. } = wanted;
        if !is_name(name) {
            return Err(refuse(format!(
                "`{name}` is no name for a gateway: give 1 to {MAX_NAME} of A-Z a-z 0-9 . _ -, beginning with a letter or a digit"
            )));
        }
        if name == LIST {
            return Err(refuse(format!(
                "`{name}` is the name of the list of all of them: give that gateway another"
            )));
        }
        if !once.insert(name.clone()) {
            return Err(refuse(format!("gateway `{name}` is named twice")));
        }
        if !address.is_empty() {
            *address = names::host_port(address, Some(GATEWAY_PORT))
                .map_err(|error| refuse(format!("address `{address}`: {error}")))?;
        }
    }
    if all.len() > MAX_GATEWAYS as usize {
        return Err(CliError::Usage(format!(
            "{} gateways are too many for one command: {MAX_GATEWAYS} at most",
            all.len()
        )));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(address: &str) -> Wanted {
        Wanted {
            name: String::new(),
            address: address.to_owned(),
            groups: vec!["all".to_owned()],
            require_tls: false,
        }
    }

    #[test]
    fn a_template_numbers_names_and_addresses() {
        let args = |count, template: &str| TemplateArgs {
            count: Some(count),
            template: Some(template.to_owned()),
            first: 9,
        };
        let made = args(2, "web-%03d.eu").wanted(&like("{name}.example.com"));
        let made = made.unwrap().unwrap();
        let told: Vec<_> = made.iter().map(|one| (&*one.name, &*one.address)).collect();
        assert_eq!(
            told,
            [
                ("web-009.eu", "web-009.eu.example.com:9278"),
                ("web-010.eu", "web-010.eu.example.com:9278")
            ]
        );
        assert!(args(2, "web-%d").wanted(&like("one.example.com")).is_err());
        for wrong in ["web", "web-%s", "web-%-3d", "web-%99d", "%d-%d", "../%d"] {
            assert!(args(1, wrong).wanted(&like("")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_names_gateways_and_every_fault_has_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let read = |content: &str| {
            let path = folder.path().join("gateways.csv");
            std::fs::write(&path, content).unwrap();
            from_file(&path, &like("")).map_err(|error| error.to_string())
        };
        let made = read("name,address,groups,require_tls\na,a.example.com:1,x; y,yes\nb,,,\n");
        let made = made.unwrap();
        assert_eq!(made[0].groups, ["all", "x", "y"]);
        assert_eq!(made[0].address, "a.example.com:1");
        assert!(made[0].require_tls && !made[1].require_tls);
        assert_eq!((made[1].name.as_str(), made[1].address.as_str()), ("b", ""));
        for (content, told) in [
            ("", "line 1: its first line names no column `name`"),
            ("name\n", "line 1: it names no gateway"),
            ("name,port\na,1\n", "line 1: column 2 is `port`"),
            ("name, name\na,b\n", "line 1: there are two columns `name`"),
            ("name\ngateways.csv\n", "line 2: `gateways.csv` is the name"),
            ("name\na\na\n", "line 3: gateway `a` is named twice"),
            ("name\n../a\n", "line 2: `../a` is no name"),
            ("name,address\na,b\nc\n", "line 3: it is no CSV"),
            ("name,address\na,b:0:1\n", "line 2: address `b:0:1`"),
            ("name,require_tls\na,perhaps\n", "line 2: require_tls is"),
        ] {
            let said = read(content).unwrap_err();
            assert!(said.contains(told), "{content:?}: {said}");
        }
    }
}
