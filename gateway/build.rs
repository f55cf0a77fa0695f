//! Puts into the program for Windows what stands in the file itself there: its version, and the
//! texts of its events in the Event Log. Elsewhere there is nothing to do.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const TEXTS: &str = "src/event_log/events.mc";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={TEXTS}");
    let set = |name: &str| env::var(name).unwrap_or_default();
    if set("CARGO_CFG_TARGET_OS") != "windows" {
        return Ok(());
    }
    if set("CARGO_CFG_TARGET_ENV") != "gnu" {
        println!(
            "cargo::warning=built without version and event texts: they need the tools of mingw-w64"
        );
        return Ok(());
    }
    let out = PathBuf::from(set("OUT_DIR"));
    let tool = |name: &str| format!("{}-w64-mingw32-{name}", set("CARGO_CFG_TARGET_ARCH"));
    run(Command::new(tool("windmc"))
        .arg("-h")
        .arg(&out)
        .arg("-r")
        .arg(&out)
        .arg(TEXTS))?;
    fs::write(out.join("program.rc"), resources())?;
    let object = out.join("program.o");
    run(Command::new(tool("windres"))
        .current_dir(&out)
        .args(["program.rc", "-O", "coff", "-o"])
        .arg(&object))?;
    println!("cargo::rustc-link-arg-bins={}", object.display());
    Ok(())
}

fn run(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let status = command.status().map_err(|error| {
        format!("cannot run {command:?}: {error}; it comes with mingw-w64's compiler")
    })?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {status}").into()),
    }
}

/// Version and texts, in the language of windres.
fn resources() -> String {
    let part = |name: &str| env::var(name).unwrap_or_default();
    let [major, minor, patch] =
        ["MAJOR", "MINOR", "PATCH"].map(|name| part(&format!("CARGO_PKG_VERSION_{name}")));
    let version = part("CARGO_PKG_VERSION");
    format!(
        r#"#include "events.rc"
1 VERSIONINFO
FILEVERSION {major},{minor},{patch},0
PRODUCTVERSION {major},{minor},{patch},0
FILEOS 0x40004
FILETYPE 1
BEGIN
  BLOCK "StringFileInfo"
  BEGIN
    BLOCK "040904b0"
    BEGIN
      VALUE "FileDescription", "Portcullis gateway"
      VALUE "FileVersion", "{version}"
      VALUE "InternalName", "portcullis-gateway"
      VALUE "OriginalFilename", "portcullis-gateway.exe"
      VALUE "ProductName", "Portcullis"
      VALUE "ProductVersion", "{version}"
    END
  END
  BLOCK "VarFileInfo"
  BEGIN
    VALUE "Translation", 0x409, 1200
  END
END
"#
    )
}
