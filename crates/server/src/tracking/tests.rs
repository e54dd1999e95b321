//! The table and the prefixes, without commands.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

fn clients(count: u64) -> (Clients, Vec<Arc<Client>>) {
    let clients = Clients::default();
    let all: Vec<Arc<Client>> = (0..count)
        .map(|_| {
            let client = Client::new(clients.next_id(), "a:1".into(), "a:2".into(), -1, 0, false);
            client.resp.store(3, Ordering::Relaxed);
            let client = Arc::new(client);
            clients.add(Arc::clone(&client));
            client
        })
        .collect();
    (clients, all)
}

fn mail(client: &Client) -> String {
    let mut out = Vec::new();
    client.take_mail(&mut out);
    String::from_utf8_lossy(&out).replace("\r\n", " ")
}

fn changed(keys: &[&str]) -> Vec<(u32, Box<[u8]>)> {
    keys.iter().map(|key| (0, key.as_bytes().into())).collect()
}

#[test]
fn over_the_limit_some_key_is_forgotten_and_its_reader_told() {
    let (clients, all) = clients(1);
    let tracking = Tracking::default();
    tracking.enable(&all[0], Options::default(), &[]);
    for i in 0..100 {
        let key = format!("k{i}");
        tracking.remember(&clients, &all[0], std::iter::once(key.as_bytes()), 10);
    }
    let figures = tracking.figures();
    assert_eq!((figures.keys, figures.items), (10, 10));
    assert_eq!(mail(&all[0]).matches("invalidate").count(), 90);
    tracking.limit(&clients, 1, 100);
    assert_eq!(tracking.figures().keys, 1);
    tracking.forget_all(&clients);
    assert_eq!((tracking.figures().keys, tracking.figures().items), (0, 0));
    assert!(mail(&all[0]).ends_with(">2 $10 invalidate _ "));
}

#[test]
fn ids_of_clients_that_are_gone_do_not_pile_up_under_a_key_that_never_changes() {
    let (clients, all) = clients(1_000);
    let tracking = Tracking::default();
    for client in &all {
        tracking.enable(client, Options::default(), &[]);
        tracking.remember(&clients, client, std::iter::once(&b"k"[..]), 0);
        tracking.disable(client);
        clients.remove(client.id);
    }
    assert!(tracking.figures().items < 100, "{:?}", tracking.figures());
    assert_eq!(tracking.figures().clients, 0);
    let last = tracking.table.forget(b"k").expect("remembered above");
    assert_eq!(tracking.figures().items, 0, "{last:?}");
}

#[test]
fn a_client_with_several_prefixes_gets_a_message_for_each() {
    let (clients, all) = clients(2);
    let tracking = Tracking::default();
    let bcast = Options {
        bcast: true,
        ..Options::default()
    };
    tracking.enable(&all[0], bcast, &[b"a", b"b"]);
    tracking.enable(&all[1], bcast, &[]);
    tracking.invalidate(&clients, &changed(&["b1", "c", "a2", "a1", "a1"]), 0);
    assert_eq!(
        mail(&all[0]),
        ">2 $10 invalidate *2 $2 a1 $2 a2 >2 $10 invalidate *1 $2 b1 "
    );
    assert_eq!(mail(&all[1]), ">2 $10 invalidate *4 $2 a1 $2 a2 $2 b1 $1 c ");
    assert_eq!(tracking.figures().prefixes, 3);
    assert!(all[0].interest_mem.load(Ordering::Relaxed) > 0);
    all.iter().for_each(|client| tracking.disable(client));
    assert_eq!(tracking.figures().prefixes, 0);
    assert_eq!(all[0].interest_mem.load(Ordering::Relaxed), 0);
    tracking.invalidate(&clients, &changed(&["a1"]), 0);
    assert_eq!(mail(&all[0]), "");
}

#[test]
fn a_million_prefixes_are_checked_without_comparing_each_with_each() {
    let (_, all) = clients(1);
    let tracking = Tracking::default();
    let owned: Vec<String> = (0..200_000).map(|i| format!("{i:06}")).collect();
    let mut prefixes: Vec<&[u8]> = owned.iter().map(String::as_bytes).collect();
    assert_eq!(tracking.check_prefixes(&all[0], &prefixes), Ok(()));
    prefixes.push(b"1999991");
    let found = tracking
        .check_prefixes(&all[0], &prefixes)
        .expect_err("a collision");
    assert_eq!((&*found.new, &*found.other), (&b"199999"[..], &b"1999991"[..]));
}

proptest! {
    #[test]
    fn collisions_are_those_that_comparing_each_with_each_finds(
        own in proptest::collection::btree_set("[ab]{0,4}", 0..4),
        new in proptest::collection::vec("[ab]{1,5}", 0..5),
    ) {
        let (_, all) = clients(1);
        let tracking = Tracking::default();
        let own: Vec<&[u8]> = own.iter().map(String::as_bytes).collect();
        let new: Vec<&[u8]> = new.iter().map(String::as_bytes).collect();
        if !own.is_empty() {
            tracking.enable(&all[0], Options { bcast: true, ..Options::default() }, &own);
        }
        let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
        let mut expected = Ok(());
        'search: for (i, prefix) in new.iter().enumerate() {
            for (others, existing) in [(&own[..], true), (&new[i + 1..], false)] {
                if let Some(other) = others.iter().find(|other| overlap(prefix, other)) {
                    expected = Err(Collision { new: (*prefix).into(), other: (*other).into(), existing });
                    break 'search;
                }
            }
        }
        prop_assert_eq!(tracking.check_prefixes(&all[0], &new), expected);
    }
}
