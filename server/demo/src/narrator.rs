//! What the demonstration says, and how it shows commands and their output.

use std::time::Instant;

/// Tells the story on standard output.
pub(super) struct Narrator {
    started: Instant,
    step: usize,
    steps: usize,
}

impl Narrator {
    pub(super) fn new(steps: usize) -> Self {
        Self {
            started: Instant::now(),
            step: 0,
            steps,
        }
    }

    /// A new step of the story.
    pub(super) fn step(&mut self, title: &str) {
        self.step += 1;
        println!("\n[{}/{}] {title}", self.step, self.steps);
    }

    /// A sentence of explanation.
    pub(super) fn say(&self, text: &str) {
        for line in wrap(text, 96) {
            println!("      {line}");
        }
    }

    /// A command as an administrator would type it.
    pub(super) fn command(&self, command: &str) {
        println!("      $ {command}");
    }

    /// What a command or a file shows.
    pub(super) fn output(&self, text: &str) {
        for line in text.lines() {
            println!("        {line}");
        }
    }

    /// How long it has been, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let full = lines.last().is_some_and(|line| {
            !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width
        });
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_is_lost_and_no_line_is_too_long() {
        let text =
            "the quick brown fox jumps over the lazy dog and a-word-longer-than-the-line ends it";
        let lines = wrap(text, 20);
        assert_eq!(lines.join(" "), text);
        assert!(
            lines
                .iter()
                .all(|line| line.len() <= 20 || !line.contains(' '))
        );
    }
}
