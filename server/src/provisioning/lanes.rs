//! Which objects a call is about: calls on one object go one after the other, calls on others
//! beside them.

use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::object_ref::By;
use portcullis_proto::gateway::v1::{Call, ObjectRef};

/// The lanes of a call within its resource: twice the same, but for a rename to another name. An
/// object that one call names and another one gives by its id is in two lanes: only its resource
/// knows that it is one.
pub(super) fn lanes(call: &Call) -> (String, String) {
    let lane = match &call.verb {
        Some(Verb::Create(verb)) => named(verb.object_class, &verb.name),
        Some(Verb::Rename(verb)) => {
            let object = verb.object.as_ref();
            let class = object.map_or(0, |object| object.object_class);
            return (of(object), named(class, &verb.new_name));
        }
        Some(Verb::Update(verb)) => of(verb.object.as_ref()),
        Some(Verb::Delete(verb)) => of(verb.object.as_ref()),
        Some(Verb::Enable(verb)) => of(verb.object.as_ref()),
        Some(Verb::Disable(verb)) => of(verb.object.as_ref()),
        Some(Verb::SetPassword(verb)) => of(verb.object.as_ref()),
        Some(Verb::Authenticate(verb)) => of(verb.object.as_ref()),
        Some(Verb::Get(verb)) => of(verb.object.as_ref()),
        Some(Verb::Run(verb)) => format!("action {}", verb.action),
        Some(
            Verb::Test(_)
            | Verb::Schema(_)
            | Verb::Search(_)
            | Verb::Sync(_)
            | Verb::RotatePassword(_),
        )
        | None => "the resource".to_owned(),
    };
    (lane.clone(), lane)
}

fn of(object: Option<&ObjectRef>) -> String {
    match object {
        Some(ObjectRef {
            object_class,
            by: Some(By::Name(name)),
            ..
        }) => named(*object_class, name),
        Some(ObjectRef {
            object_class,
            by: Some(By::Id(id)),
            ..
        }) => format!("{object_class} id {id}"),
        Some(ObjectRef { by: None, .. }) | None => "the resource".to_owned(),
    }
}

/// Names that differ in case alone are one object in a directory.
fn named(class: i32, name: &str) -> String {
    format!("{class} name {}", name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use portcullis_proto::gateway::v1::{Create, Rename, Run};

    use super::*;

    fn call(verb: Verb) -> Call {
        Call {
            verb: Some(verb),
            ..Call::default()
        }
    }

    fn create(name: &str, class: i32) -> Call {
        call(Verb::Create(Create {
            object_class: class,
            name: name.to_owned(),
            ..Create::default()
        }))
    }

    #[test]
    fn a_rename_is_about_two_objects_and_case_makes_no_other_one() {
        let rename = call(Verb::Rename(Rename {
            object: Some(ObjectRef {
                object_class: 1,
                by: Some(By::Name("ada".to_owned())),
                ..ObjectRef::default()
            }),
            new_name: "eve".to_owned(),
        }));
        let (from, to) = lanes(&rename);
        assert_eq!(lanes(&create("Ada", 1)).0, from);
        assert_eq!(lanes(&create("eve", 1)).1, to);
        assert_ne!(from, to);
        assert_ne!(lanes(&create("ada", 2)).0, from);
        let run = call(Verb::Run(Run::default()));
        assert_ne!(lanes(&run).0, from);
    }
}
