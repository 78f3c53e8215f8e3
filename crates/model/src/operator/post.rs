//! What the models of classical learning do with their scores at the end.

use super::activation::logistic;
use super::normalization::soften;
use crate::call::{Call, Refusal};

/// `post_transform`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Post {
    None,
    Softmax,
    Logistic,
    SoftmaxZero,
    Probit,
}

impl Post {
    pub(super) fn of(call: &Call<'_>) -> Result<Self, Refusal> {
        Ok(match call.text("post_transform")?.unwrap_or("NONE") {
            "NONE" => Post::None,
            "SOFTMAX" => Post::Softmax,
            "LOGISTIC" => Post::Logistic,
            "SOFTMAX_ZERO" => Post::SoftmaxZero,
            "PROBIT" => Post::Probit,
            other => return Err(format!("transforms by `{other}`, which is not known")),
        })
    }

    pub(super) fn apply(self, scores: &mut [f64]) {
        match self {
            Post::None => {}
            Post::Softmax => soften(scores),
            Post::SoftmaxZero => soften_zero(scores),
            Post::Logistic => scores.iter_mut().for_each(|x| *x = logistic(*x)),
            Post::Probit => scores.iter_mut().for_each(|x| *x = probit(*x)),
        }
    }

    /// The two scores of a model that gives only that of the second class. `is_share` says that it
    /// is one of probabilities. ONNX does not say what a softmax of one score is: runtimes leave it
    /// as it is.
    pub(super) fn of_second(self, score: f64, is_share: bool) -> [f64; 2] {
        match self {
            Post::Logistic => [logistic(-score), logistic(score)],
            Post::Probit => [1.0 - probit(score), probit(score)],
            Post::None | Post::Softmax | Post::SoftmaxZero if is_share => [1.0 - score, score],
            Post::None | Post::Softmax | Post::SoftmaxZero => [-score, score],
        }
    }
}

/// A softmax that leaves zeros nearly alone.
fn soften_zero(scores: &mut [f64]) {
    /// Nearer to zero is zero.
    const ZERO: f64 = 1e-7;
    let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let smallest = libm::exp(-greatest);
    let mut total = 0.0;
    for x in scores.iter_mut() {
        if *x > ZERO || *x < -ZERO {
            *x = libm::exp(*x - greatest);
            total += *x;
        } else {
            *x *= smallest;
        }
    }
    scores.iter_mut().for_each(|x| *x /= total);
}

/// The normal quantile by the approximation that ONNX runtimes use (Winitzki's of the inverse
/// error function).
fn probit(x: f64) -> f64 {
    const A: f64 = 0.147;
    let y = 2.0 * x - 1.0;
    let log = libm::log((1.0 - y) * (1.0 + y));
    let half = 2.0 / (std::f64::consts::PI * A) + 0.5 * log;
    let root = libm::sqrt(libm::sqrt(half * half - log / A) - half);
    std::f64::consts::SQRT_2 * if y < 0.0 { -root } else { root }
}
