//! Rules of single rows beyond what their kind says, and defaults that depend on the machine.
//!
//! The texts are those of redis-server 7.0.15, which operators and tests look for.

/// Number of cores this process may use, as `io-threads` writes it.
pub fn cores() -> String {
    std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(512)
        .to_string()
}

/// `activedefrag`: refused as in a Redis whose allocator cannot do it, so that scripts which probe for it move on.
pub fn no_defrag(value: &[u8]) -> Result<(), &'static str> {
    match value {
        b"1" => Err("Active defragmentation cannot be enabled: the allocator offers none"),
        _ => Ok(()),
    }
}

fn is_path(value: &[u8]) -> bool {
    value.contains(&b'/')
}

/// `dbfilename`
pub fn db_file_name(value: &[u8]) -> Result<(), &'static str> {
    if is_path(value) {
        Err("dbfilename can't be a path, just a filename")
    } else {
        Ok(())
    }
}

/// `appendfilename`
pub fn append_file_name(value: &[u8]) -> Result<(), &'static str> {
    match value {
        [] => Err("appendfilename can't be empty"),
        path if is_path(path) => Err("appendfilename can't be a path, just a filename"),
        _ => Ok(()),
    }
}

/// `appenddirname`
pub fn append_dir_name(value: &[u8]) -> Result<(), &'static str> {
    match value {
        [] => Err("appenddirname can't be empty"),
        path if is_path(path) => Err("appenddirname can't be a path, just a dirname"),
        _ => Ok(()),
    }
}

/// `cluster-announce-hostname`
pub fn hostname(value: &[u8]) -> Result<(), &'static str> {
    if value.len() >= 256 {
        return Err("Hostnames must be less than 256 characters");
    }
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    if value.iter().all(legal) {
        Ok(())
    } else {
        Err("Hostnames may only contain alphanumeric characters, hyphens or dots")
    }
}

/// `cluster-announce-human-nodename`
pub fn node_name(value: &[u8]) -> Result<(), &'static str> {
    if value.len() >= 256 {
        return Err("Human nodenames must be less than 256 characters");
    }
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if value.iter().all(legal) {
        Ok(())
    } else {
        Err("Human nodenames may only contain alphanumeric characters, hyphens, dots or underscores")
    }
}

/// The names that `proc-title-template` may hold between braces.
pub const TITLE_VARIABLES: &[&str] = &[
    "title",
    "listen-addr",
    "server-mode",
    "port",
    "tls-port",
    "unixsocket",
    "config-file",
];

/// `proc-title-template`: known variables only, and not empty.
pub fn title_template(value: &[u8]) -> Result<(), &'static str> {
    const WRONG: &str = "template format is invalid or contains unknown variables";
    let mut rest = std::str::from_utf8(value).map_err(|_| WRONG)?;
    if rest.is_empty() {
        return Err(WRONG);
    }
    while let Some(open) = rest.find('{') {
        let inner = &rest[open + 1..];
        let close = inner.find('}').ok_or(WRONG)?;
        if !TITLE_VARIABLES.contains(&&inner[..close]) {
            return Err(WRONG);
        }
        rest = &inner[close + 1..];
    }
    Ok(())
}
