//! The state's rules by example, and its invariants under any entries.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::testing::{any_entry, founded, newcomer, node, shard};
use super::*;

/// Three primaries, 1 to 3, with slots, and a replica of the first, 4.
fn cluster() -> ClusterState {
    let mut state = ClusterState::founded(ClusterId::from_bytes([9; 20]), newcomer(1, &[(0, 5000)])).unwrap();
    for entry in [
        Entry::NodeJoin(newcomer(2, &[(5001, 10000)])),
        Entry::NodeJoin(newcomer(3, &[(10001, 16383)])),
        Entry::NodeJoin(newcomer(4, &[])),
        Entry::SetReplica {
            node: node(4),
            primary: node(1),
        },
        Entry::InSync {
            fence: fence(&state, 1),
            add: vec![],
            remove: vec![],
        },
    ] {
        apply(&mut state, &entry).unwrap();
    }
    state
}

fn fence(state: &ClusterState, n: u8) -> Fence {
    Fence {
        shard: shard(n),
        epoch: state.shards.get(&shard(n)).map_or(0, |shard| shard.epoch),
    }
}

fn apply(state: &mut ClusterState, entry: &Entry) -> Result<Vec<Change>, Rejected> {
    let before = state.clone();
    let index = state.index + 1;
    let result = state.apply(index, entry);
    state.check().unwrap();
    assert_eq!(state.index, index);
    match result {
        Ok(applied) => Ok(applied.changes),
        Err(rejected) => {
            state.index = before.index;
            assert_eq!(*state, before, "a rejected entry changes nothing");
            state.index = index;
            Err(rejected)
        }
    }
}

#[test]
fn a_slot_has_one_owner() {
    let mut state = cluster();
    let slots = SlotSet::from_iter([6000]);
    let claim = Entry::AssignSlots {
        node: node(1),
        slots: slots.clone(),
    };
    assert_eq!(apply(&mut state, &claim), Err(Rejected::SlotBusy(6000)));
    let late = Entry::NodeJoin(newcomer(7, &[(0, 0)]));
    assert_eq!(apply(&mut state, &late), Err(Rejected::SlotBusy(0)));
    apply(
        &mut state,
        &Entry::RemoveSlots {
            slots: slots.clone(),
            node: None,
        },
    )
    .unwrap();
    let again = Entry::RemoveSlots {
        slots: slots.clone(),
        node: None,
    };
    assert_eq!(apply(&mut state, &again), Err(Rejected::SlotUnassigned(6000)));
    let changes = apply(&mut state, &claim).unwrap();
    assert_eq!(
        changes,
        [Change::Slots {
            slots,
            from: None,
            to: Some(shard(1))
        }]
    );
    assert_eq!(state.owner(6000).unwrap().id, shard(1));
}

#[test]
fn only_an_in_sync_replica_is_promoted() {
    let mut state = cluster();
    let kinds = [FailoverKind::Automatic, FailoverKind::Manual];
    for kind in kinds {
        let entry = Entry::Failover {
            fence: fence(&state, 1),
            to: node(4),
            kind,
            life: 1,
        };
        assert_eq!(apply(&mut state, &entry), Err(Rejected::NotInSync(node(4))));
        let foreign = Entry::Failover {
            fence: fence(&state, 2),
            to: node(4),
            kind,
            life: 1,
        };
        assert_eq!(apply(&mut state, &foreign), Err(Rejected::NotReplica(node(4))));
    }
    let caught_up = Entry::InSync {
        fence: fence(&state, 1),
        add: vec![node(4)],
        remove: vec![],
    };
    apply(&mut state, &caught_up).unwrap();
    let stale = fence(&state, 1);
    let entry = Entry::Failover {
        fence: stale,
        to: node(4),
        kind: FailoverKind::Automatic,
        life: 1,
    };
    apply(&mut state, &entry).unwrap();
    assert_eq!(state.shards[&shard(1)].primary, node(4));
    assert!(
        state.shards[&shard(1)].in_sync.is_empty(),
        "the deposed primary must catch up first"
    );
    // What the deposed primary or the other side still decides, comes too late.
    let slots = SlotSet::from_iter([1]);
    let late = [
        Entry::Failover {
            fence: stale,
            to: node(1),
            kind: FailoverKind::Forced,
            life: 1,
        },
        Entry::InSync {
            fence: stale,
            add: vec![node(1)],
            remove: vec![],
        },
        Entry::MoveSlots {
            to: node(2),
            slots: slots.clone(),
            fences: vec![stale],
        },
        Entry::MigrationBegin {
            id: MigrationId::from_bytes([1; 20]),
            from: stale,
            to: fence(&state, 2),
            slots,
        },
    ];
    for entry in late {
        assert!(
            matches!(apply(&mut state, &entry), Err(Rejected::StaleEpoch { .. })),
            "{entry:?}"
        );
    }
}

#[test]
fn a_failover_cancels_a_migration() {
    let mut state = cluster();
    let id = MigrationId::from_bytes([1; 20]);
    let slots = SlotSet::from_iter([7, 8]);
    let begin = Entry::MigrationBegin {
        id,
        from: fence(&state, 1),
        to: fence(&state, 2),
        slots: slots.clone(),
    };
    apply(&mut state, &begin).unwrap();
    assert_eq!(apply(&mut state, &begin), Err(Rejected::Taken(id.to_string())));
    let other = Entry::MoveSlots {
        to: node(3),
        slots: slots.clone(),
        fences: vec![],
    };
    assert_eq!(apply(&mut state, &other), Err(Rejected::SlotMigrating(7)));
    let failover = Entry::Failover {
        fence: fence(&state, 1),
        to: node(4),
        kind: FailoverKind::Forced,
        life: 1,
    };
    apply(&mut state, &failover).unwrap();
    let commit = Entry::MigrationCommit { id };
    assert_eq!(apply(&mut state, &commit), Err(Rejected::UnknownMigration(id)));
    assert_eq!(state.owner(7).unwrap().id, shard(1));
    let id = MigrationId::from_bytes([2; 20]);
    let begin = Entry::MigrationBegin {
        id,
        from: fence(&state, 1),
        to: fence(&state, 2),
        slots,
    };
    apply(&mut state, &begin).unwrap();
    apply(&mut state, &Entry::MigrationCommit { id }).unwrap();
    assert_eq!(state.owner(7).unwrap().id, shard(2));
    assert_eq!(state.finished_migrations.len(), 2);
}

#[test]
fn a_node_joins_once_and_leaves_empty() {
    let mut state = cluster();
    assert_eq!(apply(&mut state, &Entry::NodeJoin(newcomer(4, &[]))), Ok(vec![]));
    let twin = Newcomer {
        raft_id: 40,
        ..newcomer(4, &[])
    };
    assert!(matches!(
        apply(&mut state, &Entry::NodeJoin(twin)),
        Err(Rejected::Taken(_))
    ));
    let hostile = Newcomer {
        endpoint: Endpoint {
            hostname: "a b\n".into(),
            ..Endpoint::default()
        },
        ..newcomer(5, &[])
    };
    assert_eq!(
        apply(&mut state, &Entry::NodeJoin(hostile)),
        Err(Rejected::InvalidAddress)
    );
    assert_eq!(
        apply(&mut state, &Entry::NodeLeave { node: node(2) }),
        Err(Rejected::HasSlots(node(2)))
    );
    assert_eq!(
        apply(&mut state, &Entry::NodeLeave { node: node(1) }),
        Err(Rejected::InvalidVoters)
    );
    apply(&mut state, &Entry::NodeLeave { node: node(4) }).unwrap();
    assert!(!state.shards[&shard(1)].replicas.contains(&node(4)));
    assert_eq!(
        apply(&mut state, &Entry::NodeLeave { node: node(4) }),
        Err(Rejected::UnknownNode(node(4)))
    );
}

#[test]
fn a_primary_that_becomes_a_replica_brings_its_replicas() {
    let mut state = cluster();
    let entry = Entry::SetReplica {
        node: node(1),
        primary: node(2),
    };
    assert_eq!(apply(&mut state, &entry), Err(Rejected::HasSlots(node(1))));
    let away = Entry::MoveSlots {
        to: node(2),
        slots: state.slots_of(shard(1)),
        fences: vec![],
    };
    apply(&mut state, &away).unwrap();
    apply(&mut state, &entry).unwrap();
    assert!(!state.shards.contains_key(&shard(1)));
    assert_eq!(state.shards[&shard(2)].replicas, [node(1), node(4)].into());
    let entry = Entry::SetReplica {
        node: node(3),
        primary: node(4),
    };
    assert_eq!(apply(&mut state, &entry), Err(Rejected::NotPrimary(node(4))));
    apply(
        &mut state,
        &Entry::Detach {
            node: node(4),
            shard: shard(44),
        },
    )
    .unwrap();
    assert!(state.is_primary(node(4)));
}

#[test]
fn a_proposal_that_comes_twice_counts_once() {
    let mut state = cluster();
    let set = |value: &'static str| Entry::Setting {
        name: "maxmemory-policy".into(),
        value: Some(Bytes::from_static(value.as_bytes())),
    };
    assert!(state.apply_proposal(20, 1, 7, &set("a")).is_ok());
    assert!(state.apply_proposal(21, 1, 9, &set("b")).is_ok());
    assert_eq!(
        state.apply_proposal(22, 1, 7, &set("a")),
        Err(Rejected::Duplicate)
    );
    assert!(
        state.apply_proposal(23, 1, 8, &set("c")).is_ok(),
        "the order may change on the way"
    );
    assert!(state.apply_proposal(24, 1, 500, &set("d")).is_ok());
    assert_eq!(
        state.apply_proposal(25, 1, 400, &set("e")),
        Err(Rejected::Duplicate),
        "too old to tell"
    );
    assert_eq!(state.settings["maxmemory-policy"], "d");
}

#[test]
fn a_view_tells_where_a_slot_is() {
    let mut state = cluster();
    apply(
        &mut state,
        &Entry::MarkMigrating {
            slot: 3,
            to: Some(node(2)),
        },
    )
    .unwrap();
    apply(
        &mut state,
        &Entry::MarkImporting {
            slot: 3,
            importer: Some(node(2)),
        },
    )
    .unwrap();
    let state = Arc::new(state);
    let held = SlotSet::from_iter([4]);
    let view = View::new(node(1), Arc::clone(&state), held);
    assert!(matches!(view.route(3), Route::Mine { migrating_to: Some(to) } if to.id == node(2)));
    assert!(matches!(view.route(6000), Route::Elsewhere { primary, .. } if primary.id == node(2)));
    assert!(view.may_serve(3) && !view.may_serve(4) && !view.may_serve(6000));
    let other = View::new(node(2), Arc::clone(&state), SlotSet::new());
    assert!(matches!(other.route(3), Route::Elsewhere { importing: true, .. }));
    let replica = View::new(node(4), state, SlotSet::new());
    assert!(matches!(replica.route(3), Route::Mine { .. }) && !replica.may_serve(3));
    let cell = ViewCell::new(view);
    let mut reader = cell.reader();
    assert_eq!(reader.view().me, node(1));
    cell.set(other);
    assert_eq!(reader.view().me, node(2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Whatever is proposed: the invariants hold, a rejected entry changes nothing, and every node gets the same.
    #[test]
    fn any_entries_keep_the_invariants(entries in proptest::collection::vec(any_entry(), 1..60)) {
        let mut state = founded();
        let mut other = state.clone();
        for entry in &entries {
            let result = apply(&mut state, entry);
            prop_assert_eq!(result.map_err(Some), other.apply(other.index + 1, entry).map(|a| a.changes).map_err(Some));
        }
        prop_assert_eq!(state, other);
    }
}

#[test]
fn deleted_users_are_remembered_until_others_need_the_room() {
    let mut state = cluster();
    let acl = |name: String, rules: &'static str| Entry::Acl {
        user: name.into_bytes().into(),
        rules: Some(bytes::Bytes::from_static(rules.as_bytes())),
    };
    apply(&mut state, &acl("gone".into(), "")).unwrap();
    for n in 1..MAX_BLOBS {
        apply(&mut state, &acl(format!("user{n}"), "on")).unwrap();
    }
    assert!(state.acl.contains_key(&b"gone"[..]));
    apply(&mut state, &acl("last".into(), "on")).unwrap();
    assert!(!state.acl.contains_key(&b"gone"[..]) && state.acl.contains_key(&b"last"[..]));
    let full = apply(&mut state, &acl("more".into(), "on"));
    assert_eq!(full, Err(Rejected::Limit("entries of the cluster")));
    apply(&mut state, &acl("last".into(), "on nopass")).unwrap();
}

#[test]
fn the_cluster_knows_whether_it_ever_had_a_word_on_functions() {
    let mut state = cluster();
    assert_eq!(state.functions_index, 0);
    let none = Entry::ReplaceFunctions {
        libraries: BTreeMap::new(),
    };
    assert_eq!(apply(&mut state, &none), Ok(vec![Change::Functions]));
    assert_eq!(state.functions_index, state.index);
}
