//! What a statement names, and in which order statements can be bound.

use super::calls::{calls, model_of};
use crate::ast::{
    DatasetSpine, Ident, Label, ObjectKind, Query, Relation, RelationSource, SourceBody, Span,
    SpineItem, Statement, StatementKind,
};

/// Names of one space are told apart; entities, sources and views, services, datasets, segments,
/// models and functions are seven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Space {
    Entity,
    /// Sources and views.
    Relation,
    Service,
    Dataset,
    Segment,
    Model,
    Function,
}

/// A name that a statement uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference<'a> {
    pub(super) space: Space,
    pub(super) name: &'a Ident,
    /// `name@2`
    pub(super) version: Option<u64>,
}

/// What a statement defines.
pub(super) fn defined(statement: &Statement) -> Option<(Space, &Ident)> {
    match &statement.kind {
        StatementKind::CreateEntity(create) => Some((Space::Entity, &create.name)),
        StatementKind::CreateSource(create) => Some((Space::Relation, &create.name)),
        StatementKind::CreateFeatureView(view) => {
            view.name.as_ref().map(|name| (Space::Relation, name))
        }
        StatementKind::CreateOnDemandView(view) => Some((Space::Relation, &view.name)),
        StatementKind::CreateBatchView(view) => Some((Space::Relation, &view.name)),
        StatementKind::CreatePushedView(view) => Some((Space::Relation, &view.name)),
        StatementKind::CreateFeatureService(create) => Some((Space::Service, &create.name)),
        StatementKind::CreateTrainingDataset(create) => Some((Space::Dataset, &create.name)),
        StatementKind::CreateSegment(create) => Some((Space::Segment, &create.name)),
        StatementKind::CreateModel(create) => Some((Space::Model, &create.name)),
        StatementKind::Drop(drop) if drop.kind == ObjectKind::Stream => {
            Some((Space::Relation, &drop.name))
        }
        StatementKind::CreateFunction(create) => Some((Space::Function, &create.name)),
        StatementKind::Drop(_) | StatementKind::Alter(_) | StatementKind::Planned(_) => None,
    }
}

/// The names that a statement uses, in the order of the text; what it calls comes last.
pub(super) fn references(statement: &Statement) -> Vec<Reference<'_>> {
    let mut found = Vec::new();
    match &statement.kind {
        StatementKind::CreateFeatureView(view) => {
            found.push(entity(&view.entity.name));
            query(&view.query, &mut found);
        }
        StatementKind::CreateOnDemandView(view) => {
            found.extend(view.entity.iter().map(|e| entity(&e.name)));
            query(&view.query, &mut found);
        }
        StatementKind::CreateBatchView(view) => found.push(entity(&view.entity.name)),
        StatementKind::CreatePushedView(view) => found.push(entity(&view.entity.name)),
        StatementKind::CreateFeatureService(create) => {
            found.extend(create.items.iter().map(|item| Reference {
                space: Space::Relation,
                name: &item.view,
                version: item.version.map(|v| v.value),
            }));
        }
        StatementKind::CreateTrainingDataset(create) => {
            found.push(Reference {
                space: Space::Service,
                name: &create.service,
                version: create.service_version.map(|v| v.value),
            });
            found.extend(create.labels.iter().map(label_view));
            if let DatasetSpine::Query(spine) = &create.spine {
                relation(&spine.from, &mut found);
                found.extend(spine.items.iter().filter_map(|item| match item {
                    SpineItem::Label(label) => Some(label_view(label)),
                    SpineItem::Column(_) => None,
                }));
            }
        }
        StatementKind::CreateSegment(create) => query(&create.query, &mut found),
        StatementKind::CreateSource(create) => {
            if let SourceBody::Query { query: of, .. } = &create.body {
                query(of, &mut found);
            }
        }
        StatementKind::CreateEntity(_)
        | StatementKind::CreateModel(_)
        | StatementKind::CreateFunction(_)
        | StatementKind::Drop(_)
        | StatementKind::Alter(_)
        | StatementKind::Planned(_) => {}
    }
    for call in calls(statement) {
        // Of the functions of the language nothing is found.
        let function = Some((Space::Function, &call.name));
        let model = model_of(call).map(|name| (Space::Model, name));
        let named = function.into_iter().chain(model);
        found.extend(named.map(|(space, name)| Reference {
            space,
            name,
            version: None,
        }));
    }
    found
}

fn entity(name: &Ident) -> Reference<'_> {
    Reference {
        space: Space::Entity,
        name,
        version: None,
    }
}

fn label_view(label: &Label) -> Reference<'_> {
    Reference {
        space: Space::Relation,
        name: &label.view,
        version: label.version.map(|v| v.value),
    }
}

fn query<'a>(of: &'a Query, found: &mut Vec<Reference<'a>>) {
    if let Some(from) = &of.from {
        relation(from, found);
    }
    let without = of.after.iter().flat_map(|after| &after.without);
    for join in of.joins.iter().chain(without) {
        relation(&join.relation, found);
    }
}

fn relation<'a>(of: &'a Relation, found: &mut Vec<Reference<'a>>) {
    match &of.source {
        RelationSource::Named { name, version } => found.push(Reference {
            space: Space::Relation,
            name,
            version: version.map(|v| v.value),
        }),
        RelationSource::Subquery(inner) => query(inner, found),
    }
}

/// The names that a text with syntax errors seems to define: what follows `CREATE STREAM` and
/// the like, whether it was understood or not. Names in comments are among them, which only
/// means that nobody is told that they are missing.
pub(super) fn announced(text: &str) -> Vec<(Space, String)> {
    const STARTS: [(&[&str], Space); 12] = [
        (&["create", "entity"], Space::Entity),
        (&["create", "stream"], Space::Relation),
        (&["create", "table"], Space::Relation),
        (&["create", "feature", "view"], Space::Relation),
        (&["demand", "feature", "view"], Space::Relation),
        (&["batch", "feature", "view"], Space::Relation),
        (&["pushed", "feature", "view"], Space::Relation),
        (&["create", "feature", "service"], Space::Service),
        (&["create", "training", "dataset"], Space::Dataset),
        (&["create", "segment"], Space::Segment),
        (&["create", "model"], Space::Model),
        (&["create", "function"], Space::Function),
    ];
    let words: Vec<String> = text
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let mut found = Vec::new();
    for at in 0..words.len() {
        for (start, space) in STARTS {
            let behind = words[at..].iter().zip(start).all(|(a, b)| a == b);
            if let Some(name) = words.get(at + start.len()).filter(|_| behind) {
                found.push((space, name.clone()));
            }
        }
    }
    found
}

/// Nodes in an order in which each comes after those that it uses, otherwise in their own
/// order; and the cycles, each once.
#[derive(Debug, Default)]
pub(super) struct Order {
    pub(super) sorted: Vec<usize>,
    pub(super) cycles: Vec<Cycle>,
}

/// Nodes that use one another.
#[derive(Debug)]
pub(super) struct Cycle {
    /// Each uses the next, the last the first.
    pub(super) nodes: Vec<usize>,
    /// Where the last names the first.
    pub(super) place: Span,
}

/// Sorts nodes by what they use: `uses[i]` are the nodes that `i` names, with the places.
pub(super) fn sort(uses: &[Vec<(usize, Span)>]) -> Order {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut states = vec![State::New; uses.len()];
    let mut order = Order::default();
    for start in 0..uses.len() {
        if states[start] != State::New {
            continue;
        }
        // A path of nodes, each with the next of its uses to follow: no recursion, so that a
        // long chain of views cannot exhaust the stack.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        states[start] = State::Open;
        while let Some((node, next)) = path.last_mut() {
            let Some((used, place)) = uses[*node].get(*next).copied() else {
                states[*node] = State::Done;
                order.sorted.push(*node);
                path.pop();
                continue;
            };
            *next += 1;
            match states[used] {
                State::New => {
                    states[used] = State::Open;
                    path.push((used, 0));
                }
                State::Open => {
                    let from = path.iter().position(|(n, _)| *n == used).unwrap_or(0);
                    order.cycles.push(Cycle {
                        nodes: path[from..].iter().map(|(n, _)| *n).collect(),
                        place,
                    });
                }
                State::Done => {}
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(uses: &[&[usize]]) -> Order {
        let uses: Vec<Vec<(usize, Span)>> = uses
            .iter()
            .map(|u| u.iter().map(|n| (*n, Span::default())).collect())
            .collect();
        sort(&uses)
    }

    #[test]
    fn what_is_used_comes_first() {
        let order = sorted(&[&[2], &[], &[1]]);
        assert_eq!(order.sorted, [1, 2, 0]);
        assert!(order.cycles.is_empty());
    }

    #[test]
    fn cycles_are_found_once() {
        let order = sorted(&[&[1], &[2], &[0], &[3], &[0]]);
        let cycles: Vec<&[usize]> = order.cycles.iter().map(|c| c.nodes.as_slice()).collect();
        assert_eq!(cycles, [&[0, 1, 2][..], &[3]]);
        assert_eq!(order.sorted.len(), 5);
    }

    #[test]
    fn names_are_found_in_texts_that_are_wrong() {
        assert_eq!(
            announced("CREATE STREAM a (x; create  on demand\nfeature view b; CREATE ENTITY"),
            [
                (Space::Relation, "a".to_owned()),
                (Space::Relation, "b".to_owned())
            ]
        );
    }

    #[test]
    fn a_long_chain_does_not_exhaust_the_stack() {
        let uses: Vec<Vec<(usize, Span)>> = (0..200_000)
            .map(|i| vec![(i + 1, Span::default())])
            .chain([Vec::new()])
            .collect();
        assert_eq!(sort(&uses).sorted.first(), Some(&200_000));
    }
}
