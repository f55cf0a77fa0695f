//! A controller of its own for the conformance suite: a program starts it, which
//! `tests/run directories` names.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::site::{Site, skipped};

/// Ends with the test: its input then ends, and the controller with it.
struct Controller(Child);

impl Drop for Controller {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// A domain of its own, or `None` where nothing says how to start one.
fn site() -> Option<Site> {
    let Some(program) = std::env::var_os("PORTCULLIS_TEST_CONTROLLER") else {
        return skipped("a controller of Active Directory: tests/run directories");
    };
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let section = lines
        .map(Result::unwrap)
        .take_while(|line| !line.is_empty());
    let section: Vec<_> = section.collect();
    assert!(!section.is_empty(), "the controller does not start");
    Some(Site {
        _kept: Box::new(Controller(child)),
        section: section.join("\n"),
        free_text: "description",
        action: None,
    })
}

conforms!(site);
