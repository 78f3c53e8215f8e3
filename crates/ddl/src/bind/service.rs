//! Feature services: views with roles, names of the answer, inputs.
//!
//! Rules beyond `docs/semantics.md`: inputs are in the order in which the items need them,
//! keys before request columns; a feature with a name of its own (`x AS y`) is not prefixed;
//! a feature cannot have the name of an input, since a training set has both as columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_types::definition::{ServiceDef, ServiceItem, ViewBody, ViewDef};
use evenkeel_types::{DataType, Field};

use super::Binder;
use super::entity::metadata;
use super::report::{Report, counted, did_you_mean, in_words};
use super::scope::with_hint;
use crate::ast::{self, CreateFeatureService, FeatureSelection, Ident, Span};
use crate::error::Diagnostic;

/// What a service is while its items are bound.
#[derive(Default)]
struct Inputs {
    fields: Vec<Field>,
    places: Vec<Span>,
}

impl Binder<'_> {
    /// `CREATE FEATURE SERVICE`. The digest is still to be set.
    pub(super) fn service(
        &self,
        create: &CreateFeatureService,
        sql: String,
        report: &mut Report,
    ) -> Option<ServiceDef> {
        let version = match &create.version {
            None => Some(1),
            Some(written) => match u32::try_from(written.value) {
                Ok(version) if version > 0 => Some(version),
                _ => report.hinted(
                    format!("{} is no version of a service", written.value),
                    written.span,
                    "write a whole number from 1",
                ),
            },
        };
        let mut inputs = Inputs::default();
        let mut names: BTreeMap<String, Span> = BTreeMap::new();
        let items: Vec<Option<ServiceItem>> = create
            .items
            .iter()
            .map(|item| self.service_item(item, &mut inputs, &mut names, report))
            .collect();
        for (field, place) in inputs.fields.iter().zip(&inputs.places) {
            if let Some(span) = names.get(&field.name) {
                report.push::<()>(
                    Diagnostic::error(
                        format!("feature `{0}` has the name of the input `{0}`", field.name),
                        *span,
                    )
                    .with_hint(format!(
                        "give the feature another name: `{0} AS {0}_feature`",
                        field.name
                    ))
                    .with_related(*place, "the input comes from here"),
                );
            }
        }
        Some(ServiceDef {
            name: create.name.value.clone(),
            version: version?,
            items: items.into_iter().collect::<Option<_>>()?,
            inputs: inputs.fields,
            metadata: metadata(&create.metadata, report),
            sql,
            digest: [0; 16],
        })
    }

    fn service_item(
        &self,
        item: &ast::ServiceItem,
        inputs: &mut Inputs,
        names: &mut BTreeMap<String, Span>,
        report: &mut Report,
    ) -> Option<ServiceItem> {
        let view = self.service_view(&item.view, item.version.as_ref(), report)?;
        let key = roles(&view, item, report);
        let features = selection(&view, item, names, report);
        let key = key?;
        for (name, field) in key.iter().zip(&view.key) {
            let place = item
                .keys
                .as_ref()
                .and_then(|list| list.columns.iter().find(|c| c.value == *name))
                .map_or(item.view.span, |c| c.span);
            inputs.add(name, &field.data_type, place, report);
        }
        if let ViewBody::Composed(body) = &view.body {
            for field in &body.request {
                inputs.add(&field.name, &field.data_type, item.view.span, report);
            }
        }
        Some(ServiceItem {
            view,
            key: key.into_iter().collect(),
            features: features?,
        })
    }

    /// The view of a service's item; a source is no view.
    fn service_view(
        &self,
        name: &Ident,
        version: Option<&ast::NumberLit>,
        report: &mut Report,
    ) -> Option<Arc<ViewDef>> {
        if let Some(source) = self.catalog.sources.get(&name.value) {
            return report.hinted(
                format!(
                    "`{name}` is a {}, and a service serves views",
                    super::relation::kind_of(source)
                ),
                name.span,
                "put what you want of it into a feature view",
            );
        }
        if !self.has_view(&name.value) && !self.is_broken(&name.value) {
            return report.push(with_hint(
                Diagnostic::error(format!("there is no view `{name}`"), name.span),
                did_you_mean(&name.value, self.catalog.views.keys().map(String::as_str)),
            ));
        }
        self.view(name, version, report)
    }
}

/// The names of the inputs that are the view's key.
fn roles(view: &ViewDef, item: &ast::ServiceItem, report: &mut Report) -> Option<Vec<String>> {
    let Some(list) = &item.keys else {
        return Some(view.key.iter().map(|k| k.name.clone()).collect());
    };
    if list.columns.len() != view.key.len() {
        let names: Vec<&str> = view.key.iter().map(|k| k.name.as_str()).collect();
        return if view.key.is_empty() {
            report.hinted(
                format!(
                    "view `{}` has no key: it needs the request alone",
                    view.name
                ),
                list.span,
                "leave `FOR` out",
            )
        } else {
            report.hinted(
                format!(
                    "view `{}` has {}, not {}",
                    view.name,
                    counted(view.key.len(), "key column"),
                    list.columns.len()
                ),
                list.span,
                format!("name one input each for {}", in_words(&names)),
            )
        };
    }
    for (i, name) in list.columns.iter().enumerate() {
        if let Some(first) = list.columns[..i].iter().find(|c| c.value == name.value) {
            return report.push(
                Diagnostic::error(format!("input `{name}` is two keys at once"), name.span)
                    .with_related(first.span, "first named here"),
            );
        }
    }
    Some(list.columns.iter().map(|c| c.value.clone()).collect())
}

/// The features of an item with their names in the answer.
fn selection(
    view: &ViewDef,
    item: &ast::ServiceItem,
    names: &mut BTreeMap<String, Span>,
    report: &mut Report,
) -> Option<Vec<(usize, String)>> {
    let prefixed = |name: &str| match &item.prefix {
        Some(prefix) => format!("{}_{name}", prefix.value),
        None => name.to_owned(),
    };
    let mut wanted: Vec<(usize, String, Span)> = Vec::new();
    let mut is_complete = true;
    match &item.features {
        FeatureSelection::All(span) => {
            for (i, feature) in view.features.iter().enumerate() {
                wanted.push((i, prefixed(&feature.name), *span));
            }
        }
        FeatureSelection::List(list) => {
            for feature in list {
                let name = &feature.name;
                let Some(index) = view.features.iter().position(|f| f.name == name.value) else {
                    is_complete = false;
                    report.push::<()>(with_hint(
                        Diagnostic::error(
                            format!("view `{}` has no feature `{name}`", view.name),
                            name.span,
                        ),
                        did_you_mean(&name.value, view.features.iter().map(|f| f.name.as_str())),
                    ));
                    continue;
                };
                wanted.push(match &feature.alias {
                    Some(alias) => (index, alias.value.clone(), alias.span),
                    None => (index, prefixed(&name.value), name.span),
                });
            }
        }
    }
    for (_, name, span) in &wanted {
        if let Some(first) = names.get(name) {
            is_complete = false;
            report.push::<()>(
                Diagnostic::error(format!("two features of the service are called `{name}`"), *span)
                    .with_hint(format!(
                        "give one another name: `{name} AS ...`, or a prefix to its view: `{} (...) AS prefix`",
                        view.name
                    ))
                    .with_related(*first, "the other one"),
            );
        } else {
            names.insert(name.clone(), *span);
        }
    }
    is_complete.then(|| wanted.into_iter().map(|(i, name, _)| (i, name)).collect())
}

impl Inputs {
    fn add(&mut self, name: &str, data_type: &DataType, place: Span, report: &mut Report) {
        let Some(known) = self.fields.iter().position(|f| f.name == name) else {
            self.fields.push(Field::new(name, data_type.clone()));
            self.places.push(place);
            return;
        };
        if self.fields[known].data_type != *data_type {
            report.push::<()>(
                Diagnostic::error(
                    format!(
                        "the input `{name}` would be {} and {data_type}",
                        self.fields[known].data_type
                    ),
                    place,
                )
                .with_hint(format!(
                    "inputs of one name have one type: name the key otherwise with `FOR ({name}_2)`"
                ))
                .with_related(self.places[known], "needed with the other type here"),
            );
        }
    }
}

/// One item of a feature list, as it is typed on a command line: `view:feature`, `view:*` or
/// `view@2:feature`.
fn parse_item<'a>(text: &'a str, report: &mut Report) -> Option<ListItem<'a>> {
    let Some((view, feature)) = text.split_once(':') else {
        return report.hinted(
            format!("`{text}` does not say which feature"),
            Span::new(0, text.len()),
            format!("write `{text}:feature`, or `{text}:*` for all"),
        );
    };
    let (name, version) = match view.split_once('@') {
        None => (view, None),
        Some((name, number)) => {
            let at = Span::new(name.len() + 1, view.len());
            match number.parse::<u32>() {
                Ok(version) => (name, Some((version, at))),
                Err(_) => {
                    return report.hinted(
                        format!("`{number}` is no version of a view"),
                        at,
                        format!("write a whole number: `{name}@1:{feature}`"),
                    );
                }
            }
        }
    };
    Some(ListItem {
        view: name,
        version,
        feature,
        feature_span: Span::new(view.len() + 1, text.len()),
    })
}

struct ListItem<'a> {
    view: &'a str,
    version: Option<(u32, Span)>,
    feature: &'a str,
    feature_span: Span,
}

impl Binder<'_> {
    /// A service without a name from a list of features. Errors come with the index of the
    /// item whose text they are in.
    pub(super) fn feature_list(
        &self,
        items: &[&str],
    ) -> Result<ServiceDef, Vec<(usize, Diagnostic)>> {
        let mut errors = Vec::new();
        let mut wanted: Vec<(usize, Arc<ViewDef>, usize)> = Vec::new();
        for (at, text) in items.iter().enumerate() {
            let mut report = Report::default();
            if let Some((view, features)) = self.list_item(text, &mut report) {
                let is_known = |feature: &usize| {
                    wanted.iter().any(|(_, v, f)| {
                        v.name == view.name && v.version == view.version && f == feature
                    })
                };
                if features.iter().any(is_known) {
                    report.hinted::<()>(
                        format!("`{text}` is listed twice"),
                        Span::new(0, text.len()),
                        "leave one of them out",
                    );
                } else {
                    wanted.extend(features.into_iter().map(|f| (at, view.clone(), f)));
                }
            }
            errors.extend(report.into_parts().0.into_iter().map(|d| (at, d)));
        }
        // The same name of two views is told apart by the view's.
        let plain: Vec<&str> = wanted
            .iter()
            .map(|(_, view, f)| view.features[*f].name.as_str())
            .collect();
        let answer_name = |i: usize| {
            let (_, view, _) = &wanted[i];
            let is_unique = plain.iter().filter(|n| **n == plain[i]).count() == 1;
            if is_unique {
                plain[i].to_owned()
            } else {
                format!("{}_{}", view.name, plain[i])
            }
        };
        let mut inputs = Inputs::default();
        let mut service_items: Vec<ServiceItem> = Vec::new();
        for (i, (at, view, feature)) in wanted.iter().enumerate() {
            let name = answer_name(i);
            let last = service_items.last_mut();
            if let Some(item) = last.filter(|item| Arc::ptr_eq(&item.view, view)) {
                item.features.push((*feature, name));
                continue;
            }
            let mut report = Report::default();
            let place = Span::new(0, items[*at].len());
            let request = match &view.body {
                ViewBody::Composed(body) => body.request.as_slice(),
                _ => &[],
            };
            for field in view.key.iter().chain(request) {
                inputs.add(&field.name, &field.data_type, place, &mut report);
            }
            let (found, _) = report.into_parts();
            errors.extend(found.into_iter().map(|d| {
                let alone = Diagnostic { related: None, ..d };
                (
                    *at,
                    alone.with_hint(
                        "ask for them in two calls, or define a service with `FOR (...)`",
                    ),
                )
            }));
            service_items.push(ServiceItem {
                view: view.clone(),
                key: view.key.iter().map(|k| k.name.clone()).collect(),
                features: vec![(*feature, name)],
            });
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(ServiceDef {
            name: String::new(),
            version: 1,
            items: service_items,
            inputs: inputs.fields,
            metadata: evenkeel_types::definition::Metadata::default(),
            sql: items.join(", "),
            digest: [0; 16],
        })
    }

    fn list_item(&self, text: &str, report: &mut Report) -> Option<(Arc<ViewDef>, Vec<usize>)> {
        let item = parse_item(text, report)?;
        // The name as it is typed, without the quotes that the tree would print.
        let name = Ident {
            value: item.view.to_owned(),
            quoted: false,
            span: Span::new(0, item.view.len()),
        };
        let version = item.version.map(|(value, span)| ast::NumberLit {
            value: u64::from(value),
            span,
        });
        let view = self.service_view(&name, version.as_ref(), report)?;
        if item.feature == "*" {
            let all = (0..view.features.len()).collect();
            return Some((view, all));
        }
        match view.features.iter().position(|f| f.name == item.feature) {
            Some(index) => Some((view, vec![index])),
            None => report.push(with_hint(
                Diagnostic::error(
                    format!("view `{}` has no feature `{}`", view.name, item.feature),
                    item.feature_span,
                ),
                did_you_mean(item.feature, view.features.iter().map(|f| f.name.as_str())),
            )),
        }
    }
}
