//! What stands between the layers of a network. Computed in double, rounded once.

use super::arithmetic::{float, float_with};
use super::elementwise::binary;
use crate::call::{Built, Call, Refusal, not_of};
use crate::tensor::Kind;

pub(super) fn exp(call: &Call<'_>) -> Result<Built, Refusal> {
    float(call, libm::exp)
}

pub(super) fn log(call: &Call<'_>) -> Result<Built, Refusal> {
    float(call, libm::log)
}

pub(super) fn sqrt(call: &Call<'_>) -> Result<Built, Refusal> {
    float(call, libm::sqrt)
}

pub(super) fn tanh(call: &Call<'_>) -> Result<Built, Refusal> {
    float(call, libm::tanh)
}

pub(super) fn erf(call: &Call<'_>) -> Result<Built, Refusal> {
    float(call, libm::erf)
}

pub(super) fn sigmoid(call: &Call<'_>) -> Result<Built, Refusal> {
    float(call, logistic)
}

/// `1 / (1 + e^-x)`
pub(super) fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

/// `ln(1 + e^x)`, without overflow.
pub(super) fn softplus(call: &Call<'_>) -> Result<Built, Refusal> {
    float(call, |x| {
        if x > 0.0 {
            x + libm::log1p(libm::exp(-x))
        } else {
            libm::log1p(libm::exp(x))
        }
    })
}

/// NaN stays NaN.
pub(super) fn relu(call: &Call<'_>) -> Result<Built, Refusal> {
    float(call, |x| if x < 0.0 { 0.0 } else { x })
}

/// An attribute of one float.
fn parameter(call: &Call<'_>, name: &str, default: f32) -> Result<f64, Refusal> {
    Ok(f64::from(call.float(name)?.unwrap_or(default)))
}

pub(super) fn leaky_relu(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let alpha = parameter(call, "alpha", 0.01)?;
    float_with(call.input(0)?, move |x| if x < 0.0 { alpha * x } else { x })
}

pub(super) fn p_relu(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(2)?;
    let (x, slope) = (call.input(0)?, call.input(1)?);
    match (x.kind, slope.kind) {
        (Kind::F32, Kind::F32) => binary(x, slope, |x: &f32, slope: &f32| {
            Ok(if *x < 0.0 { x * slope } else { *x })
        }),
        (Kind::F64, Kind::F64) => binary(x, slope, |x: &f64, slope: &f64| {
            Ok(if *x < 0.0 { x * slope } else { *x })
        }),
        _ => Err(not_of(x)),
    }
}

pub(super) fn elu(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let alpha = parameter(call, "alpha", 1.0)?;
    float_with(call.input(0)?, move |x| {
        if x < 0.0 { alpha * libm::expm1(x) } else { x }
    })
}

pub(super) fn selu(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let alpha = parameter(call, "alpha", 1.673_263_2)?;
    let gamma = parameter(call, "gamma", 1.050_701)?;
    float_with(call.input(0)?, move |x| {
        gamma * if x > 0.0 { x } else { alpha * libm::expm1(x) }
    })
}

pub(super) fn hard_sigmoid(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let alpha = parameter(call, "alpha", 0.2)?;
    let beta = parameter(call, "beta", 0.5)?;
    float_with(call.input(0)?, move |x| (alpha * x + beta).clamp(0.0, 1.0))
}

pub(super) fn gelu(call: &Call<'_>) -> Result<Built, Refusal> {
    match call.text("approximate")?.unwrap_or("none") {
        "none" => float(call, |x| {
            0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))
        }),
        "tanh" => float(call, |x| {
            /// `sqrt(2 / pi)`
            const SCALE: f64 = 0.797_884_560_802_865_4;
            0.5 * x * (1.0 + libm::tanh(SCALE * (x + 0.044715 * x * x * x)))
        }),
        other => Err(format!("approximates by `{other}`, which is not known")),
    }
}
