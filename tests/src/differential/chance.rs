//! Commands whose reply is left to chance: the subject chooses, the oracle says whether the choice was possible.
//!
//! For SPOP the oracle then loses the same members, so that both stay equal.

use crate::reply::Reply;

use super::pool::{Args, cmd};

/// What the oracle is asked about a reply of the subject.
#[derive(Debug)]
pub struct Check {
    /// The commands to send to the oracle in place of the original.
    pub commands: Vec<Args>,
    kind: CheckKind,
}

#[derive(Debug)]
enum CheckKind {
    /// SCARD, then SREM of the popped members.
    Popped { members: usize, wanted: Option<i64> },
    /// The original, then one membership command.
    Picked {
        picked: Vec<Reply>,
        values: Option<Vec<Reply>>,
        distinct: bool,
    },
}

/// How to check the subject's reply; `None` when the original is simply to be mirrored: errors, nulls, empty replies
/// and every command that has nothing to do with chance.
pub fn check(args: &[Vec<u8>], subject: &Reply) -> Option<Check> {
    let name = args.first()?.to_ascii_uppercase();
    let picked = picked_bytes(subject);
    match name.as_slice() {
        b"SPOP" => popped(args, &picked?),
        b"SRANDMEMBER" => picked_check(args, subject, |key, names| {
            cmd("SMISMEMBER").arg(key).args(names).0
        }),
        b"HRANDFIELD" => picked_check(args, subject, |key, names| cmd("HMGET").arg(key).args(names).0),
        b"ZRANDMEMBER" => picked_check(args, subject, |key, names| cmd("ZMSCORE").arg(key).args(names).0),
        b"RANDOMKEY" => {
            let key = subject.bytes()?.to_vec();
            let commands = vec![args.to_vec(), cmd("EXISTS").arg(key).0];
            let picked = vec![subject.clone()];
            Some(Check {
                commands,
                kind: CheckKind::Picked {
                    picked,
                    values: None,
                    distinct: false,
                },
            })
        }
        _ => None,
    }
}

fn picked_bytes(subject: &Reply) -> Option<Vec<Vec<u8>>> {
    if let Some(one) = subject.bytes() {
        return if matches!(subject, Reply::Simple(_)) {
            None
        } else {
            Some(vec![one.to_vec()])
        };
    }
    let elements = subject.elements()?;
    if elements.is_empty() {
        return None;
    }
    elements
        .iter()
        .map(|element| element.bytes().map(<[u8]>::to_vec))
        .collect()
}

fn popped(args: &[Vec<u8>], members: &[Vec<u8>]) -> Option<Check> {
    let key = args.get(1)?.clone();
    let wanted = args
        .get(2)
        .and_then(|count| std::str::from_utf8(count).ok()?.parse().ok());
    let commands = vec![
        cmd("SCARD").arg(key.clone()).0,
        cmd("SREM").arg(key).args(members.to_vec()).0,
    ];
    Some(Check {
        commands,
        kind: CheckKind::Popped {
            members: members.len(),
            wanted,
        },
    })
}

fn picked_check(args: &[Vec<u8>], subject: &Reply, ask: impl Fn(Vec<u8>, Args) -> Args) -> Option<Check> {
    let key = args.get(1)?.clone();
    if matches!(subject, Reply::Simple(_)) {
        return None;
    }
    let (picked, values) = split_pairs(args, subject)?;
    if picked.is_empty() {
        return None;
    }
    let names = picked
        .iter()
        .map(|reply| reply.bytes().map(<[u8]>::to_vec))
        .collect::<Option<Args>>()?;
    let count: i64 = args
        .get(2)
        .and_then(|count| std::str::from_utf8(count).ok()?.parse().ok())
        .unwrap_or(1);
    let commands = vec![args.to_vec(), ask(key, names)];
    Some(Check {
        commands,
        kind: CheckKind::Picked {
            picked,
            values,
            distinct: count > 0,
        },
    })
}

/// The names of a reply and, with WITHVALUES or WITHSCORES, what belongs to them: flat in RESP2, in pairs in RESP3.
fn split_pairs(args: &[Vec<u8>], subject: &Reply) -> Option<(Vec<Reply>, Option<Vec<Reply>>)> {
    if subject.bytes().is_some() {
        return Some((vec![subject.clone()], None));
    }
    let elements: Vec<Reply> = subject.elements()?.into_iter().cloned().collect();
    if args.len() < 4 {
        return Some((elements, None));
    }
    let mut flat = Vec::new();
    for element in elements {
        match element.elements() {
            Some(pair) => flat.extend(pair.into_iter().cloned()),
            None => flat.push(element),
        }
    }
    let (names, values): (Vec<_>, Vec<_>) = flat
        .into_iter()
        .enumerate()
        .partition(|(index, _)| index % 2 == 0);
    let plain = |pairs: Vec<(usize, Reply)>| pairs.into_iter().map(|(_, reply)| reply).collect();
    Some((plain(names), Some(plain(values))))
}

impl Check {
    /// Judges the oracle's answers to [`Check::commands`].
    ///
    /// # Errors
    /// What is wrong with the subject's choice.
    pub fn judge(&self, subject: &Reply, answers: &[Reply]) -> Result<(), String> {
        match &self.kind {
            CheckKind::Popped { members, wanted } => {
                let numbers: Vec<_> = answers.iter().filter_map(Reply::integer).collect();
                let [cardinality, removed] = numbers[..] else {
                    return Err(format!("the oracle could not follow: {answers:?}"));
                };
                let possible = wanted.unwrap_or(1).min(cardinality);
                if removed != *members as i64 || removed != possible {
                    return Err(format!(
                        "popped {members}, of which the oracle has {removed}; {possible} were to be popped"
                    ));
                }
                Ok(())
            }
            CheckKind::Picked {
                picked,
                values,
                distinct,
            } => {
                let [original, membership] = answers else {
                    return Err(format!("unexpected: {answers:?}"));
                };
                same_shape(subject, original)?;
                members_exist(membership)?;
                if *distinct && has_duplicates(picked) {
                    return Err("a positive count gave an element twice".to_owned());
                }
                match values {
                    Some(values) if !elements_equal(values, membership) => {
                        Err(format!("the values are {membership:?} in the oracle"))
                    }
                    Some(_) | None => Ok(()),
                }
            }
        }
    }
}

fn same_shape(subject: &Reply, original: &Reply) -> Result<(), String> {
    let length = |reply: &Reply| reply.elements().map(|elements| elements.len());
    let nested = |reply: &Reply| {
        reply
            .elements()
            .and_then(|elements| elements.first().map(|first| std::mem::discriminant(*first)))
    };
    let same = std::mem::discriminant(subject) == std::mem::discriminant(original)
        && length(subject) == length(original)
        && nested(subject) == nested(original);
    if same {
        Ok(())
    } else {
        Err(format!("the oracle's reply has another shape: {original:?}"))
    }
}

fn members_exist(membership: &Reply) -> Result<(), String> {
    let absent = |reply: &Reply| reply.is_null() || reply.is_error() || *reply == Reply::Integer(0);
    let missing = match membership.elements() {
        Some(elements) => elements.iter().any(|element| absent(element)),
        None => absent(membership),
    };
    if missing {
        Err(format!("not in the oracle: {membership:?}"))
    } else {
        Ok(())
    }
}

fn has_duplicates(picked: &[Reply]) -> bool {
    let mut seen: Vec<_> = picked.iter().map(Reply::bytes).collect();
    seen.sort();
    seen.windows(2).any(|pair| pair[0] == pair[1])
}

fn elements_equal(values: &[Reply], membership: &Reply) -> bool {
    membership
        .elements()
        .is_some_and(|elements| elements.into_iter().eq(values.iter()))
}
