//! The stream of a seed: commands of the chosen families on a few connections, some damaged, some in transactions.
//!
//! A [`Unit`] is what the minimiser may leave out: a transaction or a scan goes as a whole.

use super::families::{FAMILIES, Family};
use super::pool::{Args, Command, Kind, Pool, cmd};

/// Connections that a stream uses. The last speaks RESP3.
pub const CONNECTIONS: usize = 3;
/// A connection keeps the word for about this many units, so that batches grow.
const UNITS_PER_TURN: u64 = 24;

/// Commands that belong together.
#[derive(Debug, Clone)]
pub enum Unit {
    /// Commands, each with the number of its connection.
    Commands(Vec<(usize, Args)>),
    /// A scan from cursor 0 until the cursor is 0 again. The cursor stands behind `before` and in front of `after`.
    Scan {
        /// The connection.
        connection: usize,
        /// The command's name, and its key where it has one.
        before: Args,
        /// The options.
        after: Args,
    },
}

impl Unit {
    /// How many commands it counts for.
    pub fn len(&self) -> usize {
        match self {
            Unit::Commands(commands) => commands.len(),
            Unit::Scan { .. } => 1,
        }
    }

    /// The names of its commands, in capitals.
    pub fn names(&self) -> Vec<String> {
        let name = |args: &Args| {
            args.first()
                .map(|name| String::from_utf8_lossy(name).to_ascii_uppercase())
        };
        match self {
            Unit::Commands(commands) => commands.iter().filter_map(|(_, args)| name(args)).collect(),
            Unit::Scan { before, .. } => name(before).into_iter().collect(),
        }
    }

    /// Whether it holds no command.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The endless stream of a seed.
pub struct Stream {
    pool: Pool,
    families: Vec<Family>,
    connection: usize,
}

impl Stream {
    /// The stream of `seed` over `families`; all of them when the list is empty.
    pub fn new(seed: u64, families: &[Family]) -> Stream {
        let all = || FAMILIES.iter().map(|(family, _)| *family).collect();
        let families = if families.is_empty() {
            all()
        } else {
            families.to_vec()
        };
        Stream {
            pool: Pool::new(seed),
            families,
            connection: 0,
        }
    }

    fn valid_command(&mut self) -> Args {
        let family = self.pool.one_of(&self.families);
        family.command(&mut self.pool).0
    }

    fn command(&mut self) -> Args {
        let mut args = self.valid_command();
        damage(&mut args, &mut self.pool);
        args
    }

    /// MULTI to EXEC. Commands whose reply is left to chance stay outside: the oracle could not be brought to the
    /// subject's choice. So do RESET and HELLO, which end the transaction or
    /// change the form of its replies, and SORT, which must be prepared for.
    fn transaction(&mut self) -> Unit {
        let connection = self.connection;
        let other = (connection + 1) % CONNECTIONS;
        let mut commands: Vec<(usize, Args)> = Vec::new();
        let mut push = |connection: usize, args: Args| commands.push((connection, args));
        if self.pool.chance(1, 3) {
            push(
                connection,
                cmd("WATCH").arg(self.pool.any_key()).arg(self.pool.any_key()).0,
            );
            for _ in 0..self.pool.below(3) {
                let connection = if self.pool.chance(2, 3) { other } else { connection };
                push(connection, self.plain_command());
            }
            if self.pool.chance(1, 10) {
                push(connection, cmd("UNWATCH").0);
            }
        }
        push(connection, cmd("MULTI").0);
        for _ in 0..self.pool.below(6) {
            push(connection, self.plain_command());
        }
        match self.pool.below(12) {
            0 => push(connection, cmd("DISCARD").0),
            1 => {
                // A command refused while queuing: EXEC aborts.
                push(connection, cmd("GET").0);
                push(connection, cmd("EXEC").0);
            }
            2 => {
                push(connection, cmd("MULTI").0);
                push(connection, cmd("WATCH").arg("s:0").0);
                push(connection, cmd("EXEC").0);
            }
            3 => {
                push(connection, cmd("EXEC").arg("x").0);
                push(connection, cmd("EXEC").0);
                push(connection, cmd("DISCARD").0);
            }
            _ => push(connection, cmd("EXEC").0),
        }
        Unit::Commands(commands)
    }

    fn plain_command(&mut self) -> Args {
        loop {
            let args = if self.pool.chance(1, 15) {
                self.command()
            } else {
                self.valid_command()
            };
            let name = args[0].to_ascii_uppercase();
            // Queued, a word more than Redis 7.0 knows ends the whole transaction there.
            let newer = name.ends_with(b"RANK") && args.len() > 3;
            let apart = newer || name == b"RESET" || name == b"HELLO" || name.starts_with(b"SORT");
            if !is_left_to_chance(&args) && !apart {
                return args;
            }
        }
    }

    fn scan(&mut self) -> Unit {
        let connection = self.connection;
        let (name, kind) = self.pool.one_of(&[
            ("SCAN", None),
            ("HSCAN", Some(Kind::Hash)),
            ("SSCAN", Some(Kind::Set)),
            ("ZSCAN", Some(Kind::Scored)),
        ]);
        let mut before = cmd(name);
        if let Some(kind) = kind {
            before = before.arg(self.pool.key_of(kind));
        }
        let mut after = Command(Vec::new());
        if self.pool.chance(1, 2) {
            after = after.arg("COUNT").number(self.pool.between(1, 50));
        }
        if self.pool.chance(1, 3) {
            after = after
                .arg("MATCH")
                .arg(self.pool.one_of(&["*", "m*", "*1*", "s:*", "[0-9]"]));
        }
        if kind.is_none() && self.pool.chance(1, 3) {
            after = after.arg("TYPE").arg(
                self.pool
                    .one_of(&["string", "list", "hash", "set", "zset", "ZSET"]),
            );
        }
        Unit::Scan {
            connection,
            before: before.0,
            after: after.0,
        }
    }
}

impl Iterator for Stream {
    type Item = Unit;

    fn next(&mut self) -> Option<Unit> {
        if self.pool.chance(1, UNITS_PER_TURN) {
            self.connection = self.pool.below(CONNECTIONS as u64) as usize;
        }
        let unit = match self.pool.below(60) {
            0 | 1 => self.transaction(),
            2 => self.scan(),
            3 => Unit::Commands(vec![(self.connection, bad_scan(&mut self.pool))]),
            _ => {
                let commands = if_sort_on_a_copy(self.command());
                Unit::Commands(commands.into_iter().map(|args| (self.connection, args)).collect())
            }
        };
        Some(unit)
    }
}

/// Lets SORT work on a copy, and prepares for it: redis-server's SORT turns a small sorted set into a skiplist, and takes
/// an error number that another command left behind for its own. A command that parses a number without error clears it.
fn if_sort_on_a_copy(mut args: Args) -> Vec<Args> {
    const COPY: &str = "sort:copy";
    let sorts = args
        .first()
        .is_some_and(|name| name.to_ascii_uppercase().starts_with(b"SORT"));
    let Some(key) = args.get_mut(1).filter(|_| sorts) else {
        return vec![args];
    };
    let copied = cmd("COPY")
        .arg(std::mem::replace(key, COPY.into()))
        .arg(COPY)
        .arg("REPLACE");
    let clearing = ["FROMLONLAT", "1", "1", "BYRADIUS", "1", "m"];
    let clearing = clearing
        .into_iter()
        .fold(cmd("GEOSEARCH").arg("no-such-key"), |command, word| {
            command.arg(word)
        });
    vec![copied.0, clearing.0, args, cmd("DEL").arg(COPY).0]
}

/// Whether the reply depends on the server's dice.
pub fn is_left_to_chance(args: &[Vec<u8>]) -> bool {
    let name = args
        .first()
        .map(|name| name.to_ascii_uppercase())
        .unwrap_or_default();
    matches!(
        name.as_slice(),
        b"SPOP" | b"SRANDMEMBER" | b"HRANDFIELD" | b"ZRANDMEMBER" | b"RANDOMKEY"
    )
}

fn bad_scan(pool: &mut Pool) -> Args {
    let command = match pool.below(4) {
        0 => cmd("SCAN"),
        1 => cmd("HSCAN").arg(pool.key(Kind::Hash)),
        2 => cmd("SSCAN").arg(pool.key(Kind::Set)),
        _ => cmd("ZSCAN").arg(pool.key(Kind::Scored)),
    };
    let command = command.arg(pool.one_of(&["abc", "-1", "", "0", "0", "0", "99999999999999999999999"]));
    match pool.below(4) {
        0 => {
            command
                .arg("COUNT")
                .arg(pool.one_of(&["0", "-1", "abc", "9223372036854775808"]))
                .0
        }
        1 => command.arg("COUNT").0,
        2 => command.arg("TYPE").arg("string").0,
        _ => command.arg("FOO").0,
    }
}

/// Makes some commands invalid, and writes some names in another case.
fn damage(args: &mut Args, pool: &mut Pool) {
    if pool.chance(1, 10) {
        let upper = pool.chance(1, 2);
        for (index, byte) in args[0].iter_mut().enumerate() {
            *byte = if upper || index % 2 == 0 {
                byte.to_ascii_lowercase()
            } else {
                byte.to_ascii_uppercase()
            };
        }
    }
    if !pool.chance(1, 12) {
        return;
    }
    // A blocking command must keep its timeout, and these keys their equal scores.
    let name = args[0].to_ascii_uppercase();
    let careful = (name.starts_with(b"B") && !name.starts_with(b"BIT"))
        || name == b"COMMAND"
        || matches!(name.as_slice(), b"XADD" | b"XSETID" | b"XGROUP")
        || name == b"CONFIG"
        || args.iter().any(|arg| {
            [&b"lex:"[..], b"geo:", b"hll:"]
                .iter()
                .any(|kind| arg.starts_with(kind))
        });
    match pool.below(4) {
        0 => {
            args.pop();
            if args.is_empty() {
                args.push(b"GET".to_vec());
            }
        }
        1 if !careful => args.push(pool.nasty()),
        2 if !careful && args.len() > 1 => {
            let at = 1 + pool.below(args.len() as u64 - 1) as usize;
            args[at] = pool.nasty();
        }
        3 if !careful && args.len() > 1 => {
            let at = 1 + pool.below(args.len() as u64 - 1) as usize;
            args.remove(at);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_stream() {
        let units = |seed| {
            Stream::new(seed, &[])
                .take(2000)
                .map(|unit| format!("{unit:?}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(units(7), units(7));
        assert_ne!(units(7), units(8));
    }

    #[test]
    fn chance_stays_outside_of_transactions() {
        for unit in Stream::new(3, &[]).take(20_000) {
            if let Unit::Commands(commands) = unit
                && commands.iter().any(|(_, args)| args[0] == b"MULTI")
            {
                assert!(
                    commands.iter().all(|(_, args)| !is_left_to_chance(args)),
                    "{commands:?}"
                );
            }
        }
    }
}
