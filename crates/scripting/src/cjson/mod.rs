//! `cjson`: JSON, as lua-cjson 2.1.0 reads and writes it. Its settings hold for all scripts, so they live outside of the
//! Lua that uses them.

mod decode;
mod encode;
mod number;
mod settings;
mod token;

use std::sync::Arc;

use mlua::{Function, Lua, Result, Table, Value};

use crate::args::add;
pub use settings::Settings;

/// The library's table, with the settings that `lua` was given as application data, else with settings of its own.
pub(crate) fn table(lua: &Lua) -> Result<Table> {
    let settings = lua
        .app_data_ref::<Arc<Settings>>()
        .map(|shared| Arc::clone(&shared));
    // Scripts may not see it later, or see another.
    let next = lua.globals().raw_get("next")?;
    table_with(lua, &next, settings.unwrap_or_default())
}

fn table_with(lua: &Lua, next: &Function, settings: Arc<Settings>) -> Result<Table> {
    let library = lua.create_table()?;
    library.raw_set("_NAME", "cjson")?;
    library.raw_set("_VERSION", "2.1.0")?;
    library.raw_set("null", Value::NULL)?;
    // A library with settings of its own, from the defaults.
    let next_of_new = next.clone();
    add(lua, &library, "new", move |args| {
        table_with(args.lua(), &next_of_new, Arc::default())
    })?;
    settings::add_functions(lua, &library, &settings)?;
    let encoder = encode::Encoder::new(next.clone(), Arc::clone(&settings));
    add(lua, &library, "encode", move |args| encoder.encode(args))?;
    add(lua, &library, "decode", move |args| {
        decode::decode(args, &settings)
    })?;
    Ok(library)
}

#[cfg(test)]
mod tests;
