//! Wiping the secrets in a message, and finding them in the order in which PROTOCOL.md counts them
//! ("Secrets in calls").

use zeroize::{Zeroize as _, ZeroizeOnDrop};

use crate::gateway::v1::call::Verb;
use crate::gateway::v1::done::Detail;
use crate::gateway::v1::filter::Kind as FilterKind;
use crate::gateway::v1::search_item::Kind as ItemKind;
use crate::gateway::v1::value::Kind;
use crate::gateway::v1::{Attribute, Call, Filter, Outcome, SearchItem, Secret, Value, outcome};

impl Secret {
    /// In the form that people and the server exchange.
    pub const fn plain(value: Vec<u8>) -> Self {
        Self {
            value,
            sealed: Vec::new(),
        }
    }

    /// In the form that server and gateway exchange.
    pub const fn sealed(sealed: Vec<u8>) -> Self {
        Self {
            value: Vec::new(),
            sealed,
        }
    }
}

/// The plain value is wiped, on whichever path the message is dropped.
impl Drop for Secret {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

impl ZeroizeOnDrop for Secret {}

impl Call {
    /// Its secrets, in order.
    pub fn secrets_mut(&mut self) -> Vec<&mut Secret> {
        let mut found = Vec::new();
        let settings = self.secret_settings.iter_mut();
        found.extend(settings.filter_map(|setting| setting.value.as_mut()));
        match &mut self.verb {
            Some(Verb::Create(create)) => {
                of_attributes(&mut create.attributes, &mut found);
                found.extend(&mut create.password);
            }
            Some(Verb::Update(update)) => {
                for modification in &mut update.modifications {
                    of_values(&mut modification.values, &mut found);
                }
            }
            Some(Verb::SetPassword(set)) => found.extend(&mut set.password),
            Some(Verb::RotatePassword(rotate)) => found.extend(&mut rotate.password),
            Some(Verb::Authenticate(authenticate)) => found.extend(&mut authenticate.password),
            Some(Verb::Search(search)) => {
                if let Some(filter) = &mut search.filter {
                    of_filter(filter, &mut found);
                }
            }
            Some(Verb::Run(run)) => of_attributes(&mut run.arguments, &mut found),
            Some(
                Verb::Test(_)
                | Verb::Schema(_)
                | Verb::Get(_)
                | Verb::Delete(_)
                | Verb::Enable(_)
                | Verb::Disable(_)
                | Verb::Rename(_)
                | Verb::Sync(_),
            )
            | None => {}
        }
        found
    }
}

impl Outcome {
    /// Its secrets, in order.
    pub fn secrets_mut(&mut self) -> Vec<&mut Secret> {
        let mut found = Vec::new();
        if let Some(outcome::Result::Done(done)) = &mut self.result {
            match &mut done.detail {
                Some(Detail::Object(object)) => of_attributes(&mut object.attributes, &mut found),
                Some(Detail::Run(run)) => of_attributes(&mut run.results, &mut found),
                Some(Detail::Schema(_) | Detail::Report(_)) | None => {}
            }
        }
        found
    }
}

impl SearchItem {
    /// Its secrets, in order.
    pub fn secrets_mut(&mut self) -> Vec<&mut Secret> {
        let mut found = Vec::new();
        if let Some(ItemKind::Object(object)) = &mut self.kind {
            of_attributes(&mut object.attributes, &mut found);
        }
        found
    }
}

fn of_attributes<'a>(attributes: &'a mut [Attribute], found: &mut Vec<&'a mut Secret>) {
    for attribute in attributes {
        of_values(&mut attribute.values, found);
    }
}

fn of_values<'a>(values: &'a mut [Value], found: &mut Vec<&'a mut Secret>) {
    found.extend(values.iter_mut().filter_map(secret_of));
}

fn secret_of(value: &mut Value) -> Option<&mut Secret> {
    match &mut value.kind {
        Some(Kind::Secret(secret)) => Some(secret),
        _ => None,
    }
}

/// No deeper than a decoder lets a message be.
fn of_filter<'a>(filter: &'a mut Filter, found: &mut Vec<&'a mut Secret>) {
    match &mut filter.kind {
        Some(FilterKind::Comparison(comparison)) => {
            found.extend(comparison.value.as_mut().and_then(secret_of));
        }
        Some(FilterKind::All(list) | FilterKind::Any(list)) => {
            for filter in &mut list.filters {
                of_filter(filter, found);
            }
        }
        Some(FilterKind::Negation(negated)) => of_filter(negated, found),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::v1::{
        Comparison, Create, Done, FilterList, Modification, Object, Run, RunResult, Search,
        SecretSetting, SetPassword, Update,
    };

    fn secret(text: &str) -> Secret {
        Secret::plain(text.into())
    }

    fn value(kind: Kind) -> Value {
        Value { kind: Some(kind) }
    }

    fn attribute(secrets: &[&str]) -> Attribute {
        let mut values = vec![value(Kind::Text("t".to_owned())), value(Kind::Integer(1))];
        values.extend(secrets.iter().map(|text| value(Kind::Secret(secret(text)))));
        Attribute {
            name: "a".to_owned(),
            values,
        }
    }

    fn texts(secrets: Vec<&mut Secret>) -> Vec<String> {
        secrets
            .into_iter()
            .map(|secret| String::from_utf8(secret.value.clone()).unwrap())
            .collect()
    }

    /// With the secrets `1`, `2` and `3`.
    fn attributes() -> Vec<Attribute> {
        vec![attribute(&["1", "2"]), attribute(&[]), attribute(&["3"])]
    }

    fn call(verb: Verb) -> Call {
        Call {
            verb: Some(verb),
            ..Call::default()
        }
    }

    #[test]
    fn every_secret_of_every_call_is_found_in_order() {
        let attributes = attributes();
        let mut create = call(Verb::Create(Create {
            attributes: attributes.clone(),
            password: Some(secret("4")),
            ..Create::default()
        }));
        assert_eq!(texts(create.secrets_mut()), ["1", "2", "3", "4"]);
        let mut set = call(Verb::SetPassword(SetPassword {
            password: Some(secret("1")),
            ..SetPassword::default()
        }));
        assert_eq!(texts(set.secrets_mut()), ["1"]);
        let setting = |value| SecretSetting {
            name: "bind".to_owned(),
            value,
        };
        set.secret_settings = vec![
            setting(Some(secret("a"))),
            setting(None),
            setting(Some(secret("b"))),
        ];
        assert_eq!(texts(set.secrets_mut()), ["a", "b", "1"]);
        let modifications = attributes.iter().map(|attribute| Modification {
            values: attribute.values.clone(),
            ..Modification::default()
        });
        let mut update = call(Verb::Update(Update {
            modifications: modifications.collect(),
            ..Update::default()
        }));
        assert_eq!(texts(update.secrets_mut()), ["1", "2", "3"]);
        let mut run = call(Verb::Run(Run {
            arguments: attributes,
            ..Run::default()
        }));
        assert_eq!(texts(run.secrets_mut()), ["1", "2", "3"]);
    }

    #[test]
    fn every_secret_of_a_filter_is_found_in_order() {
        let comparison = |text| Filter {
            kind: Some(FilterKind::Comparison(Comparison {
                value: Some(value(Kind::Secret(secret(text)))),
                ..Comparison::default()
            })),
        };
        let negated = Filter {
            kind: Some(FilterKind::Negation(Box::new(comparison("2")))),
        };
        let all = Filter {
            kind: Some(FilterKind::All(FilterList {
                filters: vec![comparison("1"), negated],
            })),
        };
        let mut search = call(Verb::Search(Search {
            filter: Some(all),
            ..Search::default()
        }));
        assert_eq!(texts(search.secrets_mut()), ["1", "2"]);
    }

    #[test]
    fn every_secret_of_every_answer_is_found_in_order() {
        let object = Object {
            attributes: attributes(),
            ..Object::default()
        };
        let outcome = |detail| Outcome {
            result: Some(outcome::Result::Done(Done {
                detail: Some(detail),
            })),
            ..Outcome::default()
        };
        let mut found = outcome(Detail::Object(object.clone()));
        assert_eq!(texts(found.secrets_mut()), ["1", "2", "3"]);
        let mut ran = outcome(Detail::Run(RunResult {
            results: attributes(),
            ..RunResult::default()
        }));
        assert_eq!(texts(ran.secrets_mut()), ["1", "2", "3"]);
        let mut item = SearchItem {
            kind: Some(ItemKind::Object(object)),
        };
        assert_eq!(texts(item.secrets_mut()), ["1", "2", "3"]);
    }
}
