//! FUNCTION LOAD, DELETE, FLUSH and RESTORE in a cluster. A library that another node has loaded counts as new to the first
//! client that loads the same here, and one that was deleted elsewhere as there to the first that deletes it: clients go
//! from node to node with both. Must not know: what a library does.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_cluster::state::Entry as Change;

use super::{Answer, later, propose};
use crate::cluster::wide::functions::{Memory, adopt};
use crate::commands::{Call, ServerResult};
use crate::scripting::libraries::{AddError, Library};
use crate::server::Server;

/// Puts an [`AddError`] into the words of the command.
pub(in super::super) type Words = fn(AddError) -> String;

pub(in super::super) fn load(
    call: &mut Call<'_, '_>,
    library: Library,
    replace: bool,
    words: Words,
) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    later(call, async move {
        adopt(&server).await.map_err(|error| error.to_string())?;
        let name = library.name.clone();
        if is_new(&server, &library, replace).map_err(words)? {
            propose(&server, put(library)).await?;
        }
        own(&server, &name);
        Ok(Answer::Bulk(name))
    })
}

pub(in super::super) fn delete(call: &mut Call<'_, '_>, name: &[u8]) -> ServerResult {
    let (server, name) = (Arc::clone(&call.session.server), name.to_vec());
    later(call, async move {
        adopt(&server).await.map_err(|error| error.to_string())?;
        if server.scripts.libraries.get().library(&name).is_none() {
            return match memory(&server).is_some_and(|memory| memory.take_deleted(&name)) {
                true => Ok(Answer::Ok),
                false => Err("ERR Library not found".to_owned()),
            };
        }
        let change = Change::Function {
            library: name.clone().into(),
            code: None,
        };
        propose(&server, change).await?;
        own(&server, &name);
        Ok(Answer::Ok)
    })
}

pub(in super::super) fn flush(call: &mut Call<'_, '_>) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    later(call, async move {
        let libraries = BTreeMap::new();
        propose(&server, Change::ReplaceFunctions { libraries }).await?;
        Ok(Answer::Ok)
    })
}

/// These libraries and no others.
pub(in super::super) fn restore_alone(
    call: &mut Call<'_, '_>,
    libraries: Vec<Library>,
    words: Words,
) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    later(call, async move {
        let mut set = crate::scripting::libraries::LibrarySet::default();
        let mut wanted = BTreeMap::new();
        for library in libraries {
            wanted.insert(library.name.clone().into(), library.code.clone().into());
            set.add(library, false).map_err(words)?;
        }
        let names: Vec<Vec<u8>> = set.iter().map(|library| library.name.clone()).collect();
        propose(&server, Change::ReplaceFunctions { libraries: wanted }).await?;
        names.iter().for_each(|name| own(&server, name));
        Ok(Answer::Ok)
    })
}

/// These libraries beside those that are there. All fit, or none is taken.
pub(in super::super) fn restore(
    call: &mut Call<'_, '_>,
    libraries: Vec<Library>,
    replace: bool,
    words: Words,
) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    later(call, async move {
        adopt(&server).await.map_err(|error| error.to_string())?;
        let mut fresh = Vec::new();
        for library in libraries {
            if is_new(&server, &library, replace).map_err(words)? {
                fresh.push(library);
            }
        }
        let names: Vec<Vec<u8>> = fresh.iter().map(|library| library.name.clone()).collect();
        for library in fresh {
            propose(&server, put(library)).await?;
        }
        names.iter().for_each(|name| own(&server, name));
        Ok(Answer::Ok)
    })
}

fn put(library: Library) -> Change {
    Change::Function {
        library: library.name.into(),
        code: Some(library.code.into()),
    }
}

/// Whether the library is to be added; false: the same came from another node.
fn is_new(server: &Server, library: &Library, replace: bool) -> Result<bool, AddError> {
    let set = server.scripts.libraries.get();
    if let Some(here) = set.library(&library.name)
        && !replace
    {
        let same = here.code == library.code;
        return match same && memory(server).is_some_and(|memory| memory.take_loaded(&library.name)) {
            true => Ok(false),
            false => Err(AddError::Library(library.name.clone())),
        };
    }
    match set.collision(library) {
        Some(function) => Err(AddError::Function(function)),
        None => Ok(true),
    }
}

fn own(server: &Server, name: &[u8]) {
    if let Some(memory) = memory(server) {
        memory.is_own(name);
    }
}

fn memory(server: &Server) -> Option<&Memory> {
    server.cluster.get().map(|cluster| cluster.wide.functions())
}
