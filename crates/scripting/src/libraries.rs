//! The libraries that scripts find beside Lua's own: `bit`, `struct`, `cjson`, `cmsgpack`.
//!
//! Their errors are [`mlua::Error::RuntimeError`] with the very text that a script of Redis gets, the place of the call
//! included. To Lua code they are objects until `pcall` and its like turn them into that text.

use mlua::{Lua, Result, Table};

/// Adds the libraries to a table of globals. Lua's own `next` must still be there. `cjson` takes the settings that `lua`
/// has as application data, an `Arc<CjsonSettings>`, so that several Luas can share them.
///
/// # Errors
///
/// Memory.
pub fn install(lua: &Lua, globals: &Table) -> Result<()> {
    globals.raw_set("bit", crate::bit::table(lua)?)?;
    globals.raw_set("struct", crate::struct_lib::table(lua)?)?;
    globals.raw_set("cjson", crate::cjson::table(lua)?)?;
    globals.raw_set("cmsgpack", crate::cmsgpack::table(lua)?)
}
