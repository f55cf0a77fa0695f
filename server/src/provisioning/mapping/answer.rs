//! What a resource answers, as its callers have it.

use portcullis_proto::gateway::v1::done::Detail;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{
    AttributeSchema, ClassSchema, Done, Object, Outcome, ValueType,
};

use super::{Mapping, NAME, Rules};

impl Mapping {
    /// Gives what was renamed the caller's names again.
    pub fn answer(&self, outcome: &mut Outcome) {
        let Some(OutcomeResult::Done(Done { detail })) = &mut outcome.result else {
            return;
        };
        match detail {
            Some(Detail::Object(object)) => self.object(object),
            Some(Detail::Schema(schema)) => {
                for class in &mut schema.classes {
                    if let Some(rules) = self.of(class.object_class) {
                        rules.schema(class);
                    }
                }
            }
            Some(Detail::Run(_) | Detail::Report(_)) | None => {}
        }
    }

    /// The same for an object that a search found.
    pub fn object(&self, object: &mut Object) {
        let Some(rules) = self.of(object.object_class) else {
            return;
        };
        let there: Vec<_> = object.attributes.iter().map(|it| it.name.clone()).collect();
        for attribute in &mut object.attributes {
            // One of the resource's own that has this name and keeps it stays what it is.
            let keeps = |here: &&str| {
                let mut there = there.iter();
                there.any(|name| name == here && rules.here(name).is_none())
            };
            if let Some(here) = rules.here(&attribute.name).filter(|here| !keeps(here)) {
                attribute.name = here.to_owned();
            }
        }
    }
}

impl Rules {
    /// What a caller may give, and what it is then told.
    fn schema(&self, class: &mut ClassSchema) {
        for attribute in &mut class.attributes {
            if let Some(here) = self.here(&attribute.name) {
                attribute.name = here.to_owned();
            } else if self.0.contains_key(&attribute.name) {
                attribute.required = false;
                attribute.creatable = false;
            }
        }
        let mut parts: Vec<&str> = Vec::new();
        let rules = self.0.iter().filter(|(target, template)| {
            *target == NAME || template.renamed().is_none_or(|source| source == NAME)
        });
        for field in rules.flat_map(|(_, template)| template.fields()) {
            let known = class.attributes.iter_mut().find(|it| it.name == field);
            match known {
                Some(known) => known.required = true,
                None if field != NAME && !parts.contains(&field) => parts.push(field),
                None => {}
            }
        }
        class
            .attributes
            .extend(parts.into_iter().map(|field| AttributeSchema {
                name: field.to_owned(),
                r#type: ValueType::Text.into(),
                required: true,
                creatable: true,
                updatable: true,
                readable: Some(false),
                description: "what the resource's mapping makes others of".to_owned(),
                ..AttributeSchema::default()
            }));
    }
}
