//! Attributes that hold a secret: they come in sealed, and never go out.

use crate::model::{
    AttributeName, Failure, Filter, Object, ObjectClass, Request, Role, Roles, Search, Value,
};

/// Refuses a secret that was not given as one: it came in the open.
///
/// # Errors
/// A [`Failure`] that names the attribute.
pub(crate) fn check_sealed(request: &Request, roles: Roles<'_>) -> Result<(), Failure> {
    match request {
        Request::Create(create) => create
            .attributes
            .iter()
            .try_for_each(|given| check_values(create.class, &given.name, &given.values, roles)),
        Request::Update(update) => update.modifications.iter().try_for_each(|change| {
            check_values(update.object.class, &change.name, &change.values, roles)
        }),
        _ => Ok(()),
    }
}

fn check_values(
    class: ObjectClass,
    name: &AttributeName,
    values: &[Value],
    roles: Roles<'_>,
) -> Result<(), Failure> {
    let sealed = values.iter().all(|value| matches!(value, Value::Secret(_)));
    if sealed || !roles.has(class, name.as_str(), Role::Secret) {
        return Ok(());
    }
    Err(Failure::invalid(format!(
        "attribute `{name}` holds a secret: give its values as secrets"
    )))
}

/// Refuses to look for a secret: whoever may compare can guess.
///
/// # Errors
/// A [`Failure`] that names the attribute.
pub(crate) fn check_filter(search: &Search, roles: Roles<'_>) -> Result<(), Failure> {
    let compared = search.filter.iter().flat_map(Filter::attributes);
    let secret = |name: &&AttributeName| roles.has(search.class, name.as_str(), Role::Secret);
    match compared.into_iter().find(secret) {
        Some(name) => Err(Failure::invalid(format!(
            "attribute `{name}` holds a secret, which cannot be searched for"
        ))),
        None => Ok(()),
    }
}

/// Takes every secret out of an object that a connector read.
pub(crate) fn conceal(object: &mut Object, roles: Roles<'_>) {
    let class = object.identity.class;
    object
        .attributes
        .retain(|attribute| !is_secret(roles, class, attribute.name.as_str()));
}

/// Whether an attribute holds a secret.
pub(crate) fn is_secret(roles: Roles<'_>, class: ObjectClass, attribute: &str) -> bool {
    roles.has(class, attribute, Role::Secret)
}
