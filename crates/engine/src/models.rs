//! The files of models: read from a project's folder when definitions are planned, from the
//! registry ever after.
//!
//! Invariant: a content that is asked for by its digest has that digest, wherever it comes from.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use evenkeel_model::{Choice, MODEL_BYTES_MAX, Model, ModelError};
use evenkeel_types::External;
use evenkeel_types::definition::{LoadedModel, ModelFiles, ModelProblem, ModelSource};

use crate::registry::{Object, Record};

/// Digest of a content, output and class.
type Key = (String, Option<String>, Option<String>);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct KnownModels {
    /// Where files are looked for; none: what is known is all there is.
    root: Option<PathBuf>,
    /// What was known before.
    before: Option<Arc<dyn ModelFiles>>,
    contents: Mutex<BTreeMap<String, Arc<[u8]>>>,
    /// Models that were read; one content is understood once.
    loaded: Mutex<BTreeMap<Key, LoadedModel>>,
}

/// The digest of a content, as statements and records have it.
pub(crate) fn content_digest(content: &[u8]) -> String {
    blake3::hash(content).to_hex().to_string()
}

impl KnownModels {
    /// The contents that records brought, whose digests were checked when they were read.
    pub(crate) fn of_records(records: &[Record]) -> Self {
        let objects = records.iter().flat_map(|record| &record.objects);
        let contents = objects.filter_map(|object: &Object| {
            Some((object.content.clone()?, Arc::clone(object.bytes.as_ref()?)))
        });
        KnownModels {
            contents: Mutex::new(contents.collect()),
            ..KnownModels::default()
        }
    }

    /// The files of a folder, over what was known before.
    pub(crate) fn in_folder(root: &Path, before: Option<Arc<dyn ModelFiles>>) -> Self {
        KnownModels {
            root: Some(root.to_owned()),
            before,
            ..KnownModels::default()
        }
    }

    /// The content of a file as it is now, with its digest.
    fn read(&self, path: &str) -> Result<(String, Arc<[u8]>), ModelProblem> {
        let Some(root) = &self.root else {
            return Err(ModelProblem {
                message: "its content is not recorded".to_owned(),
                hint: None,
            });
        };
        let content = read_file(&root.join(path))?;
        let digest = content_digest(&content);
        let content: Arc<[u8]> = content.into();
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        contents.insert(digest.clone(), Arc::clone(&content));
        Ok((digest, content))
    }

    /// The content that a statement means.
    fn meant(&self, source: &ModelSource) -> Result<(String, Arc<[u8]>), ModelProblem> {
        let Some(digest) = &source.content else {
            return self.read(&source.path);
        };
        if let Some(content) = self.content(digest) {
            return Ok((digest.clone(), content));
        }
        let (found, content) = self.read(&source.path)?;
        if found != *digest {
            return Err(ModelProblem {
                message: format!(
                    "`{}` has another content now, of the digest {found}",
                    source.path
                ),
                hint: Some("leave `DIGEST` out to take the file as it is".to_owned()),
            });
        }
        Ok((found, content))
    }
}

/// A file of at most [`MODEL_BYTES_MAX`] bytes.
fn read_file(path: &Path) -> Result<Vec<u8>, ModelProblem> {
    let unreadable = |e: std::io::Error| ModelProblem {
        message: format!("`{}` cannot be read: {e}", path.display()),
        hint: Some("a path is relative to the project's folder".to_owned()),
    };
    let mut content = Vec::new();
    // One byte more tells that it is too large.
    let limit = MODEL_BYTES_MAX as u64 + 1;
    // A pipe would keep whoever opens it waiting.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(ModelProblem {
            message: format!("`{}` is no file", path.display()),
            hint: None,
        });
    }
    let file = File::open(path).map_err(unreadable)?;
    file.take(limit)
        .read_to_end(&mut content)
        .map_err(unreadable)?;
    Ok(content)
}

fn problem(error: &ModelError) -> ModelProblem {
    ModelProblem {
        message: error.to_string(),
        hint: error.hint(),
    }
}

impl ModelFiles for KnownModels {
    fn load(&self, name: &str, source: &ModelSource) -> Result<LoadedModel, ModelProblem> {
        let (digest, content) = self.meant(source)?;
        let key = (digest.clone(), source.output.clone(), source.class.clone());
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        // Messages name the model, so one content under two names is read twice.
        if let Some(known) = loaded.get(&key)
            && known.function.signature().name == name
        {
            return Ok(known.clone());
        }
        let choice = Choice {
            output: source.output.clone(),
            class: source.class.clone(),
        };
        let model = Model::load(name, &content, &choice).map_err(|error| problem(&error))?;
        let found = LoadedModel {
            notes: notes(&model, &digest),
            function: External::new(Arc::new(model)),
            content: digest,
        };
        loaded.insert(key, found.clone());
        Ok(found)
    }

    fn content(&self, digest: &str) -> Option<Arc<[u8]>> {
        let contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        let own = contents.get(digest).cloned();
        own.or_else(|| self.before.as_ref()?.content(digest))
    }
}

/// What a plan says of a model.
fn notes(model: &Model, digest: &str) -> Vec<String> {
    /// More are counted.
    const INPUTS_NAMED: usize = 12;
    let description = model.description();
    let inputs = &description.inputs;
    let mut named: Vec<String> = inputs
        .iter()
        .take(INPUTS_NAMED)
        .map(|input| format!("`{}` {}", input.name, input.data_type))
        .collect();
    if inputs.len() > INPUTS_NAMED {
        named.push(format!("{} more", inputs.len() - INPUTS_NAMED));
    }
    let operators: Vec<String> = description
        .operators
        .iter()
        .map(|(operator, count)| format!("{count} {operator}"))
        .collect();
    let made = match description.producer.as_str() {
        "" => String::new(),
        producer => format!(", made by {producer}"),
    };
    vec![
        format!("model: content {}{made}", &digest[..16]),
        format!("takes {}", named.join(", ")),
        format!("answers with {}", description.answer),
        format!("operators: {}", operators.join(", ")),
    ]
}
