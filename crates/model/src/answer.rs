//! Which number of a model's outputs is its answer.
//!
//! The rule: the output that is named, or else the only one, or else the scores of a classifier;
//! of several elements that of the class that is named, or else of two classes the second.

use crate::call::Known;
use crate::error::ModelError;

/// What is asked of a model: `OUTPUT name CLASS class`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// An output's name.
    pub output: Option<String>,
    /// A class, or the number of an element from 0.
    pub class: Option<String>,
}

/// The output and the element.
pub(crate) fn choose(
    outputs: &[(String, Known)],
    choice: &Choice,
) -> Result<(usize, usize), ModelError> {
    let output = output(outputs, choice.output.as_deref())?;
    let (name, known) = &outputs[output];
    let classes = names(known);
    let element = match &choice.class {
        Some(class) => {
            classes
                .iter()
                .position(|c| c == class)
                .ok_or_else(|| ModelError::UnknownClass {
                    output: name.clone(),
                    class: class.clone(),
                    known: listed(classes.clone()),
                })?
        }
        None => match (known.len(), &known.classes) {
            (1, _) => 0,
            (2, Some(_)) => 1,
            (0, _) => {
                return Err(ModelError::Node {
                    node: format!("`{name}`"),
                    operator: "output".to_owned(),
                    reason: "has no elements".to_owned(),
                });
            }
            _ => {
                return Err(ModelError::WhichOutput {
                    outputs: vec![words(name, known)],
                    example: format!("`OUTPUT '{name}' CLASS '{}'`", classes[0]),
                });
            }
        },
    };
    Ok((output, element))
}

fn output(outputs: &[(String, Known)], wanted: Option<&str>) -> Result<usize, ModelError> {
    let all = || {
        outputs
            .iter()
            .map(|(name, known)| words(name, known))
            .collect()
    };
    if let Some(wanted) = wanted {
        let found = outputs.iter().position(|(name, _)| name == wanted);
        return found.ok_or_else(|| ModelError::UnknownOutput {
            output: wanted.to_owned(),
            known: all(),
        });
    }
    if outputs.len() == 1 {
        return Ok(0);
    }
    let mut of_classes = (0..outputs.len()).filter(|at| outputs[*at].1.classes.is_some());
    match (of_classes.next(), of_classes.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(ModelError::WhichOutput {
            outputs: all(),
            example: format!("`OUTPUT '{}'`", outputs[0].0),
        }),
    }
}

/// The first of many names.
fn listed(mut names: Vec<String>) -> Vec<String> {
    /// More help nobody.
    const LISTED_MAX: usize = 16;
    if names.len() > LISTED_MAX {
        let more = names.len() - LISTED_MAX;
        names.truncate(LISTED_MAX);
        names.push(format!("{more} more"));
    }
    names
}

/// What each element of an output is called.
fn names(known: &Known) -> Vec<String> {
    let classes = known.classes.as_ref().map(|classes| classes.words());
    let classes = classes.filter(|classes| classes.len() == known.len());
    classes.unwrap_or_else(|| (0..known.len()).map(|at| at.to_string()).collect())
}

/// The answer in words.
pub(crate) fn answer_words(name: &str, known: &Known, element: usize) -> String {
    let output = words(name, known);
    match (known.len(), names(known).get(element)) {
        (2.., Some(class)) => format!("{class} of {output}"),
        _ => output,
    }
}

/// An output in words.
pub(crate) fn words(name: &str, known: &Known) -> String {
    let kind = known.kind.name();
    match (&known.classes, known.len()) {
        (Some(classes), _) => format!(
            "`{name}` ({kind} of the classes {})",
            listed(classes.words()).join(", ")
        ),
        (None, 1) => format!("`{name}` ({kind})"),
        (None, many) => format!("`{name}` ({many} of {kind})"),
    }
}
