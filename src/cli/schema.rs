//! Implements `schema`: the JSON Schema of the configuration, for editors.

use super::context::{Context, Exit, Failure};
use crate::config;

pub(super) const EXAMPLES: &str = "\
Examples:
  feedback-relay schema > relay.schema.json

Editors with TOML schemas (Even Better TOML, taplo) read the first line of relay.toml:
  #:schema ./relay.schema.json";

/// Prints the schema.
pub(super) fn run(context: &mut Context) -> Result<Exit, Failure> {
    context.out.json(&config::schema());
    Ok(Exit::Done)
}
