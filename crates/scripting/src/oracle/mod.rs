//! Compares the libraries with those inside a real `redis-server`: fixed expressions and random ones, each shown by the
//! same script. Ignored by default; run with `cargo test -p holdfast-scripting --lib oracle -- --ignored`.

mod random;
mod server;

use rand::{SeedableRng, rngs::SmallRng};

use crate::lua_testing::{eval, lua, script};
use server::Redis;

#[track_caller]
fn assert_same(redis: &mut Redis, ours: &str, expression: &str) {
    let theirs = redis.eval(&script(expression));
    assert_eq!(ours, theirs, "{expression}");
}

#[test]
#[ignore = "needs redis-server"]
fn fixed_expressions() {
    let mut redis = Redis::start("fixed");
    // One Lua for all, as there: settings made by one expression hold for the next.
    let lua = lua();
    for expression in include_str!("expressions.txt").lines() {
        assert_same(&mut redis, &eval(&lua, expression), expression);
    }
}

#[test]
#[ignore = "needs redis-server"]
fn random_expressions() {
    let mut redis = Redis::start("random");
    let lua = lua();
    let mut rng = SmallRng::seed_from_u64(7);
    for _ in 0..20_000 {
        let expression = random::expression(&mut rng);
        assert_same(&mut redis, &eval(&lua, &expression), &expression);
    }
}
