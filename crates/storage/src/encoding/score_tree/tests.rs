//! The tree against a sorted vector.

use super::*;
use proptest::prelude::*;

fn before(sought: Entry) -> impl Search {
    ByScore {
        score: sought.score,
        tie: move |id| id < sought.id,
    }
}

fn add(tree: &mut ScoreTree, model: &mut Vec<Entry>, entry: Entry) {
    let at = model.partition_point(|other| (other.score, other.id) < (entry.score, entry.id));
    assert_eq!(tree.rank(before(entry)), at);
    tree.insert(entry, before(entry));
    model.insert(at, entry);
}

fn same(tree: &ScoreTree, model: &[Entry]) {
    assert_eq!(tree.len(), model.len());
    assert!(tree.iter(0..usize::MAX).eq(model.iter().copied()));
    assert!(tree.iter(0..usize::MAX).rev().eq(model.iter().rev().copied()));
}

/// Counts the nodes and checks each inner node's knowledge of its children.
fn audit(tree: &ScoreTree) {
    let mut totals = Totals { leaves: 0, inners: 0 };
    tree.root.audit(&mut totals);
    assert_eq!(
        (totals.leaves, totals.inners),
        (tree.totals.leaves, tree.totals.inners)
    );
}

proptest! {
    #[test]
    fn behaves_as_a_sorted_vector(
        steps in prop::collection::vec((0u8..10, 0u32..2000, 0usize..150), 1..40),
        spread in 1u32..3000,
    ) {
        let mut tree = ScoreTree::new();
        let mut model = Vec::new();
        let mut id = 0;
        for (kind, pick, many) in steps {
            match kind {
                0..=4 => for turn in 0..many as u32 * 3 {
                    id += 1;
                    let score = match kind {
                        0 => f64::from(id),
                        1 => -f64::from(id),
                        _ => f64::from((pick * 7919 + turn * 104_729) % spread),
                    };
                    add(&mut tree, &mut model, Entry { score, id });
                },
                5..=7 if !model.is_empty() => {
                    let rank = pick as usize % model.len();
                    let mut removed = Vec::new();
                    while removed.len() < many {
                        let more = tree.remove_run(rank, many - removed.len(), |entry| removed.push(entry));
                        if more == 0 { break; }
                    }
                    let expected: Vec<_> = model.drain(rank..(rank + many).min(model.len())).collect();
                    prop_assert_eq!(removed, expected);
                }
                8 if !model.is_empty() => {
                    let rank = pick as usize % model.len();
                    // A little more than before keeps the place, as ids decide among equals.
                    let next = model.get(rank + 1).map_or(f64::INFINITY, |entry| entry.score);
                    let score = (model[rank].score + 0.25).min(next);
                    if score < next {
                        tree.set_score(rank, score);
                        model[rank].score = score;
                    }
                }
                _ => {
                    let (from, to) = (pick as usize, pick as usize + many);
                    let range = from.min(model.len())..to.min(model.len());
                    prop_assert!(tree.iter(from..to).eq(model[range].iter().copied()));
                    prop_assert_eq!(tree.get(from), model.get(from).copied());
                }
            }
            audit(&tree);
        }
        same(&tree, &model);
    }
}

#[test]
fn filling_in_order_fills_the_leaves() {
    for sign in [1.0, -1.0] {
        let mut tree = ScoreTree::new();
        for id in 0..10_000 {
            let entry = Entry {
                score: sign * f64::from(id),
                id,
            };
            tree.insert(entry, before(entry));
        }
        audit(&tree);
        assert!(
            tree.totals.leaves <= 10_000 / 63 + 1,
            "{} leaves",
            tree.totals.leaves
        );
    }
}

#[test]
fn both_ends_of_one_iterator_meet() {
    let mut tree = ScoreTree::new();
    for id in 0..500 {
        let entry = Entry { score: 1.0, id };
        tree.insert(entry, before(entry));
    }
    let mut iter = tree.iter(100..400);
    let mut ids = Vec::new();
    while let Some(entry) = iter.next() {
        ids.push(entry.id);
        ids.extend(iter.next_back().map(|entry| entry.id));
    }
    ids.sort_unstable();
    assert!(ids.into_iter().eq(100..400));
}
