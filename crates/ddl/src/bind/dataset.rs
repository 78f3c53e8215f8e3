//! Training datasets.
//!
//! Rules beyond `docs/semantics.md`: names of datasets and parts are names of folders and
//! files, so they are plain; a version that was registered is never registered otherwise;
//! what the names mean is checked here and looked up again at each build.

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_types::definition::{
    DatasetDef, DatasetFormat, DatasetLabel, DatasetSpine, DatasetTransform, Impute, ServiceDef,
    Shape, SharePart, Split, TimePart,
};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{DataType, Field, Value, Zone};

use super::Binder;
use super::entity::{UniqueNames, metadata};
use super::expression;
use super::relation::refuse_request;
use super::report::{Report, counted, did_you_mean, in_words};
use super::scope::with_hint;
use crate::ast::{self, CreateTrainingDataset, DatasetFormatKind, Ident, NumberLit};
use crate::error::Diagnostic;

/// The longest name of a dataset or of a part.
pub const DATASET_NAME_MAX: usize = 64;
/// The most columns that `ONE HOT` makes, and how many it makes if nothing is said.
const ONE_HOT_MAX: u32 = 1_000;
/// The most bounds of `BUCKETIZE`.
const BUCKETS_MAX: usize = 1_000;
/// The most parts of a dataset.
const PARTS_MAX: usize = 64;

/// Why a name cannot be a folder's or a file's, if it cannot.
pub fn dataset_name_problem(name: &str) -> Option<String> {
    if name.len() > DATASET_NAME_MAX {
        return Some(format!("is longer than {DATASET_NAME_MAX} characters"));
    }
    let mut bytes = name.bytes();
    let first = bytes.next();
    let is_plain = first.is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    (!is_plain).then(|| {
        "is not made of lower-case letters, digits and `_`, with a letter first".to_owned()
    })
}

impl Binder<'_> {
    /// `CREATE TRAINING DATASET`. The digest is still to be set.
    pub(super) fn training_dataset(
        &self,
        create: &CreateTrainingDataset,
        sql: String,
        report: &mut Report,
    ) -> Option<DatasetDef> {
        refuse_name(&create.name, "a dataset", report);
        let version = version_of(create.version.as_ref(), "a training dataset", report);
        let spine = self.dataset_spine(&create.spine, report);
        let service = self.dataset_service(create, report);
        let labels: Vec<Option<DatasetLabel>> = create
            .labels
            .iter()
            .map(|label| self.dataset_label(label, report))
            .collect();
        let split = create
            .split
            .as_ref()
            .map_or(Some(Split::None), |split| split_of(split, report));
        let formats = formats_of(create, report);
        let metadata = metadata(&create.metadata, report);
        let service = service?;
        let transforms: Vec<Option<DatasetTransform>> = create
            .transforms
            .iter()
            .map(|transform| transform_of(transform, &service, report))
            .collect();
        refuse_twice(&create.transforms, report);
        Some(DatasetDef {
            name: create.name.value.clone(),
            version: version?,
            service: create.service.value.clone(),
            service_version: create.service_version.map(|_| service.version),
            spine: spine?,
            as_served: create.knowledge == Some(ast::DatasetKnowledge::AsServed),
            labels: labels.into_iter().collect::<Option<_>>()?,
            transforms: transforms.into_iter().collect::<Option<_>>()?,
            split: split?,
            formats,
            metadata,
            sql,
            digest: [0; 16],
        })
    }

    fn dataset_spine(
        &self,
        spine: &ast::DatasetSpine,
        report: &mut Report,
    ) -> Option<DatasetSpine> {
        match spine {
            ast::DatasetSpine::File {
                path,
                time,
                known_at,
            } => {
                if path.value.is_empty() {
                    return report.hinted(
                        "a spine's path cannot be empty",
                        path.span,
                        "write the file: `SPINE 'spine.parquet'`",
                    );
                }
                let name = |ident: &Option<Ident>| ident.as_ref().map(|i| i.value.clone());
                Some(DatasetSpine::File {
                    path: path.value.clone(),
                    time: name(time),
                    known_at: name(known_at),
                })
            }
            ast::DatasetSpine::Query(query) => {
                self.spine(query, report)?;
                Some(DatasetSpine::Query(query.to_string()))
            }
        }
    }

    fn dataset_service(
        &self,
        create: &CreateTrainingDataset,
        report: &mut Report,
    ) -> Option<Arc<ServiceDef>> {
        let name = &create.service;
        let in_files = self.catalog.services.get(&name.value);
        let before = self.existing.services.get(&name.value);
        let Some(versions) = in_files.or(before) else {
            if self.is_broken_service(&name.value) {
                return None;
            }
            return report.push(with_hint(
                Diagnostic::error(format!("there is no service `{name}`"), name.span),
                did_you_mean(
                    &name.value,
                    self.catalog.services.keys().map(String::as_str),
                ),
            ));
        };
        let Some(wanted) = &create.service_version else {
            return versions.values().next_back().cloned();
        };
        let number = u32::try_from(wanted.value).ok();
        let known = [in_files, before].into_iter().flatten();
        let found = number.and_then(|n| known.clone().find_map(|versions| versions.get(&n)));
        if let Some(found) = found {
            return Some(Arc::clone(found));
        }
        let known: BTreeSet<u32> = known.flat_map(|v| v.keys().copied()).collect();
        let known: Vec<String> = known.into_iter().map(|v| format!("{name}@{v}")).collect();
        report.hinted(
            format!("service `{name}` has no version {}", wanted.value),
            wanted.span,
            format!("there is {}", in_words(&known)),
        )
    }

    fn dataset_label(&self, label: &ast::Label, report: &mut Report) -> Option<DatasetLabel> {
        let name = label.alias.as_ref().unwrap_or(&label.feature);
        let (view, _) = self.label_feature(label, report)?;
        if let Some(list) = &label.keys
            && list.columns.len() != view.key.len()
        {
            let wanted: Vec<&str> = view.key.iter().map(|k| k.name.as_str()).collect();
            return report.hinted(
                format!(
                    "view `{}` has {}, not {}",
                    view.name,
                    counted(view.key.len(), "key column"),
                    list.columns.len()
                ),
                list.span,
                format!("name one column each for {}", in_words(&wanted)),
            );
        }
        Some(DatasetLabel {
            feature: label.feature.value.clone(),
            view: label.view.value.clone(),
            view_version: label.version.map(|_| view.version),
            keys: label
                .keys
                .as_ref()
                .map(|list| list.columns.iter().map(|c| c.value.clone()).collect()),
            within: label.within.value,
            name: name.value.clone(),
        })
    }

    /// A model was built with a version: it is never another.
    pub(super) fn refuse_changed_dataset(
        &self,
        create: &CreateTrainingDataset,
        dataset: &DatasetDef,
        report: &mut Report,
    ) {
        let Some(versions) = self.existing.datasets.get(&dataset.name) else {
            return;
        };
        let Some(known) = versions.get(&dataset.version) else {
            return;
        };
        if known.digest == dataset.digest {
            return;
        }
        let next = versions
            .keys()
            .next_back()
            .map_or(1, |v| v.saturating_add(1));
        report.hinted::<()>(
            format!(
                "version {} of the training dataset `{}` is registered already, otherwise",
                dataset.version, dataset.name
            ),
            create.version.map_or(create.name.span, |v| v.span),
            format!("write `VERSION {next}`: a version of a dataset never changes"),
        );
    }

    /// The view and the feature of a label, which is read forward.
    pub(super) fn label_feature(
        &self,
        label: &ast::Label,
        report: &mut Report,
    ) -> Option<(Arc<evenkeel_types::definition::ViewDef>, usize)> {
        if label.within.value.is_negative() || label.within.value.is_zero() {
            report.hinted::<()>(
                "a label is read forward: its interval must be above zero",
                label.within.span,
                "write how far: `WITHIN INTERVAL '7' DAY`",
            );
        }
        if self.catalog.sources.contains_key(&label.view.value) {
            return report.hinted(
                format!(
                    "`{}` is a source, and a label is a feature of a view",
                    label.view
                ),
                label.view.span,
                "put what is to be predicted into a feature view",
            );
        }
        let view = self.view(&label.view, label.version.as_ref(), report)?;
        refuse_request(&view, label.view.span, report)?;
        let feature = view
            .features
            .iter()
            .position(|f| f.name == label.feature.value);
        let Some(feature) = feature else {
            return report.push(with_hint(
                Diagnostic::error(
                    format!("view `{}` has no feature `{}`", view.name, label.feature),
                    label.feature.span,
                ),
                did_you_mean(
                    &label.feature.value,
                    view.features.iter().map(|f| f.name.as_str()),
                ),
            ));
        };
        Some((view, feature))
    }
}

pub(super) fn refuse_name(name: &Ident, what: &str, report: &mut Report) {
    if let Some(problem) = dataset_name_problem(&name.value) {
        report.hinted::<()>(
            format!(
                "`{}` cannot be the name of {what}: it {problem}",
                name.value
            ),
            name.span,
            "it is the name of a folder or a file, too: write one such as `delay_2026`",
        );
    }
}

fn version_of(written: Option<&NumberLit>, what: &str, report: &mut Report) -> Option<u32> {
    let Some(written) = written else {
        return Some(1);
    };
    match u32::try_from(written.value) {
        Ok(version) if version > 0 => Some(version),
        _ => report.hinted(
            format!("{} is no version of {what}", written.value),
            written.span,
            "write a whole number from 1",
        ),
    }
}

fn refuse_twice(transforms: &[ast::Transform], report: &mut Report) {
    let mut names = UniqueNames::new("the transform of");
    for transform in transforms {
        names.add(&transform.feature, report);
    }
}

fn transform_of(
    transform: &ast::Transform,
    service: &ServiceDef,
    report: &mut Report,
) -> Option<DatasetTransform> {
    let features = service.features();
    let name = &transform.feature;
    let Some(field) = features.iter().find(|f| f.name == name.value) else {
        return report.push(with_hint(
            Diagnostic::error(
                format!("service `{}` has no feature `{name}`", service.name),
                name.span,
            ),
            did_you_mean(&name.value, features.iter().map(|f| f.name.as_str())),
        ));
    };
    let impute = match &transform.impute {
        None => None,
        Some(ast::Impute::Mean(span)) => {
            if !is_number(&field.data_type) {
                return report.hinted(
                    format!("`{name}` is {}, which has no mean", field.data_type),
                    *span,
                    "write a constant: `IMPUTE 'unknown'`",
                );
            }
            Some(Impute::Mean)
        }
        Some(ast::Impute::Constant(written)) => {
            let value = expression::constant(written, &field.data_type, "`IMPUTE`", report)?;
            if value.is_null() {
                return report.hinted(
                    "NULL stands in for nothing",
                    written.span,
                    "leave `IMPUTE` out, or write a value",
                );
            }
            Some(Impute::Constant(value))
        }
    };
    let shape = match &transform.shape {
        None => None,
        Some(shape) => Some(shape_of(shape, field, report)?),
    };
    Some(DatasetTransform {
        feature: name.value.clone(),
        impute,
        shape,
    })
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

fn shape_of(shape: &ast::Shape, field: &Field, report: &mut Report) -> Option<Shape> {
    let wants_number = !matches!(shape, ast::Shape::OneHot { .. });
    if wants_number && !is_number(&field.data_type) {
        return report.hinted(
            format!(
                "`{}` is {}, and this takes numbers",
                field.name, field.data_type
            ),
            shape.span(),
            "values that are not numbers become columns with `ONE HOT`",
        );
    }
    match shape {
        ast::Shape::Standardize(_) => Some(Shape::Standardize),
        ast::Shape::MinMax(_) => Some(Shape::MinMax),
        ast::Shape::OneHot { limit, span } => {
            let is_discrete = matches!(
                field.data_type,
                DataType::String
                    | DataType::Boolean
                    | DataType::Int
                    | DataType::BigInt
                    | DataType::Date
            );
            if !is_discrete {
                return report.hinted(
                    format!(
                        "`{}` is {}, whose values get no column each",
                        field.name, field.data_type
                    ),
                    *span,
                    "numbers with fractions are put into buckets: `BUCKETIZE (0, 10, 100)`",
                );
            }
            let limit = match limit {
                None => ONE_HOT_MAX,
                Some(written) => match u32::try_from(written.value) {
                    Ok(limit) if (1..=ONE_HOT_MAX).contains(&limit) => limit,
                    _ => {
                        return report.hinted(
                            format!("{} columns are no limit of `ONE HOT`", written.value),
                            written.span,
                            format!("write a whole number from 1 to {ONE_HOT_MAX}"),
                        );
                    }
                },
            };
            Some(Shape::OneHot { limit })
        }
        ast::Shape::Bucketize { bounds, span } => {
            if bounds.len() > BUCKETS_MAX {
                return report.hinted(
                    format!("{} bounds are too many", bounds.len()),
                    *span,
                    format!("write at most {BUCKETS_MAX}"),
                );
            }
            bounds_of(bounds, report).map(|bounds| Shape::Bucketize { bounds })
        }
    }
}

fn bounds_of(written: &[ast::Expr], report: &mut Report) -> Option<Vec<f64>> {
    let mut bounds: Vec<f64> = Vec::with_capacity(written.len());
    for bound in written {
        let value = expression::constant(bound, &DataType::Double, "`BUCKETIZE`", report)?;
        let Value::Double(number) = value else {
            return report.hinted(
                "a bound is a number",
                bound.span,
                "write numbers that rise: `BUCKETIZE (0, 10, 100)`",
            );
        };
        if number.is_nan() || bounds.last().is_some_and(|last| *last >= number) {
            return report.hinted(
                "the bounds of buckets rise",
                bound.span,
                "write each once, the least first",
            );
        }
        bounds.push(number);
    }
    Some(bounds)
}

fn split_of(split: &ast::Split, report: &mut Report) -> Option<Split> {
    match split {
        ast::Split::Time(parts) => time_parts(parts, report).map(Split::Time),
        ast::Split::EntityHash {
            columns,
            parts,
            seed,
            ..
        } => {
            let columns = columns.as_ref().map(|list| {
                let names = list.columns.iter();
                names.map(|c| c.value.clone()).collect()
            });
            Some(Split::EntityHash {
                columns,
                parts: share_parts(parts, report)?,
                seed: seed.map_or(0, |s| s.value),
            })
        }
        ast::Split::Random { parts, seed } => Some(Split::Random {
            parts: share_parts(parts, report)?,
            seed: seed.map_or(0, |s| s.value),
        }),
    }
}

fn check_parts<'a>(names: impl ExactSizeIterator<Item = &'a Ident>, report: &mut Report) -> bool {
    let before = report.error_count();
    let count = names.len();
    let mut unique = UniqueNames::new("part");
    for (i, name) in names.enumerate() {
        refuse_name(name, "a part", report);
        unique.add(name, report);
        if i == PARTS_MAX {
            report.hinted::<()>(
                format!("{count} parts are too many"),
                name.span,
                format!("write at most {PARTS_MAX}"),
            );
        }
    }
    report.error_count() == before
}

fn time_parts(parts: &[ast::TimePart], report: &mut Report) -> Option<Vec<TimePart>> {
    let mut is_good = check_parts(parts.iter().map(|p| &p.name), report);
    let mut bound: Vec<TimePart> = Vec::with_capacity(parts.len());
    for (i, part) in parts.iter().enumerate() {
        let before = match &part.before {
            Some(written) => match parse_timestamp(&written.value, &Zone::utc()) {
                Ok(time) => Some(time),
                Err(error) => {
                    is_good = false;
                    report.hinted(
                        error.to_string(),
                        written.span,
                        "write a day or an instant: `BEFORE '2026-01-31'`",
                    )
                }
            },
            None if i + 1 == parts.len() => None,
            None => {
                is_good = false;
                report.hinted(
                    format!("part `{}` has no end, and is not the last", part.name),
                    part.name.span,
                    "say where it ends: `BEFORE '2026-01-31'`",
                )
            }
        };
        let last = bound.last().and_then(|p| p.before);
        if let (Some(last), Some(before), Some(written)) = (last, before, &part.before)
            && before <= last
        {
            is_good = false;
            report.hinted::<()>(
                format!("part `{}` ends before it begins", part.name),
                written.span,
                "the parts are in the order of time: each ends later than the one before",
            );
        }
        bound.push(TimePart {
            name: part.name.value.clone(),
            before,
        });
    }
    is_good.then_some(bound)
}

fn share_parts(parts: &[ast::SharePart], report: &mut Report) -> Option<Vec<SharePart>> {
    /// Shares of the largest dataset can be said in rows.
    const SHARE_MAX: u64 = 1_000_000_000;
    let mut is_good = check_parts(parts.iter().map(|p| &p.name), report);
    let mut bound = Vec::with_capacity(parts.len());
    for part in parts {
        match u32::try_from(part.share.value) {
            Ok(share) if share > 0 && u64::from(share) <= SHARE_MAX => bound.push(SharePart {
                name: part.name.value.clone(),
                share,
            }),
            _ => {
                is_good = false;
                report.hinted::<()>(
                    format!("{} is no share", part.share.value),
                    part.share.span,
                    format!("write a whole number from 1 to {SHARE_MAX}: `train 80, test 20`"),
                );
            }
        }
    }
    is_good.then_some(bound)
}

fn formats_of(create: &CreateTrainingDataset, report: &mut Report) -> Vec<DatasetFormat> {
    let mut formats = Vec::new();
    for written in &create.formats {
        let format = match written.kind {
            DatasetFormatKind::Parquet => DatasetFormat::Parquet,
            DatasetFormatKind::Arrow => DatasetFormat::Arrow,
            DatasetFormatKind::Csv => DatasetFormat::Csv,
            DatasetFormatKind::TfRecord => DatasetFormat::TfRecord,
        };
        if formats.contains(&format) {
            report.hinted::<()>(
                "this format is named twice",
                written.span,
                "remove one of them",
            );
            continue;
        }
        formats.push(format);
    }
    if formats.is_empty() {
        formats.push(DatasetFormat::Parquet);
    }
    formats
}
