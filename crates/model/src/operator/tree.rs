//! Ensembles of trees: forests and boosted trees.
//!
//! A row goes down each tree by comparisons of its features, and the weights of the leaves that
//! it comes to are put together in the order of the trees, in double. Invariant: every tree is
//! one: each node but the root has one parent, so a row comes to a leaf.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::label::{self, put_label};
use super::linear::{classified, f32_of, greatest, put_scores, rows_of};
use super::post::Post;
use crate::call::{Built, Call, Known, Made, Refusal, Run, checked, not_of};
use crate::tensor::{Data, Kind};

const NODES: [&str; 13] = [
    "nodes_falsenodeids",
    "nodes_featureids",
    "nodes_hitrates",
    "nodes_hitrates_as_tensor",
    "nodes_missing_value_tracks_true",
    "nodes_modes",
    "nodes_nodeids",
    "nodes_treeids",
    "nodes_truenodeids",
    "nodes_values",
    "nodes_values_as_tensor",
    "base_values",
    "base_values_as_tensor",
];

macro_rules! attributes {
    ($($more:literal),*) => {{
        const MORE: &[&str] = &[$($more),*];
        const ALL: [&str; NODES.len() + MORE.len()] = {
            let mut all = [""; NODES.len() + MORE.len()];
            let mut at = 0;
            while at < all.len() {
                all[at] = if at < NODES.len() { NODES[at] } else { MORE[at - NODES.len()] };
                at += 1;
            }
            all
        };
        &ALL
    }};
}

/// Attributes of `TreeEnsembleClassifier`.
pub(super) const CLASSIFIER: &[&str] = attributes!(
    "class_ids",
    "class_nodeids",
    "class_treeids",
    "class_weights",
    "class_weights_as_tensor",
    "classlabels_int64s",
    "classlabels_strings",
    "post_transform"
);

/// Attributes of `TreeEnsembleRegressor`.
pub(super) const REGRESSOR: &[&str] = attributes!(
    "aggregate_function",
    "n_targets",
    "post_transform",
    "target_ids",
    "target_nodeids",
    "target_treeids",
    "target_weights",
    "target_weights_as_tensor"
);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
    Equal,
    NotEqual,
    Leaf,
}

impl Mode {
    fn of(word: &str) -> Result<Self, Refusal> {
        Ok(match word {
            "BRANCH_LEQ" => Mode::LessOrEqual,
            "BRANCH_LT" => Mode::Less,
            "BRANCH_GTE" => Mode::GreaterOrEqual,
            "BRANCH_GT" => Mode::Greater,
            "BRANCH_EQ" => Mode::Equal,
            "BRANCH_NEQ" => Mode::NotEqual,
            "LEAF" => Mode::Leaf,
            other => {
                return Err(format!(
                    "has a node of the mode `{other}`, which is not known"
                ));
            }
        })
    }
}

/// A node. Of a leaf `then` and `otherwise` are where its weights begin and end.
#[derive(Clone, Copy, Debug)]
struct TreeNode {
    threshold: f64,
    feature: u32,
    then: u32,
    otherwise: u32,
    mode: Mode,
    missing_is_true: bool,
}

impl TreeNode {
    #[inline(always)]
    fn is_true(&self, x: f64) -> bool {
        let holds = match self.mode {
            Mode::LessOrEqual => x <= self.threshold,
            Mode::Less => x < self.threshold,
            Mode::GreaterOrEqual => x >= self.threshold,
            Mode::Greater => x > self.threshold,
            Mode::Equal => x == self.threshold,
            Mode::NotEqual => x != self.threshold,
            Mode::Leaf => false,
        };
        holds || (self.missing_is_true && x.is_nan())
    }
}

/// Trees with the weights of their leaves.
struct Forest {
    nodes: Vec<TreeNode>,
    roots: Vec<u32>,
    /// Target and weight, those of one leaf together.
    weights: Vec<(u32, f64)>,
    rows: usize,
    features: usize,
    read: fn(&Data, usize) -> f64,
}

/// The numbers of a node attribute, one per node.
fn node_numbers<'a>(call: &'a Call<'_>, name: &str, nodes: usize) -> Result<&'a [i64], Refusal> {
    let numbers = call.ints(name)?.unwrap_or_default();
    if numbers.len() != nodes {
        return Err(format!("has {} `{name}` for {nodes} nodes", numbers.len()));
    }
    Ok(numbers)
}

impl Forest {
    /// The trees, with the weights under the attributes of a prefix, each for one of so many
    /// targets.
    fn of(call: &Call<'_>, x: &Known, prefix: &str, targets: usize) -> Result<Self, Refusal> {
        let (rows, features) = rows_of(x)?;
        let ids = call.ints("nodes_nodeids")?.unwrap_or_default();
        let count = ids.len();
        if u32::try_from(count).is_err() {
            return Err(format!("has {count} nodes"));
        }
        let trees = node_numbers(call, "nodes_treeids", count)?;
        let mut places: BTreeMap<(i64, i64), u32> = BTreeMap::new();
        for (place, key) in (0..).zip(trees.iter().copied().zip(ids.iter().copied())) {
            if places.insert(key, place).is_some() {
                return Err(format!(
                    "has the node {} of the tree {} twice",
                    key.1, key.0
                ));
            }
        }
        let (mut nodes, is_child) = branches(call, features, trees, &places)?;
        let weights = leaves(call, prefix, targets, &places, &mut nodes)?;
        let parents = (0..).zip(&is_child);
        let roots: Vec<u32> = parents
            .filter(|(_, is_child)| !**is_child)
            .map(|(place, _)| place)
            .collect();
        let of_trees: std::collections::BTreeSet<i64> = trees.iter().copied().collect();
        if roots.len() != of_trees.len() || !all_reached(&nodes, &roots) {
            return Err("has trees that are none: nodes go round, or have no parent".to_owned());
        }
        Ok(Forest {
            nodes,
            roots,
            weights,
            rows,
            features,
            read: reader(x)?,
        })
    }

    /// The features of a row, as they are compared.
    fn features(&self, x: &Data, row: usize) -> Vec<f64> {
        let first = row * self.features;
        (first..first + self.features)
            .map(|at| (self.read)(x, at))
            .collect()
    }

    /// The weights of the leaves that a row comes to, tree after tree.
    fn leaves<'a>(&'a self, features: &'a [f64]) -> impl Iterator<Item = &'a [(u32, f64)]> {
        self.roots.iter().map(move |root| {
            let mut node = &self.nodes[*root as usize];
            while node.mode != Mode::Leaf {
                let next = if node.is_true(features[node.feature as usize]) {
                    node.then
                } else {
                    node.otherwise
                };
                node = &self.nodes[next as usize];
            }
            &self.weights[node.then as usize..node.otherwise as usize]
        })
    }

    /// What a row takes at most.
    fn work(&self) -> usize {
        self.rows
            .saturating_mul(self.nodes.len() + self.weights.len())
    }
}

/// The nodes, and which are the child of another; each of one at most.
fn branches(
    call: &Call<'_>,
    features: usize,
    trees: &[i64],
    places: &BTreeMap<(i64, i64), u32>,
) -> Result<(Vec<TreeNode>, Vec<bool>), Refusal> {
    let count = trees.len();
    let of_features = node_numbers(call, "nodes_featureids", count)?;
    let then = node_numbers(call, "nodes_truenodeids", count)?;
    let otherwise = node_numbers(call, "nodes_falsenodeids", count)?;
    let thresholds = call
        .numbers("nodes_values", "nodes_values_as_tensor")?
        .unwrap_or_default();
    let modes = call.texts("nodes_modes")?.unwrap_or_default();
    let tracks = call
        .ints("nodes_missing_value_tracks_true")?
        .unwrap_or_default();
    if thresholds.len() != count || modes.len() != count {
        return Err(format!(
            "has {} thresholds and {} modes for {count} nodes",
            thresholds.len(),
            modes.len()
        ));
    }
    if !tracks.is_empty() && tracks.len() != count {
        return Err(format!(
            "says of {} of {count} nodes where missing values go",
            tracks.len()
        ));
    }
    let mut is_child = vec![false; count];
    let mut nodes = Vec::with_capacity(count);
    for (at, mode) in modes.iter().enumerate() {
        let mode = Mode::of(mode)?;
        let mut node = TreeNode {
            threshold: thresholds[at],
            feature: 0,
            then: 0,
            otherwise: 0,
            mode,
            missing_is_true: tracks.get(at).is_some_and(|tracks| *tracks != 0),
        };
        if mode != Mode::Leaf {
            let feature = usize::try_from(of_features[at])
                .ok()
                .filter(|f| *f < features);
            let feature = feature
                .ok_or_else(|| format!("compares the feature {} of {features}", of_features[at]))?;
            // Features are elements of a tensor, of which there are far fewer than 2^32.
            node.feature = feature as u32;
            for (to, id) in [
                (&mut node.then, then[at]),
                (&mut node.otherwise, otherwise[at]),
            ] {
                *to = *places.get(&(trees[at], id)).ok_or_else(|| {
                    format!("goes to the node {id}, which tree {} lacks", trees[at])
                })?;
                if std::mem::replace(&mut is_child[*to as usize], true) {
                    return Err(format!(
                        "goes to the node {id} of the tree {} twice",
                        trees[at]
                    ));
                }
            }
        }
        nodes.push(node);
    }
    Ok((nodes, is_child))
}

/// The weights of all leaves, those of one together; the leaves know where theirs are.
fn leaves(
    call: &Call<'_>,
    prefix: &str,
    targets: usize,
    places: &BTreeMap<(i64, i64), u32>,
    nodes: &mut [TreeNode],
) -> Result<Vec<(u32, f64)>, Refusal> {
    let named = |what: &str| format!("{prefix}_{what}");
    let weights = call.numbers(&named("weights"), &named("weights_as_tensor"))?;
    let weights = weights.unwrap_or_default();
    let trees = node_numbers(call, &named("treeids"), weights.len())?;
    let ids = node_numbers(call, &named("nodeids"), weights.len())?;
    let of_targets = node_numbers(call, &named("ids"), weights.len())?;
    let mut found: Vec<(u32, u32, f64)> = Vec::with_capacity(weights.len());
    for (at, weight) in weights.into_iter().enumerate() {
        let place = places.get(&(trees[at], ids[at])).copied();
        let place = place.filter(|place| nodes[*place as usize].mode == Mode::Leaf);
        let place = place.ok_or_else(|| {
            format!(
                "has a weight of the node {} of the tree {}, which is no leaf",
                ids[at], trees[at]
            )
        })?;
        let target = usize::try_from(of_targets[at])
            .ok()
            .filter(|t| *t < targets);
        let target =
            target.ok_or_else(|| format!("has a weight for {} of {targets}", of_targets[at]))?;
        found.push((place, target as u32, weight));
    }
    // Those of one leaf stay in their order.
    found.sort_by_key(|(place, ..)| *place);
    let mut end = 0;
    for part in found.chunk_by(|a, b| a.0 == b.0) {
        let leaf = &mut nodes[part[0].0 as usize];
        // Weights are entries of a file, of which there are far fewer than 2^32.
        leaf.then = end as u32;
        end += part.len();
        leaf.otherwise = end as u32;
    }
    Ok(found
        .into_iter()
        .map(|(_, target, weight)| (target, weight))
        .collect())
}

/// Whether the roots lead to every node. As none has two parents, nothing is met twice.
fn all_reached(nodes: &[TreeNode], roots: &[u32]) -> bool {
    let mut open = roots.to_vec();
    let mut reached = 0;
    while let Some(place) = open.pop() {
        reached += 1;
        let node = &nodes[place as usize];
        if node.mode != Mode::Leaf {
            open.extend([node.then, node.otherwise]);
        }
    }
    reached == nodes.len()
}

/// Features are compared as doubles, whatever they are.
fn reader(x: &Known) -> Result<fn(&Data, usize) -> f64, Refusal> {
    use crate::tensor::Element;
    match x.kind {
        Kind::F32 => Ok(|data, at| f64::from(f32::of(data)[at])),
        Kind::F64 => Ok(|data, at| f64::of(data)[at]),
        Kind::I32 => Ok(|data, at| f64::from(i32::of(data)[at])),
        Kind::I64 => Ok(|data, at| i64::of(data)[at] as f64),
        _ => Err(not_of(x)),
    }
}

fn base_values(call: &Call<'_>) -> Result<Vec<f64>, Refusal> {
    let values = call.numbers("base_values", "base_values_as_tensor")?;
    Ok(values.unwrap_or_default())
}

/// How the weights of one target become its score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Average,
    Min,
    Max,
}

impl Aggregate {
    fn of(call: &Call<'_>) -> Result<Self, Refusal> {
        Ok(match call.text("aggregate_function")?.unwrap_or("SUM") {
            "SUM" => Aggregate::Sum,
            "AVERAGE" => Aggregate::Average,
            "MIN" => Aggregate::Min,
            "MAX" => Aggregate::Max,
            other => {
                return Err(format!(
                    "puts trees together by `{other}`, which is not known"
                ));
            }
        })
    }

    fn add(self, score: &mut Option<f64>, weight: f64) {
        *score = Some(match (*score, self) {
            (None, _) => weight,
            (Some(score), Aggregate::Sum | Aggregate::Average) => score + weight,
            (Some(score), Aggregate::Min) => {
                if weight < score {
                    weight
                } else {
                    score
                }
            }
            (Some(score), Aggregate::Max) => {
                if weight > score {
                    weight
                } else {
                    score
                }
            }
        });
    }
}

pub(super) fn regressor(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    let targets = usize::try_from(call.int("n_targets")?.unwrap_or(1));
    let targets = targets.map_err(|_| "has a negative number of targets")?;
    let (rows, _) = rows_of(x)?;
    let shape = checked(vec![rows, targets])?;
    let forest = Forest::of(call, x, "target", targets)?;
    let base = base_values(call)?;
    if !base.is_empty() && base.len() != targets {
        return Err(format!(
            "has {} base values for {targets} targets",
            base.len()
        ));
    }
    let (aggregate, post) = (Aggregate::of(call)?, Post::of(call)?);
    let trees = forest.roots.len() as f64;
    let work = forest.work();
    let run: Run = Box::new(move |inputs, outputs| {
        let x = inputs.data(0);
        for row in 0..forest.rows {
            let features = forest.features(x, row);
            let mut scores = vec![None; targets];
            for leaf in forest.leaves(&features) {
                for (target, weight) in leaf {
                    aggregate.add(&mut scores[*target as usize], *weight);
                }
            }
            let mut scores: Vec<f64> = scores.into_iter().map(|s| s.unwrap_or(0.0)).collect();
            for (at, score) in scores.iter_mut().enumerate() {
                if aggregate == Aggregate::Average {
                    *score /= trees;
                }
                *score += base.get(at).copied().unwrap_or(0.0);
            }
            post.apply(&mut scores);
            put_scores(f32_of(&mut outputs[0]), row, &scores);
        }
        Ok(())
    });
    Ok(Built::Step {
        outputs: vec![Made::new(Kind::F32, shape)],
        run,
        work,
    })
}

pub(super) fn classifier(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(1)?;
    let x = call.input(0)?;
    let classes = label::classes(call, "classlabels_int64s", "classlabels_strings")?;
    let classes = Arc::new(classes.ok_or("has no class labels")?);
    let count = classes.len();
    let forest = Forest::of(call, x, "class", count)?;
    let post = Post::of(call)?;
    // Of two classes there may be weights of one only: those of the second, whatever its number.
    let only = forest.weights.first().map(|(class, _)| *class);
    let is_second =
        count == 2 && only.is_some_and(|only| forest.weights.iter().all(|(c, _)| *c == only));
    let base = base_values(call)?;
    let fits = match base.len() {
        0 => true,
        1 => is_second,
        length => length == count,
    };
    if !fits {
        return Err(format!(
            "has {} base values for {count} classes",
            base.len()
        ));
    }
    let is_share = forest.weights.iter().all(|(_, weight)| *weight >= 0.0);
    let outputs = classified(&classes, forest.rows)?;
    let work = forest.work();
    let run: Run = Box::new(move |inputs, outputs| {
        let x = inputs.data(0);
        for row in 0..forest.rows {
            let features = forest.features(x, row);
            let mut scores = vec![0.0; count];
            for leaf in forest.leaves(&features) {
                for (class, weight) in leaf {
                    scores[*class as usize] += weight;
                }
            }
            if let (true, Some(only)) = (is_second, only) {
                let score = scores[only as usize] + base.last().copied().unwrap_or(0.0);
                // A share of the votes is of the second class from a half on.
                let least = if is_share && post == Post::None {
                    0.5
                } else {
                    0.0
                };
                put_label(&classes, usize::from(score > least), &mut outputs[0], row);
                put_scores(
                    f32_of(&mut outputs[1]),
                    row,
                    &post.of_second(score, is_share),
                );
                continue;
            }
            for (score, base) in scores.iter_mut().zip(&base) {
                *score += base;
            }
            put_label(&classes, greatest(&scores), &mut outputs[0], row);
            post.apply(&mut scores);
            put_scores(f32_of(&mut outputs[1]), row, &scores);
        }
        Ok(())
    });
    Ok(Built::Step { outputs, run, work })
}
