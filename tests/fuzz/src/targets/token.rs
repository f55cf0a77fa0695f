//! An enrolment token, from a file or from the standard input.

use portcullis_common::rotation::EnrolmentToken;

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(token) = text.parse::<EnrolmentToken>() {
        let printed = token.to_text();
        let Ok(again) = printed.parse::<EnrolmentToken>() else {
            unreachable!("a printed token is read");
        };
        assert_eq!(again.gateway_id(), token.gateway_id());
        assert_eq!(again.key_id(), token.key_id());
        assert_eq!(again.key().expose(), token.key().expose());
    }
}
