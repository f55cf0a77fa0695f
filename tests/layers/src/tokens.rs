//! What stands in macros, where code is tokens and not yet parsed: paths, imports, and what hides
//! one.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::ItemUse;

use crate::scope::{Path, Use, uses};

/// What is found among tokens.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// Paths of two parts or more, and words that stand alone, each with its line.
    pub paths: Vec<(Path, usize)>,
    /// What `use` imports.
    pub uses: Vec<Use>,
    /// Names of `extern crate`.
    pub crates: Vec<(String, usize)>,
    /// What hides an import: where, and how.
    pub hidden: Vec<(usize, String)>,
}

impl Tokens {
    /// Reads the tokens of a macro's call.
    pub(crate) fn of_call(tokens: TokenStream) -> Self {
        let mut found = Self::default();
        found.read(tokens, false);
        found
    }

    /// Reads the tokens of a macro's rules.
    pub(crate) fn of_rules(tokens: TokenStream) -> Self {
        let mut found = Self::default();
        found.read(tokens, true);
        found
    }

    fn hide(&mut self, token: &TokenTree, how: &str) {
        self.hidden.push((line(token), how.to_owned()));
    }

    fn read(&mut self, tokens: TokenStream, rules: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at = match token {
                TokenTree::Group(group) => {
                    let of_visibility = at > 0 && is_word(tokens.get(at - 1), "pub");
                    if !(of_visibility && group.delimiter() == Delimiter::Parenthesis) {
                        self.read(group.stream(), rules);
                    }
                    at + 1
                }
                TokenTree::Ident(_) => self.read_word(&tokens, at, rules),
                TokenTree::Punct(punct) if punct.as_char() == '$' => {
                    self.read_fragment(&tokens, at, rules)
                }
                TokenTree::Punct(_)
                    if is_path_mark(&tokens, at)
                        && matches!(tokens.get(at + 2), Some(TokenTree::Ident(_))) =>
                {
                    self.read_path(&tokens, at + 2, true, rules)
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => at + 1,
            };
        }
    }

    fn read_word(&mut self, tokens: &[TokenTree], at: usize, rules: bool) -> usize {
        let token = &tokens[at];
        let next = tokens.get(at + 1);
        if is_word(Some(token), "use") && !is_mark(next, '<') {
            return self.read_use(tokens, at);
        }
        if is_word(Some(token), "mod")
            && (matches!(next, Some(TokenTree::Ident(_))) || is_mark(next, '$'))
        {
            self.hide(token, "declares a module in a macro");
            return at + 1;
        }
        if is_word(Some(token), "extern") && is_word(next, "crate") {
            match tokens.get(at + 2) {
                Some(TokenTree::Ident(name)) => self.crates.push((name.to_string(), line(token))),
                _ => self.hide(
                    token,
                    "names the crate of `extern crate` by a fragment of a macro",
                ),
            }
            return at + 3;
        }
        let includes = ["include", "include_proto"]
            .iter()
            .any(|name| is_word(Some(token), name));
        if includes && is_mark(next, '!') {
            self.hide(token, "includes code that is not read");
        }
        self.read_path(tokens, at, false, rules)
    }

    /// `$name`, `$(…)` and `$crate::…`.
    fn read_fragment(&mut self, tokens: &[TokenTree], at: usize, rules: bool) -> usize {
        match tokens.get(at + 1) {
            Some(TokenTree::Ident(name)) if name == "crate" => {
                self.read_path(tokens, at + 1, false, rules)
            }
            Some(TokenTree::Ident(_)) => at + 2,
            Some(TokenTree::Group(group)) => {
                let ends_in_path = is_path_mark(tokens, at + 2)
                    && (is_mark(tokens.get(at + 4), '*') || is_mark(tokens.get(at + 4), '+'));
                if rules && ends_in_path {
                    self.hide(
                        &tokens[at],
                        "puts a path together from fragments of a macro",
                    );
                }
                self.read(group.stream(), rules);
                at + 2
            }
            _ => at + 1,
        }
    }

    /// The path whose first word stands at `at`; returns where it has ended.
    fn read_path(
        &mut self,
        tokens: &[TokenTree],
        mut at: usize,
        leading: bool,
        rules: bool,
    ) -> usize {
        let mut parts = Vec::new();
        let begin = at;
        while let Some(TokenTree::Ident(word)) = tokens.get(at) {
            let word = word.to_string();
            let word = word.strip_prefix("r#").map(str::to_owned).unwrap_or(word);
            let of_macro = at > 0 && word == "crate" && is_mark(tokens.get(at - 1), '$');
            parts.push(if of_macro { "$crate".to_owned() } else { word });
            at += 1;
            if !(is_path_mark(tokens, at)
                && matches!(tokens.get(at + 2), Some(TokenTree::Ident(_))))
            {
                break;
            }
            at += 2;
        }
        let roots_only = parts
            .iter()
            .all(|part| matches!(part.as_str(), "crate" | "$crate" | "super"));
        let goes_on = is_path_mark(tokens, at);
        if roots_only && goes_on && is_mark(tokens.get(at + 2), '$') {
            self.hide(
                &tokens[begin],
                "goes on from a crate's root with a fragment of a macro",
            );
        } else if roots_only && !goes_on && !rules && !parts.is_empty() {
            let word = parts.join("::");
            self.hide(&tokens[begin], &format!("gives `{word}` alone to a macro"));
        } else if !parts.is_empty() {
            self.paths
                .push((Path { parts, leading }, line(&tokens[begin])));
        }
        at.max(begin + 1)
    }

    fn read_use(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let length = tokens[at..]
            .iter()
            .take_while(|token| !is_mark(Some(token), ';'))
            .count();
        let end = (at + length + 1).min(tokens.len());
        let mut words = Vec::new();
        for (number, token) in tokens[at..end].iter().enumerate() {
            // `$crate` is read as `crate`: the macro is of this crate.
            if !(is_mark(Some(token), '$') && is_word(tokens.get(at + number + 1), "crate")) {
                words.push(token.clone());
            }
        }
        match syn::parse2::<ItemUse>(words.into_iter().collect()) {
            Ok(item) => self.uses.extend(uses(&item)),
            Err(_) => self.hide(
                &tokens[at],
                "imports by fragments of a macro, or `use` is no import there",
            ),
        }
        end
    }
}

fn line(token: &TokenTree) -> usize {
    token.span().start().line
}

fn is_word(token: Option<&TokenTree>, word: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(ident)) if ident == word)
}

fn is_mark(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

/// Whether `::` stands there.
fn is_path_mark(tokens: &[TokenTree], at: usize) -> bool {
    is_mark(tokens.get(at), ':') && is_mark(tokens.get(at + 1), ':')
}
