//! Makes `proto/src/generated` from the `.proto` files: `cargo run -p portcullis-generate`, after
//! each change of one.
//!
//! What it makes is committed, so that no build of a program waits for the generator. A test of the
//! proto crate compares the digests that stand in the first lines with the files as they are;
//! `--check` makes everything anew and compares all of it. A new message that holds a secret goes
//! into `SECRET_MESSAGES`, and gets its `Debug` in `src/redacted.rs`. The compiler of `.proto`
//! files is written in Rust: there is no `protoc` to install.
#![forbid(unsafe_code)]

mod reflected;
mod services;

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sha2::{Digest as _, Sha256};

/// Messages that hold a secret: they get a `Debug` of their own, in `src/redacted.rs`.
const SECRET_MESSAGES: &[&str] = &[
    ".portcullis.gateway.v1.Secret",
    ".portcullis.gateway.v1.EnrolResponse",
    ".portcullis.gateway.v1.InstallRequest",
    ".portcullis.admin.v1.EnrolmentToken",
    ".portcullis.admin.v1.ExportKeysResponse",
    ".portcullis.admin.v1.ImportKeysRequest",
];

const FILES: [&str; 2] = ["gateway.proto", "admin.proto"];

/// What the processes of a gateway say to one another.
const WORKER: &str = "worker.proto";

/// What the servers of one repository ask of one another.
const PEER: &str = "peer.proto";

/// What every gRPC server may offer, in the terms of the gRPC project.
const STANDARD: [&str; 2] = [
    "grpc/health/v1/health.proto",
    "grpc/reflection/v1/reflection.proto",
];

/// What makes the code, below the folder of the `.proto` files.
const MAKERS: [&str; 3] = [
    "generate/src/main.rs",
    "generate/src/reflected.rs",
    "generate/src/services.rs",
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let check = match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        [] => false,
        ["--check"] => true,
        _ => {
            eprintln!(
                "portcullis-generate: no arguments `{}`; without any it writes proto/src/generated, with --check it compares",
                arguments.join(" ")
            );
            return ExitCode::from(2);
        }
    };
    match run(check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portcullis-generate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(check: bool) -> Result<(), Box<dyn Error>> {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let made = std::env::temp_dir().join(format!("portcullis-generate.{}", std::process::id()));
    std::fs::create_dir(&made)?;
    let done = generate(&proto, &made).and_then(|files| keep(&proto, &files, check));
    std::fs::remove_dir_all(&made)?;
    done
}

/// The generated files, by name.
fn generate(proto: &Path, made: &Path) -> Result<Vec<(&'static str, String)>, Box<dyn Error>> {
    // The file and the line of a mistake stand in its `Debug` alone.
    let compile =
        |files: &[&str]| protox::compile(files, [proto]).map_err(|error| format!("{error:?}"));
    let descriptors = compile(&FILES)?;
    // The services of a gateway carry every call: each has code of its own. Those of the
    // administrators' API share theirs.
    tonic_prost_build::configure()
        .bytes(".portcullis.gateway.v1.Value.kind.binary")
        .bytes(".portcullis.gateway.v1.CallFrame.data")
        .bytes(".portcullis.gateway.v1.Listing.objects")
        .skip_debug(SECRET_MESSAGES)
        .build_transport(false)
        .out_dir(made)
        .compile_fds(compile(&["gateway.proto"])?)?;
    let gateway = std::fs::read_to_string(made.join("portcullis.gateway.v1.rs"))?;
    let mut config = prost_build::Config::new();
    config
        .out_dir(made)
        .skip_debug(SECRET_MESSAGES)
        .bytes([".portcullis.gateway.v1.Value.kind.binary"])
        .service_generator(Box::new(services::Services))
        .compile_fds(descriptors)?;
    let admin = std::fs::read_to_string(made.join("portcullis.admin.v1.rs"))?;
    prost_build::Config::new()
        .out_dir(made)
        .compile_fds(compile(&STANDARD)?)?;
    prost_build::Config::new()
        .extern_path(".portcullis.gateway.v1", "crate::gateway::v1")
        .out_dir(made)
        .compile_fds(compile(&[WORKER])?)?;
    let worker = std::fs::read_to_string(made.join("portcullis.worker.v1.rs"))?;
    tonic_prost_build::configure()
        .build_transport(false)
        .out_dir(made)
        .compile_fds(compile(&[PEER])?)?;
    let peer = std::fs::read_to_string(made.join("portcullis.peer.v1.rs"))?;
    let health = std::fs::read_to_string(made.join("grpc.health.v1.rs"))?;
    let reflection = std::fs::read_to_string(made.join("grpc.reflection.v1.rs"))?;
    let all = [FILES, STANDARD].concat();
    let reflected = reflected::text(compile(&all)?, |package| package != "portcullis.gateway.v1");
    Ok(vec![
        ("gateway.rs", headed(proto, &FILES[..1], &gateway)?),
        ("admin.rs", headed(proto, &FILES, &admin)?),
        ("worker.rs", headed(proto, &[FILES[0], WORKER], &worker)?),
        ("peer.rs", headed(proto, &[PEER], &peer)?),
        ("health.rs", headed(proto, &STANDARD[..1], &health)?),
        ("reflection.rs", headed(proto, &STANDARD[1..], &reflection)?),
        ("reflected.rs", headed(proto, &all, &reflected)?),
    ])
}

/// The text below lines that say what it was made from; the last of them is the digest of the text
/// itself.
fn headed(proto: &Path, sources: &[&str], text: &str) -> Result<String, Box<dyn Error>> {
    let text = text.trim_start_matches("// This file is @generated by prost-build.\n");
    let mut headed = "// @generated by portcullis-generate: `cargo run -p portcullis-generate` after a change of these.\n".to_owned();
    for source in sources.iter().chain(&MAKERS) {
        let digest = digest(&std::fs::read(proto.join(source))?);
        writeln!(headed, "// {source} {digest}")?;
    }
    writeln!(headed, "// below {}", digest(text.as_bytes()))?;
    headed.push_str(text);
    Ok(headed)
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn keep(proto: &Path, files: &[(&'static str, String)], check: bool) -> Result<(), Box<dyn Error>> {
    for (name, text) in files {
        let path: PathBuf = proto.join("src/generated").join(name);
        if !check {
            std::fs::write(&path, text).map_err(|error| at(&path, error))?;
        } else if std::fs::read_to_string(&path).map_err(|error| at(&path, error))? != *text {
            return Err(format!(
                "{name} is not what the .proto files make: run `cargo run -p portcullis-generate`"
            )
            .into());
        }
    }
    Ok(())
}

fn at(path: &Path, error: std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
