//! The one line that sets up a gateway on its host. The token is never in it: `enroll` asks for it,
//! or reads it from standard input.

use portcullis_host::text::printable;

/// On a host that has nothing yet, in the folder with the package.
pub(super) const FROM_PACKAGE: &str = "apt-get install -y ./portcullis-gateway_*.deb </dev/null && portcullis-gateway enroll && systemctl enable --now portcullis-gateway";
/// The same in the folder of the unpacked archive.
pub(super) const FROM_ARCHIVE: &str = "./install --enroll gateway";

/// The same of a gateway that has a bundle, with that in the folder, too.
pub(super) fn with_bundle(name: &str) -> [String; 2] {
    let name = printable(name);
    [
        format!(
            "apt-get install -y ./portcullis-gateway_*.deb </dev/null && install -m 600 {name}/gateway.toml /etc/portcullis/ && portcullis-gateway enroll && systemctl enable --now portcullis-gateway"
        ),
        format!("./install --enroll --bundle {name} gateway"),
    ]
}
