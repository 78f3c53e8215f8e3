//! Windows: from `OVER ...` and the `WINDOW` clause to a [`Frame`] and what it is
//! partitioned by.
//!
//! Rules beyond `docs/semantics.md`: a named window may be built upon one that stands behind
//! it; `ORDER BY` may only say what holds anyway, the event time ascending.

use std::collections::BTreeMap;

use evenkeel_types::Frame;

use super::frame::{Parts, frame};
use super::report::Report;
use crate::ast::{Expr, Ident, NamedWindow, OrderItem, WindowRef, WindowSpec};
use crate::error::Diagnostic;

/// The `WINDOW` clause of a query.
#[derive(Debug)]
pub(super) struct Windows<'a> {
    named: BTreeMap<&'a str, &'a NamedWindow>,
}

/// A window with its base windows merged in.
#[derive(Clone, Debug)]
pub(super) struct Window<'a> {
    /// `PARTITION BY`; empty if absent.
    pub(super) partition_by: &'a [Expr],
    /// `ORDER BY`; empty if absent.
    pub(super) order_by: &'a [OrderItem],
    /// The frame.
    pub(super) frame: Frame,
}

impl<'a> Windows<'a> {
    /// The windows of a `WINDOW` clause; the parser has made sure that names are unique.
    pub(super) fn new(named: &'a [NamedWindow]) -> Self {
        Windows {
            named: named.iter().map(|w| (w.name.value.as_str(), w)).collect(),
        }
    }

    /// Checks the windows that nothing uses, so that their errors are told too.
    pub(super) fn check(&self, used: impl Fn(&str) -> bool, report: &mut Report) {
        for (name, window) in &self.named {
            if used(name) || self.is_base(name) {
                continue;
            }
            let before = report.error_count();
            let bound = self.spec(&window.spec, report);
            if bound.is_some() && report.error_count() == before {
                report.push::<()>(
                    Diagnostic::warning(format!("window `{name}` is not used"), window.name.span)
                        .with_hint(format!("leave it out, or write `OVER {name}`")),
                );
            }
        }
    }

    fn is_base(&self, name: &str) -> bool {
        self.named
            .values()
            .any(|w| w.spec.base.as_ref().is_some_and(|b| b.value == name))
    }

    /// The window of an `OVER`. Errors of a named window are at the window, once.
    pub(super) fn window<'s>(&self, over: &'s WindowRef, report: &mut Report) -> Option<Window<'s>>
    where
        'a: 's,
    {
        match over {
            WindowRef::Named(name) => {
                let Some(named) = self.named.get(name.value.as_str()) else {
                    return self.unknown(name, report);
                };
                self.spec(&named.spec, report)
            }
            WindowRef::Spec(spec) => self.spec(spec, report),
        }
    }

    fn unknown<T>(&self, name: &Ident, report: &mut Report) -> Option<T> {
        let hint = super::report::did_you_mean(&name.value, self.named.keys().copied())
            .unwrap_or_else(|| {
                format!(
                    "define it: `WINDOW {name} AS (LAST 24 HOURS)`, or write `OVER (LAST 24 HOURS)`"
                )
            });
        report.hinted(format!("there is no window `{name}`"), name.span, hint)
    }

    fn spec<'s>(&self, spec: &'s WindowSpec, report: &mut Report) -> Option<Window<'s>>
    where
        'a: 's,
    {
        let mut parts: Parts<'s> = Parts::default();
        let mut seen: Vec<&str> = Vec::new();
        let mut at: &'s WindowSpec = spec;
        loop {
            parts.take(at);
            let Some(base) = &at.base else { break };
            if seen.contains(&base.value.as_str()) {
                return report.error(format!("window `{base}` is built upon itself"), base.span);
            }
            seen.push(&base.value);
            let Some(named) = self.named.get(base.value.as_str()) else {
                return self.unknown(base, report);
            };
            at = &named.spec;
        }
        Some(Window {
            partition_by: parts.partition_by,
            order_by: parts.order_by,
            frame: frame(&parts, report)?,
        })
    }
}
