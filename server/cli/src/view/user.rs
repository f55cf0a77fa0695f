//! Users: never their passwords or answers.

use std::time::SystemTime;

use portcullis_proto::admin::v1::User;
use serde_json::{Value, json};

use super::View;
use super::{facts, list};
use crate::time::{age, rfc3339, time_and_age};

/// All users.
pub(crate) struct UserList(pub(crate) Vec<User>);

impl View for UserList {
    fn table(&self, now: SystemTime) -> String {
        if self.0.is_empty() {
            return "there is no user: `portcullis user add NAME` adds one".to_owned();
        }
        let rows = self.0.iter().map(|user| {
            let set = age(user.password_set_unix_ms, now);
            vec![
                user.name.clone(),
                set.map_or_else(|| "none".to_owned(), |age| format!("set {age}")),
                user.questions.len().to_string(),
            ]
        });
        list(&["name", "password", "answers"], rows)
    }

    fn json(&self) -> Value {
        self.0.iter().map(user_json).collect()
    }
}

impl View for User {
    fn table(&self, now: SystemTime) -> String {
        let set = time_and_age(self.password_set_unix_ms, now);
        facts([
            ("user", Some(self.name.clone())),
            (
                "password",
                Some(set.map_or_else(|| "none".to_owned(), |time| format!("set {time}"))),
            ),
            ("questions", Some(self.questions.join("\n"))),
            ("made", time_and_age(self.created_unix_ms, now)),
        ])
    }

    fn json(&self) -> Value {
        user_json(self)
    }
}

fn user_json(user: &User) -> Value {
    json!({
        "name": user.name,
        "password_set": rfc3339(user.password_set_unix_ms),
        "questions": user.questions,
        "created": rfc3339(user.created_unix_ms),
    })
}
