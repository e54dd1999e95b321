//! LOLWUT: a picture and the version. Ours is kelp, which holds fast to a rock in the swell.

use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};
use rand::Rng;

use super::{Call, ServerCommand, ServerResult};
use crate::registry::Run;
use crate::server::{REDIS_VERSION, VERSION};
use crate::session::Flow;

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&LOLWUT];

const LOLWUT: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "lolwut",
        arity: -1,
        flags: flags!(Flags: READONLY, FAST),
        group: Group::Server,
        since: "5.0.0",
        summary: "Draws a picture.",
        complexity: "O(N), N: its area",
        args: &[Arg::integer("version").token("VERSION").opt()],
        ..Spec::DEFAULT
    },
    run: Run::Server(lolwut),
};

/// Columns and rows: least, most, and what is drawn if nothing is said.
const COLUMNS: (i64, i64, i64) = (16, 160, 66);
const ROWS: (i64, i64, i64) = (6, 60, 18);

/// `LOLWUT VERSION n [columns [rows]]`. From version 6 on there are colours.
fn lolwut(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let given = args.is(1, "VERSION") && args.len() > 2;
    let version = if given { args.int(2)? } else { 5 };
    let size = |at, (least, most, usual): (i64, i64, i64)| -> Result<usize, CmdError> {
        let wanted = if given && args.len() > at {
            args.int(at)?
        } else {
            usual
        };
        Ok(wanted.clamp(least, most) as usize)
    };
    let (columns, rows) = (size(3, COLUMNS)?, size(4, ROWS)?);
    let picture = kelp(columns, rows, version >= 6, &mut call.w.rng);
    let text = format!("{picture}\nKelp and its holdfast. Redis ver. {REDIS_VERSION} (Holdfast {VERSION})\n");
    call.w.reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Continue)
}

/// Fronds that grow from the ground, each swaying on its own; the swell above, the rock below.
fn kelp(columns: usize, rows: usize, coloured: bool, rng: &mut impl Rng) -> String {
    let mut water = vec![vec![' '; columns]; rows];
    for cell in &mut water[0] {
        *cell = if rng.random_ratio(1, 3) { '-' } else { '~' };
    }
    let ground = rows - 1;
    for cell in &mut water[ground] {
        *cell = if rng.random_ratio(1, 5) { '#' } else { '=' };
    }
    for _ in 0..columns / 6 {
        let height = rng.random_range(ground / 2..ground);
        let mut at = rng.random_range(1..columns - 1);
        water[ground][at] = '%';
        for row in (ground - height.max(1)..ground).rev() {
            let step = rng.random_range(-1i32..=1);
            at = at.saturating_add_signed(step as isize).clamp(1, columns - 2);
            water[row.max(1)][at] = match step {
                -1 => '\\',
                1 => '/',
                _ => '|',
            };
        }
    }
    let mut text = String::new();
    for (number, row) in water.iter().enumerate() {
        let colour = match number {
            0 => "36",
            n if n == ground => "33",
            _ => "32",
        };
        let line: String = row.iter().collect();
        let line = line.trim_end();
        if coloured {
            text.push_str(&format!("\x1b[{colour}m{line}\x1b[0m\n"));
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    #[test]
    fn every_size_can_be_drawn() {
        let mut rng = SmallRng::seed_from_u64(7);
        for (columns, rows) in [(16, 6), (160, 60), (66, 18), (17, 60)] {
            let text = kelp(columns, rows, false, &mut rng);
            assert_eq!(text.lines().count(), rows);
            assert!(text.lines().all(|line| line.len() <= columns));
            assert!(text.lines().last().unwrap().contains('%'));
        }
        assert!(kelp(20, 10, true, &mut rng).contains("\x1b[32m"));
    }
}
