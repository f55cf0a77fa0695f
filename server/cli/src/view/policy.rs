//! The password policy.

use std::time::SystemTime;

use portcullis_proto::admin::v1::PasswordPolicy;
use serde_json::{Value, json};

use super::View;
use super::facts;

impl View for PasswordPolicy {
    fn table(&self, _: SystemTime) -> String {
        let number = |value: u32| match value {
            0 => "-".to_owned(),
            value => value.to_string(),
        };
        let yes = |rule: bool| if rule { "yes" } else { "-" }.to_owned();
        facts([
            ("minimum length", Some(number(self.min_length))),
            ("maximum length", Some(number(self.max_length))),
            ("lower-case letters", Some(number(self.min_lower))),
            ("upper-case letters", Some(number(self.min_upper))),
            ("digits", Some(number(self.min_digits))),
            ("other characters", Some(number(self.min_other))),
            ("no names in it", Some(yes(self.forbid_names))),
            ("no dictionary word", Some(yes(self.forbid_words))),
            ("words in the dictionary", Some(self.words.to_string())),
            ("history of users", Some(number(self.user_history))),
            ("history of accounts", Some(number(self.account_history))),
        ])
    }

    fn json(&self) -> Value {
        json!({
            "min_length": self.min_length,
            "max_length": self.max_length,
            "min_lower": self.min_lower,
            "min_upper": self.min_upper,
            "min_digits": self.min_digits,
            "min_other": self.min_other,
            "forbid_names": self.forbid_names,
            "forbid_words": self.forbid_words,
            "words": self.words,
            "user_history": self.user_history,
            "account_history": self.account_history,
        })
    }
}
