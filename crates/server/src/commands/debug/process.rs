//! DEBUG SLEEP, SET-ACTIVE-EXPIRE, LOG, PANIC and the like: the process and its settings.

use std::sync::atomic::Ordering;
use std::time::Duration;

use holdfast_commands::args::Args;
use holdfast_resp::encode_command;
use holdfast_storage::{glob, numeric};
use tikv_jemalloc_ctl as jemalloc;

use super::{DONE, leading_int};
use crate::commands::{Call, ServerError, ServerResult, wrong_subcommand};
use crate::memory;

/// Longest sleep: the thread cannot be woken before its time.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// Holds every shard, so that everybody stops at the next command on data, as in Redis.
pub(super) fn sleep(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let seconds = numeric::parse_f64(args.get(2)).unwrap_or(0.0);
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    call.with_all(|_, _| std::thread::sleep(time.min(LONGEST_SLEEP)));
    call.ok()
}

pub(super) fn active_expire(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let on = leading_int(args.get(2)) != 0;
    call.session.server.active_expire.store(on, Ordering::Relaxed);
    call.ok()
}

pub(super) fn pause_cron(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let on = leading_int(args.get(2)) != 0;
    call.session.server.cron_paused.store(on, Ordering::Relaxed);
    call.ok()
}

pub(super) fn skip_checksum(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let on = leading_int(args.get(2)) != 0;
    let server = &call.session.server;
    server.skip_checksum.store(on, Ordering::Relaxed);
    server.config.renew();
    // Commands that stand behind this one in a pipeline belong to the same batch.
    call.w.limits.skip_checksum = on;
    call.ok()
}

/// On a replica nothing happens, as in 7.0.15.
pub(super) fn replicate(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let words: Vec<&[u8]> = args.from(2).collect();
    let mut command = Vec::new();
    encode_command(&mut command, &words);
    let server = &call.session.server;
    if server.replication.append_aside(&server.log, &command).is_some() {
        server.log.notify();
    }
    call.ok()
}

pub(super) fn log(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(args.get(2)));
    call.ok()
}

pub(super) fn error(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    call.w.reply.error_bytes(args.get(2));
    call.w.count_error(args.get(2));
    DONE
}

/// Sizes up to 4 GB are taken; 0 restores Redis's default there.
pub(super) fn packed_threshold(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    match crate::config::parse_memory(args.get(2)) {
        Some(size) if size < 4 << 30 => call.ok(),
        Some(_) | None => Err(ServerError::new(
            "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
        )),
    }
}

pub(super) fn reply_buffer(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if args.is(2, "PEAK-RESET-TIME") {
        if !args.is(3, "NEVER") && !args.is(3, "RESET") {
            args.int(3)?;
        }
        return call.ok();
    }
    if args.is(2, "RESIZING") {
        return call.ok();
    }
    Err(wrong_subcommand(call.entry, args))
}

pub(super) fn string_match(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let len = usize::try_from(args.int(2)?)
        .ok()
        .filter(|len| *len <= call.w.limits.max_string)
        .ok_or(holdfast_commands::error::CmdError::OutOfRange)?;
    let hit = glob::matches(args.get(3), &vec![b'a'; len], false);
    call.w.reply.int(i64::from(hit));
    DONE
}

pub(super) fn config_rewrite(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    match call.session.server.config.rewrite_all() {
        Ok(()) => call.ok(),
        Err(e) => {
            let reason = e.to_string();
            let reason = reason.trim_start_matches("ERR ");
            Err(ServerError(format!(
                "ERR CONFIG-REWRITE-FORCE-ALL failed: {reason}"
            )))
        }
    }
}

/// The allocator's figures that can be read without danger.
pub(super) fn mallctl(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if args.len() > 3 {
        return Err(ServerError::new("ERR Operation not permitted"));
    }
    let f = memory::figures();
    let value = match args.get(2) {
        b"stats.allocated" => Some(f.allocated),
        b"stats.active" => Some(f.active),
        b"stats.resident" => Some(f.resident),
        b"stats.mapped" => Some(f.mapped),
        b"stats.retained" => Some(f.retained),
        b"stats.metadata" => Some(f.metadata),
        b"arenas.narenas" => jemalloc::arenas::narenas::read().ok().map(u64::from),
        b"background_thread" => jemalloc::background_thread::read().ok().map(u64::from),
        _ => None,
    };
    let value = value.ok_or_else(|| ServerError::new("ERR No such file or directory"))?;
    call.w.reply.int(value as i64);
    DONE
}

/// The allocator's texts that can be read without danger.
pub(super) fn mallctl_str(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    if args.len() > 3 {
        return Err(ServerError::new("ERR Operation not permitted"));
    }
    let value = match args.get(2) {
        b"version" => jemalloc::version::read().ok(),
        _ => None,
    };
    let value = value.ok_or_else(|| ServerError::new("ERR No such file or directory"))?;
    call.w.reply.bulk(value.trim_end_matches('\0').as_bytes());
    DONE
}

pub(super) fn change_repl_id(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    tracing::warn!("Changing replication IDs after receiving change-repl-id");
    call.session.server.replication.change_id();
    call.ok()
}

// ---- ends of the process, as asked for ----

fn end(how: &str) -> ! {
    tracing::error!("ending the process, as DEBUG {how} asked");
    std::process::abort()
}

pub(super) fn assert(_: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    end("ASSERT")
}

pub(super) fn panic(_: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    end("PANIC")
}

pub(super) fn out_of_memory(_: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    end("OOM")
}

pub(super) fn fault(_: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    end("SEGFAULT")
}
