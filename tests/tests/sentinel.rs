//! Debian's `redis-sentinel` looks after Holdfast. The long form: `cargo run -p holdfast-tests --bin sentinel`.

use anyhow::Result;
use holdfast_tests::sentinel::campaign;
use holdfast_tests::server::Role;

#[test]
fn a_primary_that_is_killed_or_stands_still_is_replaced_and_nothing_acknowledged_is_lost() -> Result<()> {
    let report = campaign(Role::Subject, 2)?;
    assert!(report.acked > 20, "{report:?}");
    assert!(report.lost.is_empty(), "{report:?}");
    Ok(())
}
