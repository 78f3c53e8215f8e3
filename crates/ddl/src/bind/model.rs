//! Models: a file's content under a name.
//!
//! Reads no file: whoever brings the catalog brings what does. What comes out names the digest of
//! the content, so that the statement means the same for ever.

use evenkeel_types::definition::{ModelDef, ModelSource};

use super::Binder;
use super::entity::metadata;
use super::report::Report;
use super::scope::with_hint;
use crate::ast::{CreateModel, StringLit};
use crate::error::Diagnostic;

/// Digits of a digest.
const DIGEST_LENGTH: usize = 64;

impl Binder<'_> {
    /// `CREATE MODEL`.
    pub(super) fn model(&self, create: &CreateModel, report: &mut Report) -> Option<ModelDef> {
        if let Some(digest) = &create.digest
            && !is_digest(&digest.value)
        {
            return report.hinted(
                format!("a digest has {DIGEST_LENGTH} hexadecimal digits in lower case"),
                digest.span,
                "leave `DIGEST` out: applying fills it in",
            );
        }
        let value = |text: &Option<StringLit>| text.as_ref().map(|text| text.value.clone());
        let mut source = ModelSource {
            path: create.path.value.clone(),
            content: value(&create.digest),
            output: value(&create.output),
            class: value(&create.class),
        };
        let files = self.existing.model_files.as_ref();
        let Some(files) = files.or(self.catalog.model_files.as_ref()) else {
            return report.error("models cannot be read here", create.path.span);
        };
        let loaded = match files.load(&create.name.value, &source) {
            Ok(loaded) => loaded,
            Err(problem) => {
                let message = format!(
                    "the model `{}` cannot be used: {}",
                    create.name, problem.message
                );
                return report.push(with_hint(
                    Diagnostic::error(message, create.path.span),
                    problem.hint,
                ));
            }
        };
        let written = CreateModel {
            digest: Some(StringLit {
                value: loaded.content.clone(),
                span: create.path.span,
            }),
            ..create.clone()
        };
        source.content = Some(loaded.content);
        let digest = loaded.function.signature().digest;
        let versions = self.existing.models.get(&create.name.value);
        let version = match versions.and_then(|versions| versions.last_key_value()) {
            Some((version, newest)) if newest.digest == digest => *version,
            Some((version, _)) => version + 1,
            None => 1,
        };
        Some(ModelDef {
            name: create.name.value.clone(),
            version,
            source,
            function: loaded.function,
            notes: loaded.notes,
            metadata: metadata(&create.metadata, report),
            sql: written.to_string(),
            digest,
        })
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == DIGEST_LENGTH && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
