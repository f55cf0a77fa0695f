//! What server reflection tells of the services: the descriptors of their files, encoded, and what
//! each file declares.

use std::fmt::Write as _;

use prost::Message as _;

/// Bytes of a descriptor in one line.
const LINE: usize = 60;

/// The files of `descriptors`, and as services those of the packages `served`.
pub(crate) fn text(
    mut descriptors: prost_types::FileDescriptorSet,
    served: impl Fn(&str) -> bool,
) -> String {
    let mut text = "\nuse super::File;\n\npub const FILES: &[File] = &[\n".to_owned();
    let mut services = Vec::new();
    for file in &mut descriptors.file {
        // Comments are for whoever has the `.proto` files.
        file.source_code_info = None;
        if served(file.package()) {
            let names = file.service.iter().map(|service| service.name());
            services.extend(names.map(|name| format!("{}.{name}", file.package())));
        }
        let symbols = symbols(file);
        let _ = write!(
            text,
            "File {{\nname: {:?},\nsymbols: &{symbols:#?},\nencoded: {},\n}},\n",
            file.name(),
            literal(&file.encode_to_vec())
        );
    }
    services.sort();
    let _ = writeln!(text, "];\n\npub const SERVICES: &[&str] = &{services:#?};");
    text
}

/// The full names of what a file declares, in order.
fn symbols(file: &prost_types::FileDescriptorProto) -> Vec<String> {
    let package = file.package();
    let mut all = Vec::new();
    for message in &file.message_type {
        of_message(package, message, &mut all);
    }
    let enums = file.enum_type.iter().map(|one| one.name());
    all.extend(enums.map(|name| format!("{package}.{name}")));
    for service in &file.service {
        let service_name = format!("{package}.{}", service.name());
        let methods = service.method.iter().map(|method| method.name());
        all.extend(methods.map(|name| format!("{service_name}.{name}")));
        all.push(service_name);
    }
    all.sort();
    all
}

fn of_message(within: &str, message: &prost_types::DescriptorProto, all: &mut Vec<String>) {
    let name = format!("{within}.{}", message.name());
    for nested in &message.nested_type {
        of_message(&name, nested, all);
    }
    let enums = message.enum_type.iter().map(|one| one.name());
    all.extend(enums.map(|one| format!("{name}.{one}")));
    all.push(name);
}

/// The bytes as Rust writes them, over several lines.
fn literal(bytes: &[u8]) -> String {
    let mut text = "b\"".to_owned();
    for line in bytes.chunks(LINE) {
        // A line that is continued skips blanks at the start of the next one.
        text.push_str("\\\n");
        for (at, &byte) in line.iter().enumerate() {
            match byte {
                b' ' if at == 0 => text.push_str("\\x20"),
                _ => text.extend(std::ascii::escape_default(byte).map(char::from)),
            }
        }
    }
    text.push('"');
    text
}
