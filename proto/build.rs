//! Compiles the `.proto` files with a compiler written in Rust: a build needs no `protoc`.

/// Messages that hold a secret: they get a `Debug` of their own, in `src/lib.rs`.
const SECRET_MESSAGES: &[&str] = &[
    ".portcullis.gateway.v1.Secret",
    ".portcullis.gateway.v1.EnrolResponse",
    ".portcullis.gateway.v1.InstallRequest",
    ".portcullis.admin.v1.EnrolmentToken",
    ".portcullis.admin.v1.ExportKeysResponse",
    ".portcullis.admin.v1.ImportKeysRequest",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["gateway.proto", "admin.proto"];
    for file in files {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    tonic_prost_build::configure()
        .bytes(".portcullis.gateway.v1.Value.kind.binary")
        .bytes(".portcullis.gateway.v1.CallFrame.data")
        .skip_debug(SECRET_MESSAGES)
        .compile_fds(descriptors)?;
    Ok(())
}
