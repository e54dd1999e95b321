//! What must hold after every step, on every node, whatever happened.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_cluster::ClusterId;
use holdfast_cluster::state::ClusterState;

use super::world::World;

/// Slots that stand for all: the ends of the ranges that stories use.
pub const PROBES: [u16; 8] = [0, 1, 5460, 5461, 8000, 10922, 10923, 16383];

#[derive(Default)]
pub struct Checks {
    /// The state after each index of each cluster's log, as the first node had it.
    seen: BTreeMap<(ClusterId, u64), Arc<ClusterState>>,
    /// What was last looked at on each node.
    last: BTreeMap<usize, (ClusterId, u64)>,
    pub steps: u64,
    pub violation: Option<String>,
    pub off: bool,
}

impl Checks {
    pub fn after_step(&mut self, world: &World, node: usize) {
        self.steps += 1;
        if self.off || self.violation.is_some() {
            return;
        }
        self.one_log(world, node);
        self.one_server(world);
    }

    /// Every node's state is that of a prefix of one log: the same index gives the same state everywhere, also after
    /// crashes, so nothing that was committed is lost. And its own invariants hold.
    fn one_log(&mut self, world: &World, node: usize) {
        let Some(engine) = world.engine(node) else { return };
        let state = engine.state();
        let at = (state.cluster, state.index);
        if self.last.insert(node, at) == Some(at) || state.nodes.is_empty() {
            return;
        }
        match self.seen.get(&at) {
            Some(first) => {
                if **first != **state {
                    self.violated(
                        world,
                        format!("n{node} has another state at {at:?} than the first had"),
                    );
                }
            }
            None => {
                if let Err(what) = state.check() {
                    self.violated(world, format!("n{node}: {what}"));
                }
                self.seen.insert(at, Arc::clone(state));
                if self.seen.len() > 5000 {
                    self.seen.pop_first();
                }
            }
        }
    }

    /// No two nodes serve a slot at one time.
    fn one_server(&mut self, world: &World) {
        for slot in PROBES {
            let mut serving = (0..world.machines.len()).filter(|node| world.serves(*node, slot));
            if let (Some(one), Some(other)) = (serving.next(), serving.next()) {
                self.violated(world, format!("n{one} and n{other} both serve slot {slot}"));
                return;
            }
        }
    }

    fn violated(&mut self, world: &World, what: String) {
        self.violation = Some(format!("at {:.3} s: {what}", world.now as f64 / 1e6));
    }
}
