//! `cmsgpack`: MessagePack, as lua-cmsgpack 0.4.0 reads and writes it: strings as `str`, no `bin`, no extensions.

mod pack;
mod unpack;

use mlua::{Lua, Result, Table};

use crate::args::add;

/// The library's table.
pub(crate) fn table(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    library.raw_set("_NAME", "cmsgpack")?;
    library.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    library.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    library.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    add(lua, &library, "pack", pack::pack)?;
    add(lua, &library, "unpack", unpack::unpack)?;
    add(lua, &library, "unpack_one", unpack::unpack_one)?;
    add(lua, &library, "unpack_limit", unpack::unpack_limit)?;
    Ok(library)
}

#[cfg(test)]
mod tests;
