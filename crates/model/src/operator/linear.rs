//! Linear models of classical learning.

use std::sync::Arc;

use super::label::{self, put_label};
use super::normalization::as_floats;
use super::post::Post;
use crate::call::{Built, Call, Classes, Known, Made, Refusal, Run, checked};
use crate::tensor::{Data, Kind};

/// Scores of rows: a sum of products for each target, and what is added to it.
struct Scores {
    rows: usize,
    features: usize,
    coefficients: Vec<f64>,
    intercepts: Vec<f64>,
    read: fn(&Data, usize) -> f32,
}

impl Scores {
    fn of(call: &Call<'_>, x: &Known, targets: usize) -> Result<Self, Refusal> {
        let (rows, features) = rows_of(x)?;
        if features == 0 {
            return Err("takes rows without columns".to_owned());
        }
        let wide = |values: &[f32]| values.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
        let coefficients = wide(call.floats("coefficients")?.ok_or("has no coefficients")?);
        let wanted = targets.checked_mul(features);
        if wanted != Some(coefficients.len()) {
            return Err(format!(
                "has {} coefficients, not {targets} times {features}",
                coefficients.len()
            ));
        }
        let intercepts = match call.floats("intercepts")? {
            Some(intercepts) if !intercepts.is_empty() => wide(intercepts),
            _ => vec![0.0; targets],
        };
        if intercepts.len() != targets {
            return Err(format!(
                "has {} intercepts, not {targets}",
                intercepts.len()
            ));
        }
        Ok(Scores {
            rows,
            features,
            coefficients,
            intercepts,
            read: as_floats(x)?,
        })
    }

    fn row(&self, x: &Data, row: usize, scores: &mut [f64]) {
        let coefficients = self.coefficients.chunks_exact(self.features);
        for ((score, coefficients), intercept) in
            scores.iter_mut().zip(coefficients).zip(&self.intercepts)
        {
            let terms = (0..)
                .zip(coefficients)
                .map(|(at, coefficient): (usize, _)| {
                    f64::from((self.read)(x, row * self.features + at)) * coefficient
                });
            *score = terms.fold(0.0, |total, term| total + term) + intercept;
        }
    }
}

/// Rows and columns of what classical learning takes.
pub(super) fn rows_of(x: &Known) -> Result<(usize, usize), Refusal> {
    match x.shape[..] {
        [rows, columns] => Ok((rows, columns)),
        [columns] => Ok((1, columns)),
        _ => Err(format!("cannot take {:?} as rows", x.shape)),
    }
}

pub(super) fn regressor(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    let targets = usize::try_from(call.int("targets")?.unwrap_or(1));
    let targets = targets.map_err(|_| "has a negative number of targets")?;
    let (rows, _) = rows_of(x)?;
    let shape = checked(vec![rows, targets])?;
    let scores = Scores::of(call, x, targets)?;
    let post = Post::of(call)?;
    let work = scores.rows * scores.coefficients.len().max(targets);
    let run: Run = Box::new(move |inputs, outputs| {
        let output = f32_of(&mut outputs[0]);
        let mut found = vec![0.0; targets];
        for row in 0..scores.rows {
            scores.row(inputs.data(0), row, &mut found);
            post.apply(&mut found);
            put_scores(output, row, &found);
        }
        Ok(())
    });
    Ok(Built::Step {
        outputs: vec![Made::new(Kind::F32, shape)],
        run,
        work,
    })
}

/// The floats of an output.
pub(super) fn f32_of(output: &mut Data) -> &mut [f32] {
    crate::tensor::Element::of_mut(output)
}

/// Writes the scores of a row.
pub(super) fn put_scores(output: &mut [f32], row: usize, scores: &[f64]) {
    let output = &mut output[row * scores.len()..][..scores.len()];
    for (output, score) in output.iter_mut().zip(scores) {
        *output = *score as f32;
    }
}

/// The outputs of a classifier: the label and the scores of all classes.
pub(super) fn classified(classes: &Arc<Classes>, rows: usize) -> Result<Vec<Made>, Refusal> {
    let kind = match classes.as_ref() {
        Classes::Numbers(_) => Kind::I64,
        Classes::Texts(_) => Kind::Text,
    };
    let scores = checked(vec![rows, classes.len()])?;
    Ok(vec![
        Made::new(kind, checked(vec![rows])?),
        Made::of(Kind::F32, scores, Some(Arc::clone(classes))),
    ])
}

/// Which score is the greatest, the first of equal ones.
pub(super) fn greatest(scores: &[f64]) -> usize {
    let mut found = 0;
    for (at, score) in scores.iter().enumerate() {
        if *score > scores[found] {
            found = at;
        }
    }
    found
}

pub(super) fn classifier(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    let classes = label::classes(call, "classlabels_ints", "classlabels_strings")?;
    let classes = Arc::new(classes.ok_or("has no class labels")?);
    let (_, features) = rows_of(x)?;
    let given = call.floats("coefficients")?.map_or(0, <[f32]>::len);
    // Of two classes there may be only the second.
    let is_second = classes.len() == 2 && given == features;
    let targets = if is_second { 1 } else { classes.len() };
    let scores = Scores::of(call, x, targets)?;
    let post = Post::of(call)?;
    let outputs = classified(&classes, scores.rows)?;
    let work = scores.rows * scores.coefficients.len().max(targets);
    let run: Run = Box::new(move |inputs, outputs| {
        let mut found = vec![0.0; targets];
        for row in 0..scores.rows {
            scores.row(inputs.data(0), row, &mut found);
            if is_second {
                put_label(&classes, usize::from(found[0] > 0.0), &mut outputs[0], row);
                put_scores(
                    f32_of(&mut outputs[1]),
                    row,
                    &post.of_second(found[0], true),
                );
                continue;
            }
            put_label(&classes, greatest(&found), &mut outputs[0], row);
            post.apply(&mut found);
            put_scores(f32_of(&mut outputs[1]), row, &found);
        }
        Ok(())
    });
    Ok(Built::Step { outputs, run, work })
}
