//! redis-rs's cluster client.

use std::collections::HashMap;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::cluster::ClusterClientBuilder;
use redis::{Commands, RedisResult};

const KEYS: u64 = 30;
static OVER: AtomicBool = AtomicBool::new(false);

fn main() -> RedisResult<()> {
    let words: Vec<String> = std::env::args().collect();
    let nodes: Vec<String> = words[1]
        .split(',')
        .map(|address| format!("redis://{address}/"))
        .collect();
    std::thread::spawn(|| {
        let _end = std::io::stdin().read_to_end(&mut Vec::new());
        OVER.store(true, Ordering::Relaxed);
    });
    let wait = Duration::from_secs(1);
    let cluster = ClusterClientBuilder::new(nodes)
        .connection_timeout(wait)
        .response_timeout(wait)
        .build()?;
    let mut client = cluster.get_connection()?;
    let (mut known, mut unsure) = (HashMap::<String, u64>::new(), HashMap::<String, u64>::new());
    let (mut done, mut turn) = (0u64, 0u64);
    while !OVER.load(Ordering::Relaxed) {
        let key = format!("{}:{}", words[2], turn % KEYS);
        turn += 1;
        let value: u64 = match client.incr(&key, 1) {
            Ok(value) => value,
            Err(error) => {
                println!("error {error}");
                *unsure.entry(key).or_default() += 1;
                std::thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        let least = known.get(&key).copied().unwrap_or_default() + 1;
        let most = least + unsure.remove(&key).unwrap_or_default();
        if !(least..=most).contains(&value) {
            println!("wrong {key} is {value} and must be {least}");
        }
        known.insert(key, value);
        done += 1;
        if done % 50 == 0 {
            println!("at {done}");
        }
    }
    for (key, value) in &known {
        let found: u64 = client.get(key)?;
        if found != *value {
            println!("wrong {key} is {found} and was {value}");
        }
    }
    println!("over {done}");
    Ok(())
}
