//! CLIENT TRACKING, CACHING, GETREDIR and TRACKINGINFO: <https://redis.io/commands/client-tracking>. What they set up is
//! [`crate::tracking`]'s.

use holdfast_commands::args::Args;
use holdfast_commands::error::CmdError;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Group, Spec};
use holdfast_resp::parse_i64;

use super::{Call, ServerCommand, ServerError, ServerResult};
use crate::client::flag;
use crate::registry::Run;
use crate::session::Flow;
use crate::tracking::{Collision, Options};

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[
    &CLIENT_CACHING,
    &CLIENT_GETREDIR,
    &CLIENT_TRACKING,
    &CLIENT_TRACKINGINFO,
];

const CLIENT_CACHING: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|caching",
        arity: 3,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "6.0.0",
        summary: "Says whether the keys that the next command reads are tracked.",
        complexity: "O(1)",
        args: &[Arg::one_of(
            "mode",
            &[Arg::word("yes", "YES"), Arg::word("no", "NO")],
        )],
        ..Spec::DEFAULT
    },
    run: Run::Server(caching),
};

const CLIENT_GETREDIR: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|getredir",
        arity: 2,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "6.0.0",
        summary: "Returns the id of the client that gets this connection's invalidations.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(|call, _| {
        let id = call.session.client.redirect_shown();
        call.w.reply.int(id);
        Ok(Flow::Continue)
    }),
};

const CLIENT_TRACKING: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|tracking",
        arity: -3,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "6.0.0",
        summary: "Turns the tracking of keys for client-side caching on or off.",
        complexity: "O(1), or O(N) where prefixes are given or dropped, N: prefixes",
        args: &[
            Arg::one_of("status", &[Arg::word("on", "ON"), Arg::word("off", "OFF")]),
            Arg::integer("client-id").token("REDIRECT").opt(),
            Arg::string("prefix").token("PREFIX").opt().multi_token(),
            Arg::word("bcast", "BCAST").opt(),
            Arg::word("optin", "OPTIN").opt(),
            Arg::word("optout", "OPTOUT").opt(),
            Arg::word("noloop", "NOLOOP").opt(),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(tracking),
};

const CLIENT_TRACKINGINFO: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "client|trackinginfo",
        arity: 2,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "6.2.0",
        summary: "Returns how keys are tracked for this connection.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(trackinginfo),
};

fn caching(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let client = &call.session.client;
    if !client.has_flag(flag::TRACKING) {
        return Err(ServerError::new(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ));
    }
    let (mode, word, name) = match (args.is(2, "YES"), args.is(2, "NO")) {
        (true, _) => (flag::TRACKING_OPTIN, "YES", "OPTIN"),
        (_, true) => (flag::TRACKING_OPTOUT, "NO", "OPTOUT"),
        (false, false) => return Err(CmdError::Syntax.into()),
    };
    if !client.has_flag(mode) {
        return Err(ServerError(format!(
            "ERR CLIENT CACHING {word} is only valid when tracking is enabled in {name} mode."
        )));
    }
    client.set_flag(flag::TRACKING_CACHING, true);
    call.ok()
}

fn tracking(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let (options, prefixes) = parse(call, args)?;
    let on = match (args.is(2, "ON"), args.is(2, "OFF")) {
        (true, _) => true,
        (_, true) => false,
        (false, false) => return Err(CmdError::Syntax.into()),
    };
    let session = &*call.session;
    if on {
        check(call, options, &prefixes)?;
        session
            .server
            .tracking
            .enable(&session.client, options, &prefixes);
    } else {
        session.server.tracking.disable(&session.client);
    }
    call.session.tracks = on;
    // Inside EXEC what is read next is tracked already.
    call.session.note_tracker(call.w);
    call.ok()
}

fn parse<'a>(call: &Call<'_, '_>, args: Args<'a>) -> Result<(Options, Vec<&'a [u8]>), ServerError> {
    let mut options = Options::default();
    let mut prefixes = Vec::new();
    let mut rest = args.cursor(3);
    while rest.left() > 0 {
        if rest.left() > 1 && rest.accept("REDIRECT") {
            if options.redirect != 0 {
                return Err(ServerError::new(
                    "ERR A client can only redirect to a single other client",
                ));
            }
            let id = parse_i64(rest.word()?).ok_or(CmdError::NotInteger)?;
            let clients = &call.session.server.clients;
            let target = u64::try_from(id).ok().and_then(|id| clients.get(id));
            options.redirect = target
                .filter(|c| !c.is_killed())
                .map(|c| c.id)
                .ok_or_else(|| ServerError::new("ERR The client ID you want redirect to does not exist"))?;
        } else if rest.accept("BCAST") {
            options.bcast = true;
        } else if rest.accept("OPTIN") {
            options.optin = true;
        } else if rest.accept("OPTOUT") {
            options.optout = true;
        } else if rest.accept("NOLOOP") {
            options.noloop = true;
        } else if rest.left() > 1 && rest.accept("PREFIX") {
            prefixes.push(rest.word()?);
        } else {
            return Err(CmdError::Syntax.into());
        }
    }
    Ok((options, prefixes))
}

/// What does not go together, or with how the client tracks already.
fn check(call: &Call<'_, '_>, options: Options, prefixes: &[&[u8]]) -> Result<(), ServerError> {
    let client = &call.session.client;
    let had = |bit: u32| client.has_flag(bit);
    if !options.bcast && !prefixes.is_empty() {
        return Err(ServerError::new(
            "ERR PREFIX option requires BCAST mode to be enabled",
        ));
    }
    if had(flag::TRACKING) && had(flag::TRACKING_BCAST) != options.bcast {
        return Err(ServerError::new(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.",
        ));
    }
    if options.bcast && (options.optin || options.optout) {
        return Err(ServerError::new(
            "ERR OPTIN and OPTOUT are not compatible with BCAST",
        ));
    }
    if options.optin && options.optout {
        return Err(ServerError::new(
            "ERR You can't specify both OPTIN mode and OPTOUT mode",
        ));
    }
    if (options.optin && had(flag::TRACKING_OPTOUT)) || (options.optout && had(flag::TRACKING_OPTIN)) {
        return Err(ServerError::new(
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.",
        ));
    }
    if options.bcast {
        let tracking = &call.session.server.tracking;
        tracking.check_prefixes(client, prefixes).map_err(collision)?;
    }
    Ok(())
}

fn collision(Collision { new, other, existing }: Collision) -> ServerError {
    let (new, other) = (String::from_utf8_lossy(&new), String::from_utf8_lossy(&other));
    let what = if existing {
        "an existing prefix"
    } else {
        "another provided prefix"
    };
    ServerError(format!(
        "ERR Prefix '{new}' overlaps with {what} '{other}'. Prefixes for a single client must not overlap."
    ))
}

fn trackinginfo(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let client = &call.session.client;
    let had = |bit: u32| client.has_flag(bit);
    let caching = had(flag::TRACKING_CACHING);
    let words: Vec<&str> = [
        (!had(flag::TRACKING), "off"),
        (had(flag::TRACKING), "on"),
        (had(flag::TRACKING_BCAST), "bcast"),
        (had(flag::TRACKING_OPTIN), "optin"),
        (had(flag::TRACKING_OPTIN) && caching, "caching-yes"),
        (had(flag::TRACKING_OPTOUT), "optout"),
        (had(flag::TRACKING_OPTOUT) && caching, "caching-no"),
        (had(flag::TRACKING_NOLOOP), "noloop"),
        (had(flag::TRACKING_BROKEN), "broken_redirect"),
    ]
    .into_iter()
    .filter_map(|(on, word)| on.then_some(word))
    .collect();
    let prefixes = call.session.server.tracking.prefixes_of(client);
    let redirect = client.redirect_shown();
    let reply = &mut call.w.reply;
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(words.len());
    words.iter().for_each(|word| reply.bulk(word.as_bytes()));
    reply.bulk(b"redirect");
    reply.int(redirect);
    reply.bulk(b"prefixes");
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    Ok(Flow::Continue)
}
