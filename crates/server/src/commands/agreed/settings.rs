//! CONFIG SET in a cluster, of directives that hold on all nodes. Must not know: what they do.

use std::sync::Arc;

use holdfast_cluster::state::Entry as Change;

use super::{Answer, later, propose, users};
use crate::commands::{Call, ServerResult};

/// Sets these directives, which are known to be valid, on all nodes. `default_changed`: so has the password of `default`.
pub(in super::super) fn set(
    call: &mut Call<'_, '_>,
    wide: Vec<(String, Vec<u8>)>,
    default_changed: bool,
) -> ServerResult {
    let server = Arc::clone(&call.session.server);
    later(call, async move {
        for (name, value) in wide {
            let value = Some(value.into());
            propose(&server, Change::Setting { name, value }).await?;
        }
        if default_changed {
            users::default_has_changed(&server).await?;
        }
        Ok(Answer::Ok)
    })
}
