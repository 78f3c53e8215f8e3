//! The operators that are understood: which there are, which attributes each has, and what a node
//! of one becomes.
//!
//! An attribute that is not in the list of its operator is refused: it would change what is
//! computed. Invariant: every operator is a function of its inputs alone, in one order of
//! operations, with the mathematics of `libm`.

mod activation;
mod arithmetic;
mod cast;
mod choice;
mod comparison;
mod elementwise;
mod encoder;
mod gather;
mod label;
mod linear;
mod matrix;
mod normalization;
mod post;
mod reduction;
mod scaling;
mod shape;
mod tree;

use crate::call::{Built, Call, Refusal};

/// The set of ONNX itself; its name is the empty one, too.
pub(crate) const ONNX: &str = "ai.onnx";
/// The set of classical machine learning.
pub(crate) const ML: &str = "ai.onnx.ml";

/// Domain, oldest and newest version that is known.
pub(crate) const SETS: [(&str, i64, i64); 2] = [(ONNX, 7, 25), (ML, 1, 5)];

/// What a node becomes.
pub(crate) type Build = fn(&Call<'_>) -> Result<Built, Refusal>;

/// An operator.
pub(crate) struct Operator {
    pub(crate) domain: &'static str,
    pub(crate) name: &'static str,
    pub(crate) attributes: &'static [&'static str],
    pub(crate) build: Build,
}

const fn onnx(name: &'static str, attributes: &'static [&'static str], build: Build) -> Operator {
    Operator {
        domain: ONNX,
        name,
        attributes,
        build,
    }
}

const fn ml(name: &'static str, attributes: &'static [&'static str], build: Build) -> Operator {
    Operator {
        domain: ML,
        name,
        attributes,
        build,
    }
}

/// All of them, by domain and name.
pub(crate) const OPERATORS: &[Operator] = &[
    onnx("Abs", &[], arithmetic::abs),
    onnx("Add", &[], arithmetic::add),
    onnx("And", &[], comparison::and),
    onnx(
        "ArgMax",
        &["axis", "keepdims", "select_last_index"],
        reduction::arg_max,
    ),
    onnx(
        "ArgMin",
        &["axis", "keepdims", "select_last_index"],
        reduction::arg_min,
    ),
    onnx(
        "BatchNormalization",
        &["epsilon", "momentum", "spatial", "training_mode"],
        normalization::batch,
    ),
    onnx("Cast", &["to", "saturate"], cast::cast),
    onnx("Ceil", &[], arithmetic::ceil),
    onnx("Clip", &["min", "max"], choice::clip),
    onnx("Concat", &["axis"], shape::concat),
    onnx(
        "Constant",
        &[
            "value",
            "value_float",
            "value_floats",
            "value_int",
            "value_ints",
            "value_string",
            "value_strings",
        ],
        shape::constant,
    ),
    onnx("ConstantOfShape", &["value"], shape::constant_of_shape),
    onnx("Div", &[], arithmetic::div),
    onnx("Dropout", &["ratio", "seed"], shape::dropout),
    onnx("Elu", &["alpha"], activation::elu),
    onnx("Equal", &[], comparison::equal),
    onnx("Erf", &[], activation::erf),
    onnx("Exp", &[], activation::exp),
    onnx("Expand", &[], shape::expand),
    onnx("Flatten", &["axis"], shape::flatten),
    onnx("Floor", &[], arithmetic::floor),
    onnx("Gather", &["axis"], gather::gather),
    onnx("GatherElements", &["axis"], gather::gather_elements),
    onnx("Gelu", &["approximate"], activation::gelu),
    onnx("Gemm", &["alpha", "beta", "transA", "transB"], matrix::gemm),
    onnx("Greater", &[], comparison::greater),
    onnx("GreaterOrEqual", &[], comparison::greater_or_equal),
    onnx("HardSigmoid", &["alpha", "beta"], activation::hard_sigmoid),
    onnx("Identity", &[], shape::identity),
    onnx("IsNaN", &[], comparison::is_nan),
    onnx(
        "LayerNormalization",
        &["axis", "epsilon", "stash_type"],
        normalization::layer,
    ),
    onnx("LeakyRelu", &["alpha"], activation::leaky_relu),
    onnx("Less", &[], comparison::less),
    onnx("LessOrEqual", &[], comparison::less_or_equal),
    onnx("Log", &[], activation::log),
    onnx("LogSoftmax", &["axis"], normalization::log_softmax),
    onnx("MatMul", &[], matrix::mat_mul),
    onnx("Max", &[], choice::max),
    onnx("Mean", &[], choice::mean),
    onnx("Min", &[], choice::min),
    onnx("Mul", &[], arithmetic::mul),
    onnx("Neg", &[], arithmetic::neg),
    onnx("Not", &[], comparison::not),
    onnx("Or", &[], comparison::or),
    onnx("PRelu", &[], activation::p_relu),
    onnx("Pow", &[], arithmetic::pow),
    onnx("Reciprocal", &[], arithmetic::reciprocal),
    onnx(
        "ReduceL2",
        &["axes", "keepdims", "noop_with_empty_axes"],
        reduction::l2,
    ),
    onnx(
        "ReduceMax",
        &["axes", "keepdims", "noop_with_empty_axes"],
        reduction::max,
    ),
    onnx(
        "ReduceMean",
        &["axes", "keepdims", "noop_with_empty_axes"],
        reduction::mean,
    ),
    onnx(
        "ReduceMin",
        &["axes", "keepdims", "noop_with_empty_axes"],
        reduction::min,
    ),
    onnx(
        "ReduceProd",
        &["axes", "keepdims", "noop_with_empty_axes"],
        reduction::prod,
    ),
    onnx(
        "ReduceSum",
        &["axes", "keepdims", "noop_with_empty_axes"],
        reduction::sum,
    ),
    onnx(
        "ReduceSumSquare",
        &["axes", "keepdims", "noop_with_empty_axes"],
        reduction::sum_square,
    ),
    onnx("Relu", &[], activation::relu),
    onnx("Reshape", &["allowzero"], shape::reshape),
    onnx("Round", &[], arithmetic::round),
    onnx("Selu", &["alpha", "gamma"], activation::selu),
    onnx("Shape", &["start", "end"], shape::shape),
    onnx("Sigmoid", &[], activation::sigmoid),
    onnx("Sign", &[], arithmetic::sign),
    onnx("Slice", &["starts", "ends", "axes"], shape::slice),
    onnx("Softmax", &["axis"], normalization::softmax),
    onnx("Softplus", &[], activation::softplus),
    onnx("Split", &["axis", "split", "num_outputs"], shape::split),
    onnx("Sqrt", &[], activation::sqrt),
    onnx("Squeeze", &["axes"], shape::squeeze),
    onnx("Sub", &[], arithmetic::sub),
    onnx("Sum", &[], choice::sum),
    onnx("Tanh", &[], activation::tanh),
    onnx("Transpose", &["perm"], shape::transpose),
    onnx("Unsqueeze", &["axes"], shape::unsqueeze),
    onnx("Where", &[], choice::select),
    onnx("Xor", &[], comparison::xor),
    ml(
        "ArrayFeatureExtractor",
        &[],
        gather::array_feature_extractor,
    ),
    ml("Binarizer", &["threshold"], scaling::binarizer),
    ml(
        "CategoryMapper",
        &[
            "cats_int64s",
            "cats_strings",
            "default_int64",
            "default_string",
        ],
        label::category_mapper,
    ),
    ml(
        "FeatureVectorizer",
        &["inputdimensions"],
        scaling::feature_vectorizer,
    ),
    ml(
        "Imputer",
        &[
            "imputed_value_floats",
            "imputed_value_int64s",
            "replaced_value_float",
            "replaced_value_int64",
        ],
        scaling::imputer,
    ),
    ml(
        "LabelEncoder",
        &[
            "keys_floats",
            "keys_int64s",
            "keys_strings",
            "keys_tensor",
            "values_floats",
            "values_int64s",
            "values_strings",
            "values_tensor",
            "default_float",
            "default_int64",
            "default_string",
            "default_tensor",
            "classes_strings",
        ],
        label::label_encoder,
    ),
    ml(
        "LinearClassifier",
        &[
            "classlabels_ints",
            "classlabels_strings",
            "coefficients",
            "intercepts",
            "multi_class",
            "post_transform",
        ],
        linear::classifier,
    ),
    ml(
        "LinearRegressor",
        &["coefficients", "intercepts", "post_transform", "targets"],
        linear::regressor,
    ),
    ml("Normalizer", &["norm"], scaling::normalizer),
    ml(
        "OneHotEncoder",
        &["cats_int64s", "cats_strings", "zeros"],
        encoder::one_hot,
    ),
    ml("Scaler", &["offset", "scale"], scaling::scaler),
    ml("TreeEnsembleClassifier", tree::CLASSIFIER, tree::classifier),
    ml("TreeEnsembleRegressor", tree::REGRESSOR, tree::regressor),
    ml(
        "ZipMap",
        &["classlabels_int64s", "classlabels_strings"],
        label::zip_map,
    ),
];

/// The set that a domain names.
pub(crate) fn set(domain: &str) -> Option<&'static (&'static str, i64, i64)> {
    let domain = if domain.is_empty() { ONNX } else { domain };
    SETS.iter().find(|(name, ..)| *name == domain)
}

/// An operator by its set and name.
pub(crate) fn find(domain: &str, name: &str) -> Option<&'static Operator> {
    OPERATORS
        .iter()
        .find(|operator| operator.domain == domain && operator.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operator_is_there_once_in_order() {
        let key = |o: &Operator| (o.domain, o.name);
        assert!(OPERATORS.is_sorted_by(|a, b| key(a) < key(b)));
        assert!(OPERATORS.iter().all(|o| set(o.domain).is_some()));
    }
}
