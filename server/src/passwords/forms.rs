//! The forms under which texts are compared.

use zeroize::Zeroizing;

/// Bytes of an answer or a word, at most: what follows would not count.
pub(super) const MAX_LEN: usize = 1_024;

/// An answer as it is compared: without blanks around it, single blanks within, in lower case.
/// Letters that Unicode has twice (such as full-width ones) stay different.
pub(super) fn answer(text: &str) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 2));
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().flat_map(char::to_lowercase));
    }
    Zeroizing::new(std::mem::take(&mut *out).into_bytes())
}

/// A word of the dictionary as it is compared.
pub(super) fn word(text: &str) -> Zeroizing<Vec<u8>> {
    answer(text)
}

/// The forms in which a password may be a word: as it is; without the digits and signs around its
/// letters; and both with the usual digits and signs read as the letters that they stand for.
pub(super) fn of_password(text: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let mut forms: Vec<Zeroizing<Vec<u8>>> = Vec::new();
    let plain = Zeroizing::new(text.to_lowercase());
    let stripped = plain.trim_matches(|c: char| !c.is_alphabetic());
    for text in [plain.as_str(), stripped] {
        let read = Zeroizing::new(text.chars().map(letter).collect::<String>());
        for form in [text, read.as_str()] {
            let form = word(form);
            if !form.is_empty() && !forms.contains(&form) {
                forms.push(form);
            }
        }
    }
    forms
}

/// The letter that a digit or sign is written for.
const fn letter(c: char) -> char {
    match c {
        '0' => 'o',
        '1' | '!' | '|' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' | '+' => 't',
        '8' => 'b',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_differ_in_neither_case_nor_blanks() {
        assert_eq!(**answer("  Den \t Haag\n"), *b"den haag");
        assert_eq!(answer("STRASSE ÄÖ"), answer("strasse äö"));
        assert_ne!(answer("den haag"), answer("denhaag"));
    }

    #[test]
    fn a_word_is_found_behind_digits_signs_and_look_alikes() {
        for password in [
            "dragon", "Dragon", "dragon99", "!dr4g0n!", "1Dragon", "DR@GON",
        ] {
            let forms = of_password(password);
            assert!(forms.iter().any(|form| ***form == *b"dragon"), "{password}");
            assert!(forms.len() <= 4);
        }
        let forms = of_password("snapdragon");
        assert!(!forms.iter().any(|form| ***form == *b"dragon"));
        assert_eq!(of_password("1234").len(), 2);
    }
}
