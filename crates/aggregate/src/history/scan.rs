//! Visible entries one by one, from a place in the order backwards.

use std::sync::Arc;

use super::Visibility;
use super::block::{Block, EntryView};
use super::node::{Body, Node};

/// See [`super::History::descending`].
pub struct Descending<'a, 'v, V: ?Sized> {
    visibility: &'v V,
    /// Inner nodes on the way down, each with the number of children still to visit.
    path: Vec<Level<'a>>,
    current: Option<Current<'a>>,
}

struct Level<'a> {
    children: &'a [Arc<Node>],
    left: usize,
    all_visible: bool,
}

struct Current<'a> {
    block: &'a Block,
    left: usize,
    all_visible: bool,
}

impl<'a, 'v, V: Visibility + ?Sized> Descending<'a, 'v, V> {
    pub(super) fn new(root: Option<&'a Node>, end: usize, visibility: &'v V) -> Self {
        let mut descending = Descending {
            visibility,
            path: Vec::new(),
            current: None,
        };
        if let Some(root) = root {
            descending.enter(root, end, false);
        }
        descending
    }

    /// Goes down into a node, to its first `end` entries.
    fn enter(&mut self, mut node: &'a Node, mut end: usize, mut all_visible: bool) {
        loop {
            if end == 0 || (!all_visible && self.visibility.sees_none(&node.bounds)) {
                return;
            }
            all_visible = all_visible || self.visibility.sees_all(&node.bounds);
            match &node.body {
                Body::Block(leaf) => {
                    self.current = Some(Current {
                        block: leaf.block(),
                        left: end,
                        all_visible,
                    });
                    return;
                }
                Body::Cold(cold) => node = cold.node(),
                Body::Branch(branch) => node = branch.node(),
                Body::Nodes(children) => {
                    let child = children.holding(end - 1);
                    end -= children.start(child);
                    let children = children.nodes();
                    self.path.push(Level {
                        children,
                        left: child,
                        all_visible,
                    });
                    node = &children[child];
                }
            }
        }
    }
}

impl<'a, V: Visibility + ?Sized> Iterator for Descending<'a, '_, V> {
    type Item = EntryView<'a>;

    fn next(&mut self) -> Option<EntryView<'a>> {
        loop {
            while let Some(current) = &mut self.current {
                if current.left == 0 {
                    self.current = None;
                    break;
                }
                current.left -= 1;
                let entry = current.block.view(current.left);
                if current.all_visible || self.visibility.sees(&entry) {
                    return Some(entry);
                }
            }
            let level = self.path.last_mut()?;
            if level.left == 0 {
                self.path.pop();
                continue;
            }
            level.left -= 1;
            let (child, all_visible) = (&level.children[level.left], level.all_visible);
            self.enter(child, child.length, all_visible);
        }
    }
}
