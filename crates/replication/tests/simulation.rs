//! Servers that write, follow each other, lose their links, are promoted, demoted and started again, at random and from a
//! seed: whoever is at the same place of the same history has the same bytes behind it, always.
//!
//! The machines are the real ones: the log, ids and offsets, and the replica's handshake. The data are a sum over all bytes
//! that were ever applied, so that one wrong byte can never be made good.
//!
//! The long form: `SIMULATION_STEPS=100000000 cargo test --release -p holdfast-replication --test simulation`.

use std::collections::HashMap;
use std::sync::Arc;

use holdfast_replication::replica::{Greeting, Handshake, Lines, Next, Refusal, Wanted};
use holdfast_replication::{Answer, Ask, History, LogReader, Record, ReplId, ReplicationLog};

const NODES: usize = 5;

/// A small generator of chance: the same seed, the same run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }

    fn id(&mut self) -> ReplId {
        let mut bytes = [0; 20];
        bytes.iter_mut().for_each(|b| *b = self.next() as u8);
        ReplId::new(bytes)
    }
}

/// The data: what all bytes so far amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Data(u64);

impl Data {
    fn apply(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = (self.0 ^ u64::from(*b))
                .wrapping_mul(0x0000_0100_0000_01B3)
                .rotate_left(5);
        }
    }
}

/// A replica's link.
enum Link {
    Down,
    /// The data of the primary are on their way, for so many steps more; the log behind them is held.
    Transfer {
        id: ReplId,
        offset: u64,
        data: Data,
        left: usize,
        reader: LogReader,
    },
    Up(LogReader),
}

enum Role {
    Primary,
    Replica { of: usize, link: Link },
}

struct Node {
    log: Arc<ReplicationLog>,
    history: History,
    data: Data,
    role: Role,
    /// The file: what a restart finds.
    saved: (History, u64, Data),
}

/// Everything, and what has been true of each place of each history.
struct World {
    nodes: Vec<Node>,
    chance: Chance,
    known: HashMap<(ReplId, u64), Data>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    full: u64,
    partial: u64,
    renamed: u64,
    refused: u64,
    broken: u64,
    promoted: u64,
    restarts: u64,
    compared: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed | 1);
        let nodes = (0..NODES)
            .map(|_| {
                let history = History::new(chance.id());
                // All begin with different data.
                let data = Data(chance.next());
                Node {
                    log: Arc::new(ReplicationLog::new(0)),
                    history,
                    data,
                    role: Role::Primary,
                    saved: (history, 0, data),
                }
            })
            .collect();
        Self {
            nodes,
            chance,
            known: HashMap::new(),
            counts: Counts::default(),
        }
    }

    /// Whoever is at this place of this history has these data.
    fn check(&mut self, n: usize) {
        let node = &self.nodes[n];
        let (place, data) = ((node.history.id(), node.log.end_offset()), node.data);
        if let Some(known) = self.known.insert(place, data) {
            self.counts.compared += 1;
            assert_eq!(known, data, "two servers at {place:?} are not the same");
        }
        if self.known.len() > 1 << 17 {
            self.known.clear();
        }
    }

    fn step(&mut self) {
        let n = self.chance.below(NODES);
        match self.chance.below(1000) {
            0..2 => self.become_replica(n),
            2..4 => self.become_primary(n),
            4..5 => self.restart(n),
            5..10 => self.save(n),
            10..30 => self.break_link(n),
            _ => match &self.nodes[n].role {
                Role::Primary => self.write(n),
                Role::Replica { .. } => self.follow(n),
            },
        }
        self.check(n);
    }

    fn write(&mut self, n: usize) {
        let len = self.chance.below(200) + usize::from(self.chance.below(300) == 0) * 40_000;
        let bytes: Vec<u8> = (0..len).map(|_| self.chance.next() as u8).collect();
        let node = &mut self.nodes[n];
        // A reader holds what is written, however short the backlog is.
        let reader = node.log.reader(node.log.end_offset()).expect("the end is there");
        let db = u32::from(len.is_multiple_of(7));
        node.log.append(Record { db, commands: &bytes });
        let logged = reader.read(usize::MAX).expect("it was written just now");
        node.data.apply(&logged.pieces.concat());
    }

    fn become_replica(&mut self, n: usize) {
        let of = (n + 1 + self.chance.below(NODES - 1)) % NODES;
        self.nodes[n].role = Role::Replica { of, link: Link::Down };
        self.drop_replicas(n);
    }

    fn become_primary(&mut self, n: usize) {
        let id = self.chance.id();
        let node = &mut self.nodes[n];
        if let Role::Replica { .. } = node.role {
            let end = node.log.select_again();
            node.history.promoted(id, end);
            node.role = Role::Primary;
            self.counts.promoted += 1;
            self.drop_replicas(n);
        }
    }

    fn save(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.saved = (node.history, node.log.end_offset(), node.data);
    }

    /// A server starts with what its file says. A primary's history is a new one then: it may have sent what it has not
    /// saved.
    fn restart(&mut self, n: usize) {
        let id = self.chance.id();
        let node = &mut self.nodes[n];
        let (history, offset, data) = node.saved;
        node.data = data;
        node.log.start_at(offset);
        match &mut node.role {
            Role::Primary => node.history = History::new(id),
            Role::Replica { link, .. } => {
                node.history = History::restored(history.id(), None);
                *link = Link::Down;
            }
        }
        self.counts.restarts += 1;
        self.drop_replicas(n);
        // A primary's file from before says whose replica it was; as a primary it is nobody's.
        self.save(n);
    }

    fn break_link(&mut self, n: usize) {
        if let Role::Replica { link, .. } = &mut self.nodes[n].role {
            self.counts.broken += u64::from(!matches!(link, Link::Down));
            *link = Link::Down;
        }
    }

    /// The connections of its replicas end.
    fn drop_replicas(&mut self, n: usize) {
        for node in &mut self.nodes {
            if let Role::Replica { of, link } = &mut node.role
                && *of == n
            {
                *link = Link::Down;
            }
        }
    }

    /// One step of a replica.
    fn follow(&mut self, n: usize) {
        let Role::Replica { of, link } = &mut self.nodes[n].role else {
            return;
        };
        let of = *of;
        match std::mem::replace(link, Link::Down) {
            Link::Down => {
                let link = self.connect(n, of);
                if let Role::Replica { link: old, .. } = &mut self.nodes[n].role {
                    *old = link;
                }
            }
            Link::Transfer {
                id,
                offset,
                data,
                left,
                reader,
            } if left > 0 => {
                *link = Link::Transfer {
                    id,
                    offset,
                    data,
                    left: left - 1,
                    reader,
                };
            }
            Link::Transfer {
                id,
                offset,
                data,
                reader,
                ..
            } => {
                *link = Link::Up(reader);
                let node = &mut self.nodes[n];
                node.history.replaced(id);
                node.log.start_at(offset);
                node.data = data;
                self.counts.full += 1;
                self.drop_replicas(n);
            }
            Link::Up(mut reader) => {
                let most = 1 + self.chance.below(400);
                let place = reader.place();
                if let Ok(chunk) = reader.read(most) {
                    let bytes = chunk.pieces.concat();
                    reader.advance_to(chunk.end);
                    *link = Link::Up(reader);
                    let node = &mut self.nodes[n];
                    assert_eq!(node.log.end_offset(), place, "the mirror is where it reads");
                    node.log.append_mirrored(0, &bytes);
                    node.data.apply(&bytes);
                }
            }
        }
    }

    /// The handshake, line by line and cut at random.
    fn connect(&mut self, n: usize, of: usize) -> Link {
        let node = &self.nodes[n];
        let (id, end) = (node.history.id(), node.log.end_offset());
        let wanted = if self.chance.below(50) == 0 {
            Wanted::Everything
        } else {
            Wanted::Rest { id, end }
        };
        let (mut handshake, mut sent) = Handshake::begin(Greeting {
            auth: None,
            port: 6379,
            ip: None,
            wanted,
            gives_way: false,
        });
        let (mut lines, mut reader) = (Lines::default(), None);
        loop {
            let answer = if contains(&sent, b"PSYNC") {
                let (text, from) = self.psync(of, wanted);
                reader = from;
                text
            } else {
                // Each command is answered.
                "+OK\r\n"
                    .repeat(sent.iter().filter(|b| **b == b'*').count())
                    .into_bytes()
            };
            sent.clear();
            let mut next = Next::Wait;
            let mut at = 0;
            while at < answer.len() {
                let piece = (at + 1 + self.chance.below(30)).min(answer.len());
                let mut input = &answer[at..piece];
                while let Some(line) = lines.next(&mut input).expect("lines are short") {
                    next = match handshake.line(&line) {
                        Ok(next) => next,
                        Err(Refusal::NotNow(_)) => {
                            self.counts.refused += 1;
                            return Link::Down;
                        }
                        Err(other) => panic!("{other}"),
                    };
                }
                at = piece;
            }
            match next {
                Next::Send(bytes) => sent = bytes,
                Next::Wait => panic!("all was answered"),
                Next::Full { id, offset } => {
                    return Link::Transfer {
                        id,
                        offset,
                        data: self.nodes[of].data,
                        left: self.chance.below(100),
                        reader: reader.expect("a primary that answers so holds its log"),
                    };
                }
                Next::Continue { id } => {
                    self.counts.partial += 1;
                    let node = &mut self.nodes[n];
                    if let Some(id) = id
                        && id != node.history.id()
                    {
                        node.history.renamed(id, node.log.end_offset());
                        self.counts.renamed += 1;
                        self.drop_replicas(n);
                    }
                    return Link::Up(reader.expect("a primary that answers so holds its log"));
                }
            }
        }
    }

    /// The primary's side: its answer, and what it reads for the replica.
    fn psync(&self, of: usize, wanted: Wanted) -> (Vec<u8>, Option<LogReader>) {
        let primary = &self.nodes[of];
        if let Role::Replica { link, .. } = &primary.role
            && !matches!(link, Link::Up(_))
        {
            return (
                b"-NOMASTERLINK Can't SYNC while not connected with my master\r\n".to_vec(),
                None,
            );
        }
        let ask = match wanted {
            Wanted::Everything => Ask::Everything,
            Wanted::Rest { id, end } => Ask::Rest {
                id: Some(id),
                offset: end as i64 + 1,
            },
        };
        let extent = primary.log.extent();
        let id = primary.history.id();
        match primary.history.answer(ask, extent.first, extent.end) {
            Answer::Continue(offset) => {
                let reader = primary.log.reader(offset);
                assert!(reader.is_some(), "what was promised is kept");
                (format!("+CONTINUE {id}\r\n").into_bytes(), reader)
            }
            Answer::Full(_) => {
                let answer = format!("+FULLRESYNC {id} {}\r\n", extent.end);
                (answer.into_bytes(), primary.log.reader(extent.end))
            }
        }
    }

    /// Nothing fails any more: all follow the first primary, and have the same in the end.
    fn come_to_rest(&mut self) {
        for n in 1..NODES {
            let was_primary = matches!(self.nodes[n].role, Role::Primary);
            // A chain: each follows the one before.
            if was_primary || !matches!(&self.nodes[n].role, Role::Replica { of, .. } if *of == n - 1) {
                self.nodes[n].role = Role::Replica {
                    of: n - 1,
                    link: Link::Down,
                };
                self.drop_replicas(n);
            }
        }
        self.become_primary(0);
        for _ in 0..200_000 {
            for n in 1..NODES {
                self.follow(n);
                self.check(n);
            }
            let first = &self.nodes[0];
            let same = |node: &Node| {
                node.log.end_offset() == first.log.end_offset() && node.history.id() == first.history.id()
            };
            if self.nodes.iter().all(same) {
                let data: Vec<Data> = self.nodes.iter().map(|node| node.data).collect();
                assert!(data.iter().all(|d| *d == data[0]), "{data:?}");
                return;
            }
        }
        panic!("they never come together");
    }
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|w| w == word)
}

#[test]
fn no_two_servers_at_one_place_of_a_history_ever_differ() {
    let steps: u64 = std::env::var("SIMULATION_STEPS")
        .ok()
        .and_then(|steps| steps.parse().ok())
        .unwrap_or(1_000_000);
    const PER_SEED: u64 = 50_000;
    let mut sum = Counts::default();
    for seed in 1..=steps.div_ceil(PER_SEED) {
        let mut world = World::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..PER_SEED).for_each(|_| world.step());
            world.come_to_rest();
        }));
        assert!(run.is_ok(), "seed {seed}");
        let c = &world.counts;
        sum.full += c.full;
        sum.partial += c.partial;
        sum.renamed += c.renamed;
        sum.refused += c.refused;
        sum.broken += c.broken;
        sum.promoted += c.promoted;
        sum.restarts += c.restarts;
        sum.compared += c.compared;
    }
    println!("{sum:?}");
    // A simulation in which something never happens proves nothing of it.
    for count in [
        sum.full,
        sum.partial,
        sum.renamed,
        sum.refused,
        sum.broken,
        sum.promoted,
        sum.restarts,
        sum.compared,
    ] {
        assert!(count > 50, "{sum:?}");
    }
}
