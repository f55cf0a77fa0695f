//! `[watch]` of a configuration.

use std::net::SocketAddr;

use portcullis_host::config::Section;

/// `[watch]`: where health and metrics are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `None`: nowhere.
    pub listen: Option<SocketAddr>,
}

impl Settings {
    /// Reads the keys `listen` and `beyond_this_host`; the caller finishes the section.
    pub fn read(section: &mut Section<'_>) -> Self {
        let anywhere = section.boolean("beyond_this_host").unwrap_or(false);
        let Some(text) = section.text("listen").filter(|text| !text.is_empty()) else {
            return Self::default();
        };
        // With port 0 the system would choose another one at each start.
        let address = text.parse().ok();
        let address = address.filter(|address: &SocketAddr| address.port() != 0);
        match address {
            None => section.problem(
                "listen",
                "not an address to listen on: give ADDRESS:PORT, like `127.0.0.1:9280` or `[::1]:9280`, or `\"\"` for none",
            ),
            Some(address) if !anywhere && !address.ip().is_loopback() => section.problem(
                "listen",
                "others than this host would reach it, and nobody has to prove who he is there: give `127.0.0.1:PORT` or `[::1]:PORT`, or set beyond_this_host = true",
            ),
            Some(_) => {}
        }
        Self { listen: address }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use portcullis_host::config;

    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        config::parse(Path::new("x.toml"), text, |mut root, _| {
            let settings = Settings::read(&mut root);
            root.finish();
            settings
        })
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn nobody_beyond_this_host_reads_it_unless_that_is_said() {
        assert_eq!(read("").unwrap().listen, None);
        assert_eq!(read("listen = \"\"").unwrap().listen, None);
        for here in ["127.0.0.1:9280", "127.9.0.1:1", "[::1]:9280"] {
            let read = read(&format!("listen = \"{here}\"")).unwrap();
            assert_eq!(read.listen, here.parse().ok());
        }
        for beyond in ["0.0.0.0:9280", "[::]:9280", "192.0.2.7:9280"] {
            let line = format!("listen = \"{beyond}\"");
            let error = read(&line).unwrap_err();
            assert!(error.contains("beyond_this_host = true"), "{error}");
            let said = format!("{line}\nbeyond_this_host = true");
            assert_eq!(read(&said).unwrap().listen, beyond.parse().ok());
        }
        for wrong in ["127.0.0.1", "127.0.0.1:0", "localhost:9280", "9280"] {
            let error = read(&format!("listen = \"{wrong}\"")).unwrap_err();
            assert!(error.contains("ADDRESS:PORT"), "{error}");
        }
    }
}
