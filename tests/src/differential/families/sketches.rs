//! Random commands on HyperLogLogs. Their bytes are compared too, through GET and DEBUG DIGEST.

use super::Maker;
use crate::differential::pool::Kind::{Sketch, Text};
use crate::differential::pool::{Pool, cmd};

pub(super) const MAKERS: &[Maker] = &[
    |p| {
        let elements = elements(p);
        cmd("PFADD").arg(p.key(Sketch)).args(elements)
    },
    |p| {
        let elements = elements(p);
        cmd("PFADD").arg(p.key_of(Sketch)).args(elements)
    },
    |p| {
        let start = p.below(50_000);
        let count = p.one_of(&[10, 100, 700]);
        cmd("PFADD")
            .arg(p.key_of(Sketch))
            .args((start..start + count).map(|n| format!("e{n}").into_bytes()))
    },
    |p| cmd("PFCOUNT").arg(p.key(Sketch)),
    |p| cmd("PFCOUNT").arg(p.key(Sketch)).arg(p.key(Sketch)),
    |p| {
        let sources: Vec<_> = (0..p.below(3)).map(|_| p.key(Sketch)).collect();
        cmd("PFMERGE").arg(p.key_of(Sketch)).args(sources)
    },
    |p| {
        cmd("PFDEBUG")
            .arg(p.one_of(&["ENCODING", "encoding", "NOSUCH"]))
            .arg(p.key(Sketch))
    },
    |p| cmd("GET").arg(p.key_of(Sketch)),
    |p| cmd("PFCOUNT").arg(p.key(Text)),
    |p| cmd("STRLEN").arg(p.key_of(Sketch)),
    |p| {
        if p.chance(1, 8) {
            cmd("DEL").arg(p.key_of(Sketch))
        } else {
            cmd("TYPE").arg(p.key_of(Sketch))
        }
    },
];

fn elements(p: &mut Pool) -> Vec<Vec<u8>> {
    (0..p.below(6))
        .map(|_| {
            if p.chance(1, 2) {
                p.value()
            } else {
                format!("e{}", p.below(2000)).into_bytes()
            }
        })
        .collect()
}
