//! EVAL and FCALL with their kin, SCRIPT, FUNCTION: arguments and replies. What they do is in [`crate::scripting`].

pub mod eval;
pub mod fcall;
pub mod function;
pub mod function_dump;
pub mod script;

use holdfast_commands::args::Args;

use super::ServerError;

/// Note of key specs that a script may do anything with.
const ANY_USE: &str = "a script may do anything with its keys, so reading and writing are assumed";
/// The same for read-only calls.
const ANY_READ: &str = "a script may do anything with its keys, so every kind of reading is assumed";

/// The number of keys at argument 2. `not_a_number` words the error for what is no number.
fn number_of_keys(args: &Args<'_>, not_a_number: &str) -> Result<usize, ServerError> {
    let number = args.int(2).map_err(|_| ServerError::new(not_a_number))?;
    if number > args.len() as i64 - 3 {
        return Err(ServerError::new(
            "ERR Number of keys can't be greater than number of args",
        ));
    }
    usize::try_from(number).map_err(|_| ServerError::new("ERR Number of keys can't be negative"))
}
