//! `cargo run -p portcullis-layers`: reads the imports of the workspace and holds them to
//! `tests/layers/arrows`.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use portcullis_layers::Survey;
use portcullis_layers::arrows::Arrows;
use portcullis_layers::comments;
use portcullis_layers::finding::Finding;
use portcullis_layers::graph::Graph;
use portcullis_layers::sources::Sources;

/// Reads the imports of the workspace and holds them to the arrows in tests/layers/arrows.
#[derive(Debug, Parser)]
#[command(name = "portcullis-layers", max_term_width = 100)]
struct Arguments {
    /// The workspace's folder.
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// Print which folder imports from which, and how often, and check nothing.
    #[arg(long, group = "what")]
    graph: bool,
    /// Print how many circles of folders there are, and of files within folders, and check nothing.
    #[arg(long, group = "what")]
    count: bool,
    /// Look at the width of comments and at the first line of every file, and not at imports.
    #[arg(long, group = "what")]
    comments: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "portcullis-layers: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether nothing was found.
fn run(arguments: &Arguments) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    let sources = Sources::read(&arguments.root)?;
    if arguments.comments {
        let files = sources.below("").count();
        let findings = comments::check(&sources);
        return report(&mut out, &findings, &[format!("comments of {files} files")]);
    }
    let path = arguments.root.join("tests/layers/arrows");
    let text = fs::read_to_string(&path).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot read {}: {error}", path.display()),
        )
    })?;
    let mut findings = Vec::new();
    let arrows = Arrows::parse(&text, &mut findings);
    let survey = Survey::new(&sources, &arrows.standalone);
    let graph = Graph::new(&survey.world, &survey.imports);
    if arguments.graph {
        write!(out, "{graph}")?;
    } else if arguments.count {
        let (folders, all) = (graph.count_circles(false), graph.count_circles(true));
        let files = all.saturating_sub(folders);
        writeln!(out, "folder circles: {folders}\nfile circles: {files}")?;
    } else {
        findings.extend(survey.check(&arrows));
        return report(&mut out, &findings, &counts(&survey));
    }
    Ok(true)
}

/// Prints what was found, or what was looked at where nothing was found.
fn report(out: &mut impl Write, findings: &[Finding], looked_at: &[String]) -> io::Result<bool> {
    for finding in findings {
        writeln!(out, "FOUND: {finding}")?;
    }
    if findings.is_empty() {
        for one in looked_at {
            writeln!(out, "ok: {one}")?;
        }
    }
    Ok(findings.is_empty())
}

/// How many imports each crate has.
fn counts(survey: &Survey) -> Vec<String> {
    let mut counts = Vec::new();
    for (number, package) in survey.world.packages.iter().enumerate() {
        let of = |module: usize| survey.world.modules[module].package == number;
        let imports = survey.imports.iter().filter(|import| of(import.from));
        let (tests, programs): (Vec<_>, Vec<_>) = imports.partition(|import| import.for_tests);
        counts.push(format!(
            "{}: {} imports, and {} of its tests",
            package.short,
            programs.len(),
            tests.len()
        ));
    }
    counts
}
